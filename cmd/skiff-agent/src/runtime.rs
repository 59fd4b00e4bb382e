//! One thread is enough for each role, and takes the least memory.

use std::future::Future;

use tokio::signal::unix::{SignalKind, signal};

use crate::Error;

/// Runs a role's future on a single-threaded runtime.
pub(crate) fn block_on<T>(future: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Runtime)?;
    let result = runtime.block_on(future);
    // Whatever is left is not worth waiting for.
    runtime.shutdown_background();
    result
}

/// Runs `work` until it fails or the process gets SIGTERM or SIGINT, which is a good end.
pub(crate) async fn until_told_to_end(work: impl Future<Output = Result<(), Error>>) -> Result<(), Error> {
    // As PID 1 of a container the process has no default handlers: without these it could only be killed.
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::Signal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Signal)?;
    tokio::select! {
        result = work => result,
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}
