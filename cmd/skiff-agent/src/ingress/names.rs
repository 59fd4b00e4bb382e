//! The addresses of the names that services of type ExternalName stand for.

use std::{
    collections::{HashMap, HashSet},
    net::{IpAddr, SocketAddr},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use hickory_proto::rr::Name;
use tokio::sync::watch;

use super::{reload::Outcome, state::State};
use crate::{address::addresses, dns::forward::Upstream, resolv::ResolvConf};

/// How long the name server may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long an answer holds.
const KEPT: Duration = Duration::from_secs(30);
/// When a name that could not be asked for is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(3);
/// The port that a `resolv.conf` means.
const DNS_PORT: u16 = 53;

/// Asks the first name server of this file, which in a pod is cluster DNS. Never returns.
pub(super) async fn run(file: &Path, state: &State, mut outcome: watch::Receiver<Arc<Outcome>>) {
    let mut asked: HashMap<String, Instant> = HashMap::new();
    loop {
        let wanted: HashSet<String> = outcome.borrow_and_update().names.iter().cloned().collect();
        asked.retain(|name, _| wanted.contains(name));
        if state.read(|objects| objects.names.keys().any(|name| !wanted.contains(name))) {
            state.change(|objects| objects.names.retain(|name, _| wanted.contains(name)));
        }
        let due: Vec<&String> =
            wanted.iter().filter(|name| asked.get(*name).is_none_or(|next| *next <= Instant::now())).collect();
        let server = ResolvConf::read(file).ok().and_then(|conf| conf.servers.first().copied());
        let server = server.map(|ip| Upstream::new(SocketAddr::new(ip, DNS_PORT)));
        let answers = join_all(due.into_iter().map(|name| ask(server.as_ref(), name))).await;
        for (name, answer) in answers {
            let pause = if answer.is_some() { KEPT } else { TRY_AGAIN };
            asked.insert(name.clone(), Instant::now() + pause);
            tell(state, name, answer);
        }
        let next = asked.values().min().map(|next| next.saturating_duration_since(Instant::now()));
        match next {
            Some(pause) => drop(tokio::time::timeout(pause, outcome.changed()).await),
            None => drop(outcome.changed().await),
        }
    }
}

/// A name and its addresses; none if nobody could tell.
async fn ask(server: Option<&Upstream>, name: &str) -> (String, Option<Vec<IpAddr>>) {
    let answer = async {
        let Ok(mut full) = Name::from_utf8(name) else { return Some(Vec::new()) };
        full.set_fqdn(true);
        match addresses(server?, &full, PATIENCE).await {
            Ok(addresses) => Some(addresses),
            Err(error) => {
                tracing::warn!(name, %error, "cannot ask for the addresses of a name");
                None
            }
        }
    };
    (name.to_owned(), answer.await)
}

/// Takes an answer over. What was known stays where there is none.
fn tell(state: &State, name: String, answer: Option<Vec<IpAddr>>) {
    let Some(mut found) = answer else { return };
    found.sort_unstable();
    if state.read(|objects| objects.names.get(&name) != Some(&found)) {
        state.change(|objects| drop(objects.names.insert(name, found)));
    }
}
