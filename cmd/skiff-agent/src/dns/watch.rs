//! Keeps the zone in step with the API server. While the server is away the zone stays as it was.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, TryFutureExt};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIGroup;
use kube::{
    Api, Client,
    runtime::{WatchStreamExt, watcher},
};

use super::{
    convert,
    state::{Part, State},
};
use crate::{
    api::{
        Backoff, Watched, chain,
        objects::{EndpointSlice, Namespace, Service, SliceVersion},
    },
    metrics::Counter,
};

/// The pause before the version of a kind that the server does not have is asked for again.
const NOT_SERVED_PAUSE: Duration = Duration::from_millis(100);

/// A change of one kind of objects, already in the terms of who follows it.
pub(crate) enum Change<T> {
    /// One object is new or different.
    Apply(T),
    /// One object is gone or does not matter any more: namespace and name.
    Remove(String, String),
    /// These are all objects.
    Replace(Vec<T>),
}

/// Follows all that the zone is made from. Never returns.
pub(super) async fn run(client: Client, state: Arc<State>) {
    tokio::join!(services(client.clone(), &state), namespaces(client.clone(), &state), slices(client, &state),);
}

async fn services(client: Client, state: &State) {
    loop {
        let config = watcher::Config::default().any_semantic();
        follow(Api::<Service>::all(client.clone()), config, &state.metrics.watch_errors, convert::service, |change| {
            state.change(Part::Services, |zone| match change {
                Change::Apply(service) => zone.apply_service(service),
                Change::Remove(namespace, name) => zone.remove_service(&namespace, &name),
                Change::Replace(all) => zone.replace_services(all),
            });
        })
        .await;
    }
}

async fn namespaces(client: Client, state: &State) {
    loop {
        let config = watcher::Config::default().any_semantic();
        let name = |namespace: &Namespace| namespace.metadata.name.clone();
        follow(Api::<Namespace>::all(client.clone()), config, &state.metrics.watch_errors, name, |change| {
            state.change(Part::Namespaces, |zone| match change {
                Change::Apply(name) => zone.apply_namespace(name),
                Change::Remove(_, name) => zone.remove_namespace(&name),
                Change::Replace(all) => zone.replace_namespaces(all.into_iter().collect()),
            });
        })
        .await;
    }
}

async fn slices(client: Client, state: &State) {
    loop {
        // Asked for anew whenever the server says that it has no such thing: it may have been upgraded.
        let version = slice_version(&client).await;
        tracing::info!(?version, "endpoint slices");
        let config = watcher::Config::default().any_semantic().labels("kubernetes.io/service-name");
        let api = Api::<EndpointSlice>::all_with(client.clone(), &version);
        follow(api, config, &state.metrics.watch_errors, convert::slice, |change| {
            state.change(Part::Slices, |zone| match change {
                Change::Apply(slice) => zone.apply_slice(slice),
                Change::Remove(namespace, name) => zone.remove_slice(&namespace, &name),
                Change::Replace(all) => zone.replace_slices(all),
            });
        })
        .await;
    }
}

/// The best version of EndpointSlice that the server has. Tries until the server answers.
async fn slice_version(client: &Client) -> SliceVersion {
    for wait in Backoff::default() {
        let request = http::Request::get("/apis/discovery.k8s.io").body(Vec::new());
        let answer = std::future::ready(request.map_err(kube::Error::HttpError))
            .and_then(|request| client.request::<APIGroup>(request))
            .await;
        match answer {
            Ok(group) if group.versions.iter().any(|version| version.version == "v1") => return SliceVersion::V1,
            Ok(group) if !group.versions.is_empty() => return SliceVersion::V1Beta1,
            Ok(_) => tracing::warn!("the API server has no version of discovery.k8s.io yet"),
            Err(error) => tracing::warn!(%error, "cannot ask for the versions of discovery.k8s.io"),
        }
        tokio::time::sleep(wait).await;
    }
    // The back-off never ends.
    SliceVersion::V1
}

/// Feeds `sink` with all changes of one kind of objects. Returns only if the server has no such kind.
pub(crate) async fn follow<K: Watched, T>(
    api: Api<K>,
    config: watcher::Config,
    errors: &Counter,
    convert: impl Fn(&K) -> Option<T>,
    mut sink: impl FnMut(Change<T>),
) {
    let mut events = std::pin::pin!(watcher(api, config).backoff(Backoff::default()));
    let mut listed = Vec::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(watcher::Event::Init) => listed.clear(),
            Ok(watcher::Event::InitApply(object)) => listed.extend(convert(&object)),
            Ok(watcher::Event::InitDone) => sink(Change::Replace(std::mem::take(&mut listed))),
            Ok(watcher::Event::Apply(object)) => match convert(&object) {
                Some(item) => sink(Change::Apply(item)),
                None => sink(removal(&object)),
            },
            Ok(watcher::Event::Delete(object)) => sink(removal(&object)),
            Err(error) => {
                errors.add();
                tracing::warn!(error = %chain(&error), "watch failed, what is known stays in use");
                if is_not_served(&error) {
                    tokio::time::sleep(NOT_SERVED_PAUSE).await;
                    return;
                }
            }
        }
    }
}

fn removal<K: Watched, T>(object: &K) -> Change<T> {
    let metadata = object.meta();
    Change::Remove(metadata.namespace.clone().unwrap_or_default(), metadata.name.clone().unwrap_or_default())
}

fn is_not_served(error: &watcher::Error) -> bool {
    use watcher::Error::{InitialListFailed, WatchStartFailed};
    let (InitialListFailed(cause) | WatchStartFailed(cause)) = error else { return false };
    matches!(cause, kube::Error::Api(status) if status.code == 404)
}

#[cfg(test)]
mod tests;
