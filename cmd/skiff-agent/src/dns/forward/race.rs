//! Who answers first: upstreams are started one after the other, the next one as soon as the one before
//! fails or lets us wait. The first useful answer wins.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::stream::{FuturesUnordered, StreamExt};
use hickory_proto::op::{Message, ResponseCode};

use super::upstream::Upstream;

/// A single upstream is asked this often, since datagrams get lost.
const ASKS: usize = 3;

/// How long to wait for what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    /// For one upstream, until it counts as failed.
    pub(crate) attempt: Duration,
    /// For one upstream, until the next one is asked as well.
    pub(crate) hedge: Duration,
    /// For all of them. Less than the five seconds that resolvers wait for us.
    pub(crate) total: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self { attempt: Duration::from_secs(3), hedge: Duration::from_millis(600), total: Duration::from_millis(4500) }
    }
}

/// Asks the usable ones of `upstreams`; nothing if none of them answers.
pub(crate) async fn run(upstreams: &[Arc<Upstream>], question: &Message, timing: Timing) -> Option<Message> {
    let now = Instant::now();
    let usable: Vec<&Arc<Upstream>> = upstreams.iter().filter(|upstream| upstream.is_usable(now)).collect();
    let mut waiting: VecDeque<&Arc<Upstream>> =
        usable.iter().copied().cycle().take(ASKS.max(usable.len()) * usize::from(!usable.is_empty())).collect();
    let mut running = FuturesUnordered::new();
    let mut slow: Vec<&Arc<Upstream>> = Vec::new();
    let mut second_best = None;
    let deadline = tokio::time::sleep(timing.total);
    tokio::pin!(deadline);

    loop {
        if let Some(upstream) = waiting.pop_front() {
            running.push(async move { (upstream, upstream.ask(question, timing.attempt).await) });
            slow.push(upstream);
        } else if running.is_empty() {
            return second_best;
        }
        let hedge = tokio::time::sleep(timing.hedge);
        tokio::pin!(hedge);
        let next = tokio::select! {
            Some(done) = running.next() => Some(done),
            () = &mut hedge, if !waiting.is_empty() => None,
            () = &mut deadline => return second_best,
        };
        let Some((upstream, result)) = next else { continue };
        match result {
            Ok(reply) if is_useful(&reply) => {
                upstream.succeeded();
                // Whoever was asked before the winner and has said nothing yet let us wait.
                slow.iter().take_while(|asked| !Arc::ptr_eq(asked, upstream)).for_each(|asked| {
                    asked.failed(Instant::now());
                });
                return Some(reply);
            }
            Ok(reply) => {
                upstream.succeeded();
                slow.retain(|asked| !Arc::ptr_eq(asked, upstream));
                // Asking a server again that has just refused is no use.
                waiting.retain(|other| !Arc::ptr_eq(other, upstream));
                second_best = Some(reply);
            }
            Err(failure) => {
                tracing::debug!(upstream = %upstream.address, %failure, "no answer");
                upstream.failed(Instant::now());
                slow.retain(|asked| !Arc::ptr_eq(asked, upstream));
            }
        }
    }
}

/// Whether an answer settles the question, or another server may know better.
fn is_useful(reply: &Message) -> bool {
    matches!(reply.metadata.response_code, ResponseCode::NoError | ResponseCode::NXDomain)
}
