//! Connections that stop being HTTP: websockets and whatever else both sides agree on.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Carries bytes both ways until both sides have ended, one has failed, or both are silent for too long.
pub(super) async fn carry(client: OnUpgrade, backend: OnUpgrade, idle: Duration) {
    let (client, backend) = match tokio::try_join!(client, backend) {
        Ok(both) => both,
        Err(error) => {
            tracing::debug!(%error, "a connection was not handed over");
            return;
        }
    };
    let clock = Arc::new(Clock { started: Instant::now(), last: AtomicU64::new(0) });
    let mut client = Watched { inner: TokioIo::new(client), clock: Arc::clone(&clock) };
    let mut backend = TokioIo::new(backend);
    // What the backend sends passes the client's side as writes: one side sees all.
    tokio::select! {
        ended = tokio::io::copy_bidirectional(&mut client, &mut backend) => {
            if let Err(error) = ended {
                tracing::debug!(%error, "a tunnel broke");
            }
        }
        () = clock.run_out(idle) => tracing::debug!("a tunnel was silent for too long"),
    }
}

struct Clock {
    started: Instant,
    last: AtomicU64,
}

impl Clock {
    fn tick(&self) {
        let millis = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(millis, Ordering::Relaxed);
    }

    async fn run_out(&self, idle: Duration) {
        loop {
            let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
            match (last + idle).checked_sub(self.started.elapsed()) {
                Some(rest) if !rest.is_zero() => tokio::time::sleep(rest).await,
                _ => return,
            }
        }
    }
}

struct Watched {
    inner: TokioIo<Upgraded>,
    clock: Arc<Clock>,
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.inner).poll_read(cx, buffer);
        if done.is_ready() {
            self.clock.tick();
        }
        done
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.inner).poll_write(cx, bytes);
        if done.is_ready() {
            self.clock.tick();
        }
        done
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
