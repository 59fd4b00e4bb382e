//! What is being made right now.
//!
//! The Engine finishes what it began even when nobody waits for the answer any more, and shows
//! nothing of it before it is done. So a request that makes something runs to its end here too,
//! also when whoever asked has given up, and everybody who wants to know what there is waits for it.

use std::{panic, sync::Arc};

use tokio::sync::{RwLock, RwLockWriteGuard};

/// Keeps listings back while something is being made.
#[derive(Debug, Clone, Default)]
pub(crate) struct Making {
    under_way: Arc<RwLock<()>>,
}

impl Making {
    /// Runs a request to its end, even if this future is dropped before.
    pub(crate) async fn finish<T: Send + 'static>(&self, request: impl Future<Output = T> + Send + 'static) -> T {
        let guard = Arc::clone(&self.under_way).read_owned().await;
        let task = tokio::spawn(async move {
            let _guard = guard;
            request.await
        });
        match task.await.map_err(tokio::task::JoinError::try_into_panic) {
            Ok(answer) => answer,
            Err(Ok(panic)) => panic::resume_unwind(panic),
            // The runtime ends, and with it whoever waits here.
            Err(Err(_)) => std::future::pending().await,
        }
    }

    /// Returns when nothing is being made; nothing new begins while the guard is held.
    pub(crate) async fn settled(&self) -> RwLockWriteGuard<'_, ()> {
        self.under_way.write().await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn a_request_ends_before_others_look_though_nobody_waits_for_it() {
        let making = Making::default();
        let made = Arc::new(AtomicBool::new(false));
        let (answer, engine) = oneshot::channel::<()>();
        let request = {
            let made = Arc::clone(&made);
            async move {
                engine.await.unwrap();
                made.store(true, Ordering::Relaxed);
            }
        };
        // One poll sends the request, then the caller gives up.
        let mut caller = Box::pin(making.finish(request));
        assert!(futures_util::poll!(caller.as_mut()).is_pending());
        drop(caller);
        assert!(futures_util::poll!(Box::pin(making.settled()).as_mut()).is_pending());
        answer.send(()).unwrap();
        let _guard = making.settled().await;
        assert!(made.load(Ordering::Relaxed));
    }
}
