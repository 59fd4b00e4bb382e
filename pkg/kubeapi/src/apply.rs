//! Server-side apply and delete of manifests.

use std::{collections::BTreeMap, time::Duration};

use futures_util::{TryStreamExt, stream};
use kube::core::{
    Request,
    params::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde::Deserialize;
use tokio::time::Instant;

use crate::{
    Client, KubeError, Trouble,
    deadline::{Deadline, Rests},
    manifest::{self, Manifest, Place},
    trouble::Again,
};

/// Who owns the fields that skiff applies.
const FIELD_MANAGER: &str = "skiff";
/// More at once only means more TLS handshakes on a server that is busy starting.
const AT_ONCE: usize = 6;
/// How long a cluster's birth can be the excuse for a refusal.
const BIRTH: Duration = Duration::from_secs(10);
/// A server that takes longer over one object is asked anew.
const ONE_OBJECT: Duration = Duration::from_secs(15);

/// What is done to each object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed {
    /// Applied, winning over others.
    TakeOver,
    /// Applied, but for the fields that somebody else wants otherwise.
    Yield,
    /// Only tried.
    Rehearse,
    Delete,
    /// Deleted after all that it made.
    DeleteLast,
}

impl Deed {
    fn is_delete(self) -> bool {
        matches!(self, Self::Delete | Self::DeleteLast)
    }
}

impl Client {
    /// Applies YAML documents on the server's side, as field manager `skiff`, winning over others.
    /// Namespaces come first, then kinds, rules, what pods need, workloads, and all else; what does
    /// not depend on each other goes at once. May be called again with the same or other content.
    ///
    /// # Errors
    /// A manifest that cannot be read (nothing is sent then), the first object that is refused, or
    /// the last trouble when `patience` is over.
    pub async fn apply(&self, manifests: &str, patience: Duration) -> Result<(), KubeError> {
        let mut manifests = manifest::read(manifests)?;
        manifests.sort_by_key(Manifest::rank);
        self.all(manifests, Deed::TakeOver, patience).await
    }

    /// Deletes the objects of YAML documents, in the opposite order. Objects that are absent, or of
    /// kinds that the server does not know, are no error. Does not wait until they are gone.
    ///
    /// # Errors
    /// A manifest that cannot be read (nothing is sent then), the first object that cannot be deleted,
    /// or the last trouble when `patience` is over.
    pub async fn delete(&self, manifests: &str, patience: Duration) -> Result<(), KubeError> {
        let mut manifests = manifest::read(manifests)?;
        manifests.sort_by_key(|manifest| std::cmp::Reverse(manifest.rank()));
        self.all(manifests, Deed::Delete, patience).await
    }

    /// Rank after rank, and the objects of a rank at once.
    async fn all(&self, manifests: Vec<Manifest>, deed: Deed, patience: Duration) -> Result<(), KubeError> {
        let deadline = Deadline::after(patience);
        let places = self.places(&manifests, deed, &deadline).await?;
        for rank in manifests.chunk_by(|one, other| one.rank() == other.rank()) {
            let objects = rank.iter().filter_map(|manifest| Some((manifest, places.get(&kind_of(manifest))?)));
            each(objects, |(manifest, place)| self.one(manifest, place, deed, &deadline)).await?;
        }
        Ok(())
    }

    /// One object, again and again while that may help.
    pub(crate) async fn one(
        &self,
        manifest: &Manifest,
        place: &Place,
        deed: Deed,
        deadline: &Deadline,
    ) -> Result<(), KubeError> {
        let begin = Instant::now();
        let mut rests = Rests::new();
        let mut told = None;
        loop {
            let trouble = match (deadline.limit(ONE_OBJECT, self.once(manifest, place, deed)).await, told) {
                (Ok(()), _) => return Ok(()),
                // A request that was cut off by the deadline tells less than the one before it.
                (Err(trouble), Some(before)) if trouble == Trouble::slow() => before,
                (Err(trouble), _) => trouble,
            };
            let again = match trouble.again() {
                // The kind was defined a moment ago, by us, and is not served yet.
                Again::No if trouble.code() == Some(404) && manifest.place().is_none() => Again::Briefly,
                again => again,
            };
            let hopeless = match again {
                Again::Yes => false,
                Again::Briefly => begin.elapsed() > BIRTH,
                Again::No => true,
            };
            if hopeless || deadline.is_over() {
                return Err(KubeError::Refused { object: manifest.title(), source: trouble });
            }
            told = Some(trouble);
            deadline.rest(rests.next()).await;
        }
    }

