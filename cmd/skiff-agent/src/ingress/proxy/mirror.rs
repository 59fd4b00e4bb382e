//! Copies of requests, for backends whose answers nobody waits for.

use std::sync::Arc;

use http::{Request, request::Parts};
use http_body_util::BodyExt as _;

use super::{
    Worker,
    body::{ReplyBody, RequestBody},
    forward::{self, Answer},
};
use crate::ingress::{policy::Timeouts, table::Mirror};

impl Mirror {
    /// Whether the next request is copied.
    pub(super) fn takes(&self, worker: &Worker) -> bool {
        worker.random() % u64::from(self.total.max(1)) < u64::from(self.weight)
    }

    /// Sends a copy off.
    pub(super) fn send(&self, worker: &Arc<Worker>, head: Parts, body: RequestBody, timeouts: Timeouts) {
        let (worker, upstream) = (Arc::clone(worker), Arc::clone(&self.upstream));
        tokio::spawn(async move {
            let request = Request::from_parts(head, body);
            if let Ok(Answer { response, lease, .. }) =
                forward::forward(&worker, &upstream, None, request, &timeouts).await
            {
                // Read to its end, so that the connection can be used again.
                let mut body = ReplyBody::stream(response.into_body(), timeouts.read, lease);
                while let Some(Ok(_)) = body.frame().await {}
            }
        });
    }
}
