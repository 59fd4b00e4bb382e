//! The two output streams of the process.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex, PoisonError},
};

/// A stream that renderers share. A reader that went away (`skiff start | head`) must not stop the
/// work, so what cannot be written is dropped.
#[derive(Clone)]
pub(crate) struct Stream {
    target: Arc<Mutex<dyn Write + Send>>,
}

impl Stream {
    pub(crate) fn new(target: impl Write + Send + 'static) -> Self {
        Self { target: Arc::new(Mutex::new(target)) }
    }

    pub(crate) fn stdout() -> Self {
        Self::new(io::stdout())
    }

    pub(crate) fn stderr() -> Self {
        Self::new(io::stderr())
    }

    /// Writes one line, or several, and flushes.
    pub(crate) fn line(&self, text: &str) {
        let mut target = self.target.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = writeln!(target, "{text}").and_then(|()| target.flush());
    }
}

#[cfg(test)]
pub(super) mod capture {
    use super::*;

    /// What a renderer wrote, for tests.
    #[derive(Clone, Default)]
    pub(crate) struct Capture(Arc<Mutex<Vec<u8>>>);

    impl Capture {
        pub(crate) fn stream(&self) -> Stream {
            Stream::new(self.clone())
        }

        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Capture {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_went_away_stops_nothing() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
        }
        Stream::new(Closed).line("nobody reads this");
    }
}