    pub(crate) async fn once(&self, manifest: &Manifest, place: &Place, deed: Deed) -> Result<(), Trouble> {
        if manifest.kind == "APIService" && !deed.is_delete() {
            return self.merge(manifest, place, deed).await;
        }
        let target = Request::new(manifest.path(place));
        let apply = |params: &PatchParams| target.patch(&manifest.name, params, &Patch::Apply(&manifest.body));
        let params = PatchParams::apply(FIELD_MANAGER);
        let request = match deed {
            Deed::TakeOver => apply(&params.force()),
            Deed::Yield => apply(&params),
            Deed::Rehearse => apply(&params.dry_run()),
            Deed::Delete => target.delete(&manifest.name, &DeleteParams::background()),
            Deed::DeleteLast => target.delete(&manifest.name, &DeleteParams::foreground()),
        };
        let request = request.map_err(|error| Trouble::Garbled { detail: error.to_string() })?;
        match self.send(request).await {
            Err(trouble) if deed.is_delete() && trouble.code() == Some(404) => Ok(()),
            // What is applied to an object that is going away goes with it.
            Ok(body) if !deed.is_delete() && is_leaving(&body) => Err(leaving()),
            answer => answer.map(drop),
        }
    }

    /// Changes an object so that it has what the manifest says, or makes it. The part of the API server
    /// that keeps APIServices breaks off the connection when 1.20 is to apply one by itself.
    async fn merge(&self, manifest: &Manifest, place: &Place, deed: Deed) -> Result<(), Trouble> {
        let target = Request::new(manifest.path(place));
        let garbled = |error: &dyn std::error::Error| Trouble::Garbled { detail: error.to_string() };
        let (manager, dry_run) = (Some(FIELD_MANAGER.to_owned()), deed == Deed::Rehearse);
        let params = PatchParams { field_manager: manager.clone(), dry_run, ..PatchParams::default() };
        let change = target.patch(&manifest.name, &params, &Patch::Merge(&manifest.body));
        match self.send(change.map_err(|error| garbled(&error))?).await {
            Ok(body) if is_leaving(&body) => Err(leaving()),
            Err(trouble) if trouble.code() == Some(404) => {
                let body = serde_json::to_vec(&manifest.body).map_err(|error| garbled(&error))?;
                let params = PostParams { field_manager: manager, dry_run };
                let request = target.create(&params, body).map_err(|error| garbled(&error))?;
                self.send(request).await.map(drop)
            }
            answer => answer.map(drop),
        }
    }

    /// Where the kinds of these manifests live. The server is asked only about kinds that are neither
    /// part of Kubernetes nor defined by the manifests themselves.
    pub(crate) async fn places(
        &self,
        manifests: &[Manifest],
        deed: Deed,
        deadline: &Deadline,
    ) -> Result<BTreeMap<Kind, Place>, KubeError> {
        let mut places: BTreeMap<Kind, Place> = manifests.iter().filter_map(defined_kind).flatten().collect();
        for manifest in manifests {
            let kind = kind_of(manifest);
            if let Some(place) = manifest.place() {
                places.insert(kind, place);
            } else if !places.contains_key(&kind)
                && let Some(place) = self.discover(manifest, deed, deadline).await?
            {
                places.insert(kind, place);
            }
        }
        Ok(places)
    }

