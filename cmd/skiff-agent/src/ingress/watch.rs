//! Keeps the objects in step with the API server. While the server is away everything stays as it was.

use std::{collections::HashMap, hash::Hash, time::Duration};

use futures_util::StreamExt;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIGroup;
use kube::{
    Api, Client,
    runtime::{WatchStreamExt, watcher},
};

use super::{
    gateway,
    metrics::IngressMetrics,
    objects::{Id, Ingress, IngressClass, Objects, Secret},
    state::{Part, State},
};
use crate::api::{
    Backoff, Watched, chain,
    objects::{EndpointSlice, Service, SliceVersion},
};

/// The pause before the version of a kind that the server does not have is asked for again.
const NOT_SERVED_PAUSE: Duration = Duration::from_millis(100);
/// Secrets of these types hold neither certificates nor passwords for ingresses.
const OTHER_SECRETS: &str = "type!=kubernetes.io/service-account-token,type!=helm.sh/release.v1,\
                             type!=bootstrap.kubernetes.io/token,type!=kubernetes.io/dockerconfigjson";
/// The keys of secrets that ingresses can ask for.
const SECRET_KEYS: [&str; 3] = ["tls.crt", "tls.key", "auth"];

/// A place for objects of one kind.
pub(super) trait Place<K> {
    fn put(&mut self, id: Id, object: K);
    fn take(&mut self, id: &Id);
    fn replace(&mut self, all: Vec<(Id, K)>);
}

impl<K> Place<K> for HashMap<Id, K>
where
    Id: Hash,
{
    fn put(&mut self, id: Id, object: K) {
        self.insert(id, object);
    }

    fn take(&mut self, id: &Id) {
        self.remove(id);
    }

    fn replace(&mut self, all: Vec<(Id, K)>) {
        *self = all.into_iter().collect();
    }
}

impl<K> Place<K> for std::collections::BTreeMap<Id, K> {
    fn put(&mut self, id: Id, object: K) {
        self.insert(id, object);
    }

    fn take(&mut self, id: &Id) {
        self.remove(id);
    }

    fn replace(&mut self, all: Vec<(Id, K)>) {
        *self = all.into_iter().collect();
    }
}

/// Follows all that routes are made from. Never returns.
pub(super) async fn run(client: Client, state: &State, metrics: &IngressMetrics) {
    tokio::join!(
        everywhere::<IngressClass, _>(&client, state, metrics, Part::Classes, |objects| &mut objects.classes),
        everywhere::<Ingress, _>(&client, state, metrics, Part::Ingresses, |objects| &mut objects.ingresses),
        everywhere::<Service, _>(&client, state, metrics, Part::Services, |objects| &mut objects.services),
        secrets(&client, state, metrics),
        slices(&client, state, metrics),
        gateway::watch::run(&client, state, metrics),
    );
}

async fn everywhere<K: Watched<DynamicType = ()>, P: Place<K>>(
    client: &Client,
    state: &State,
    metrics: &IngressMetrics,
    part: Part,
    place: impl Fn(&mut Objects) -> &mut P,
) {
    loop {
        everything(client, state, metrics, part, &place).await;
    }
}

/// Follows a kind that the server may not have. Returns when it has it no more.
pub(super) async fn everything<K: Watched<DynamicType = ()>, P: Place<K>>(
    client: &Client,
    state: &State,
    metrics: &IngressMetrics,
    part: Part,
    place: impl Fn(&mut Objects) -> &mut P,
) {
    let config = watcher::Config::default().any_semantic();
    follow(Api::<K>::all(client.clone()), config, state, metrics, part, Some, &place).await;
}

async fn secrets(client: &Client, state: &State, metrics: &IngressMetrics) {
    loop {
        let config = watcher::Config::default().any_semantic().fields(OTHER_SECRETS);
        let api = Api::<Secret>::all(client.clone());
        follow(api, config, state, metrics, Part::Secrets, useful, |objects| &mut objects.secrets).await;
    }
}

