//! Ctrl-C and its relatives.

use std::io;

use skiff_report::ExitCode;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use crate::failure::Failure;

/// Tells when the user wants the command to end.
#[derive(Debug, Clone)]
pub(crate) struct Interrupt {
    /// Number of the signal that came; 0 before that.
    signal: watch::Receiver<u8>,
}

impl Interrupt {
    /// Begins to listen. The first signal is for whoever waits; the second ends the process.
    ///
    /// Must be called in a runtime.
    pub(crate) fn listen() -> io::Result<Self> {
        let (sender, receiver) = watch::channel(0);
        let (mut int, mut term) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        tokio::spawn(async move {
            loop {
                let number = tokio::select! {
                    _ = int.recv() => 2,
                    _ = term.recv() => 15,
                };
                if *sender.borrow() != 0 {
                    end_now(number);
                }
                sender.send_replace(number);
            }
        });
        Ok(Self { signal: receiver })
    }

    /// Returns when the first signal has come.
    pub(crate) async fn came(&self) -> Failure {
        let mut signal = self.signal.clone();
        match signal.wait_for(|number| *number != 0).await.map(|number| *number) {
            Ok(number) => interrupted(number),
            // Nobody listens any more, so nobody can interrupt.
            Err(_) => std::future::pending().await,
        }
    }

    /// Runs something to its end, or drops it when the first signal comes.
    pub(crate) async fn unless<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        tokio::select! {
            result = work => result,
            failure = self.came() => Err(failure),
        }
    }
}

fn interrupted(signal: u8) -> Failure {
    Failure::new("MK_INTERRUPTED", ExitCode(128 + signal), "interrupted", "")
}

#[expect(clippy::exit, reason = "whoever asks twice does not want to wait for anything")]
fn end_now(signal: u8) {
    std::process::exit(i32::from(128 + signal));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_is_dropped_when_a_signal_comes() {
        let (sender, signal) = watch::channel(0);
        let interrupt = Interrupt { signal };
        assert_eq!(interrupt.unless(async { Ok(7) }).await, Ok(7));
        sender.send_replace(2);
        let failure = interrupt.unless(std::future::pending::<Result<(), Failure>>()).await.unwrap_err();
        assert_eq!((failure.id, failure.exit), ("MK_INTERRUPTED", ExitCode::INTERRUPTED));
    }
}