    /// Asks the server where a kind lives. `None`: it has no such kind, and nothing is to be made of it.
    async fn discover(&self, manifest: &Manifest, deed: Deed, deadline: &Deadline) -> Result<Option<Place>, KubeError> {
        let begin = Instant::now();
        let mut rests = Rests::new();
        let path = if manifest.group().is_empty() { "/api/" } else { "/apis/" }.to_owned() + &manifest.version;
        loop {
            let answer = deadline.limit(ONE_OBJECT, self.get::<Resources>(&path)).await;
            let trouble = match answer {
                Ok(resources) => match resources.place(&manifest.kind) {
                    Some(place) => return Ok(Some(place)),
                    None => unknown_kind(manifest),
                },
                Err(trouble) if trouble.code() == Some(404) => unknown_kind(manifest),
                Err(trouble) => trouble,
            };
            let unknown = trouble.code() == Some(404);
            if unknown && (deed.is_delete() || deed == Deed::Rehearse) {
                return Ok(None);
            }
            // Some other program may be defining the kind right now.
            let hopeless = begin.elapsed() > BIRTH && trouble.again() != Again::Yes;
            if hopeless || deadline.is_over() || matches!(trouble, Trouble::Untrusted { .. }) {
                return Err(KubeError::Refused { object: manifest.title(), source: trouble });
            }
            deadline.rest(rests.next()).await;
        }
    }
}

/// Does something to objects, some at once, up to the first that fails.
pub(crate) async fn each<T, F: Future<Output = Result<(), KubeError>>>(
    objects: impl Iterator<Item = T>,
    act: impl FnMut(T) -> F,
) -> Result<(), KubeError> {
    stream::iter(objects.map(Ok)).try_for_each_concurrent(AT_ONCE, act).await
}

/// True for an object that is being deleted.
fn is_leaving(body: &str) -> bool {
    // Most answers are told apart without being read.
    body.contains("deletionTimestamp")
        && serde_json::from_str::<serde_json::Value>(body)
            .is_ok_and(|object| object.pointer("/metadata/deletionTimestamp").is_some())
}

fn leaving() -> Trouble {
    let message = "it is still being deleted".to_owned();
    Trouble::Answer { code: 409, reason: "Conflict".to_owned(), message }
}

/// `apiVersion` and kind.
pub(crate) type Kind = (String, String);

pub(crate) fn kind_of(manifest: &Manifest) -> Kind {
    (manifest.version.clone(), manifest.kind.clone())
}

/// The kinds, one a version, that a CustomResourceDefinition defines.
fn defined_kind(manifest: &Manifest) -> Option<Vec<(Kind, Place)>> {
    if manifest.kind != "CustomResourceDefinition" {
        return None;
    }
    let text = |pointer: &str| Some(manifest.body.pointer(pointer)?.as_str()?.to_owned());
    let group = text("/spec/group")?;
    let kind = text("/spec/names/kind")?;
    let plural = text("/spec/names/plural")?;
    let place = Place { plural: plural.into(), namespaced: text("/spec/scope")? == "Namespaced" };
    let versions = manifest.body.pointer("/spec/versions")?.as_array()?;
    let names = versions.iter().filter_map(|version| version.get("name")?.as_str());
    Some(names.map(|name| ((format!("{group}/{name}"), kind.clone()), place.clone())).collect())
}

fn unknown_kind(manifest: &Manifest) -> Trouble {
    Trouble::Answer {
        code: 404,
        reason: "NotFound".to_owned(),
        message: format!("the cluster has no kind {} in {}", manifest.kind, manifest.version),
    }
}

/// The server's answer about one group and version.
#[derive(Deserialize)]
struct Resources {
    resources: Vec<Resource>,
}

#[derive(Deserialize)]
struct Resource {
    name: String,
    kind: String,
    namespaced: bool,
}

impl Resources {
    /// Subresources have a slash in their name.
    fn place(self, kind: &str) -> Option<Place> {
        let found = self.resources.into_iter().find(|it| it.kind == kind && !it.name.contains('/'))?;
        Some(Place { plural: found.name.into(), namespaced: found.namespaced })
    }
}