/// A secret without what no ingress can ask for.
fn useful(mut secret: Secret) -> Option<Secret> {
    let data = secret.data.as_mut()?;
    data.retain(|key, _| SECRET_KEYS.contains(&key.as_str()));
    if data.is_empty() { None } else { Some(secret) }
}

async fn slices(client: &Client, state: &State, metrics: &IngressMetrics) {
    loop {
        // Asked for anew whenever the server says that it has no such thing: it may have been upgraded.
        let version = slice_version(client).await;
        let config = watcher::Config::default().any_semantic().labels("kubernetes.io/service-name");
        let api = Api::<EndpointSlice>::all_with(client.clone(), &version);
        follow(api, config, state, metrics, Part::Slices, Some, |objects| &mut objects.slices).await;
    }
}

/// The best version of EndpointSlice that the server has. Tries until the server answers.
async fn slice_version(client: &Client) -> SliceVersion {
    for wait in Backoff::default() {
        match versions(client, "discovery.k8s.io").await {
            Ok(versions) if versions.iter().any(|version| version == "v1") => return SliceVersion::V1,
            Ok(versions) if !versions.is_empty() => return SliceVersion::V1Beta1,
            Ok(_) => tracing::warn!("the API server has no version of discovery.k8s.io yet"),
            Err(error) => tracing::warn!(error = %chain(&error), "cannot ask for the versions of discovery.k8s.io"),
        }
        tokio::time::sleep(wait).await;
    }
    // The back-off never ends.
    SliceVersion::V1
}

/// The versions of a group that the server has; none if it does not know the group.
pub(super) async fn versions(client: &Client, group: &str) -> Result<Vec<String>, kube::Error> {
    let request = http::Request::get(format!("/apis/{group}")).body(Vec::new()).map_err(kube::Error::HttpError)?;
    match client.request::<APIGroup>(request).await {
        Ok(group) => Ok(group.versions.into_iter().map(|version| version.version).collect()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Follows all objects of one kind. Returns only if the server has no such kind.
async fn follow<K: Watched, P: Place<K>>(
    api: Api<K>,
    config: watcher::Config,
    state: &State,
    metrics: &IngressMetrics,
    part: Part,
    useful: impl Fn(K) -> Option<K>,
    place: impl Fn(&mut Objects) -> &mut P,
) {
    // Who wrote which field takes more memory than the fields, and nobody asks for it here.
    let trim = |mut object: K| {
        object.meta_mut().managed_fields = None;
        let id = Id::of(&object);
        (id, useful(object))
    };
    let mut events = std::pin::pin!(watcher(api, config).backoff(Backoff::default()));
    let mut listed = Vec::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(watcher::Event::Init) => listed.clear(),
            Ok(watcher::Event::InitApply(object)) => {
                let (id, object) = trim(object);
                listed.extend(object.map(|object| (id, object)));
            }
            Ok(watcher::Event::InitDone) => {
                state.change(|objects| place(objects).replace(std::mem::take(&mut listed)));
                state.fill(part);
            }
            Ok(watcher::Event::Apply(object)) => {
                let (id, object) = trim(object);
                state.change(|objects| match object {
                    Some(object) => place(objects).put(id, object),
                    None => place(objects).take(&id),
                });
            }
            Ok(watcher::Event::Delete(object)) => state.change(|objects| place(objects).take(&Id::of(&object))),
            Err(error) => {
                metrics.watch_errors.add();
                tracing::warn!(error = %chain(&error), "watch failed, what is known stays in use");
                if is_not_served(&error) {
                    tokio::time::sleep(NOT_SERVED_PAUSE).await;
                    return;
                }
            }
        }
    }
}

fn is_not_served(error: &watcher::Error) -> bool {
    use watcher::Error::{InitialListFailed, WatchStartFailed};
    let (InitialListFailed(cause) | WatchStartFailed(cause)) = error else { return false };
    matches!(cause, kube::Error::Api(status) if status.code == 404)
}
