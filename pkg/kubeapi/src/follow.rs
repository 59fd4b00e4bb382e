//! Objects as they change: one list, then a watch, and all over again whenever the watch breaks.

use std::{collections::BTreeMap, pin::pin, time::Duration};

use futures_util::TryStreamExt;
use k8s_openapi::{Metadata, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::core::{
    Request, WatchEvent,
    params::{ListParams, WatchParams},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::time::timeout;

use crate::{
    Client, Trouble,
    deadline::{Deadline, Rests},
    progress::Progress,
};

/// A server that takes longer to list a few objects is asked anew.
const ONE_LIST: Duration = Duration::from_secs(5);
/// The longest watch; servers end them about then anyway.
const LONGEST_WATCH: u64 = 290;

/// Objects by `namespace/name` (or only a name).
pub(crate) type Objects<K> = BTreeMap<String, K>;

/// What objects can be told apart by.
pub(crate) trait Object:
    Metadata<Ty = ObjectMeta> + DeserializeOwned + Serialize + Clone + Send + 'static
{
}
impl<K: Metadata<Ty = ObjectMeta> + DeserializeOwned + Serialize + Clone + Send + 'static> Object for K {}

/// Which objects to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Collection {
    path: String,
    fields: Option<String>,
    labels: Option<String>,
}

impl Collection {
    /// All objects under a path such as `/api/v1/nodes`.
    pub(crate) fn all(path: impl Into<String>) -> Self {
        Self { path: path.into(), fields: None, labels: None }
    }

    /// The one object of that name.
    pub(crate) fn named(path: impl Into<String>, name: &str) -> Self {
        Self { fields: Some(format!("metadata.name={name}")), ..Self::all(path) }
    }

    /// The objects with these labels.
    pub(crate) fn labelled(path: impl Into<String>, selector: impl Into<String>) -> Self {
        Self { labels: Some(selector.into()), ..Self::all(path) }
    }

    /// Those among them that are on a node.
    pub(crate) fn of_node(self, node: &str) -> Self {
        Self { fields: Some(format!("spec.nodeName={node}")), ..self }
    }

    fn list_request(&self) -> Result<http::Request<Vec<u8>>, Trouble> {
        let mut params = ListParams::default();
        params.field_selector.clone_from(&self.fields);
        params.label_selector.clone_from(&self.labels);
        Request::new(&self.path).list(&params).map_err(|error| Trouble::Garbled { detail: error.to_string() })
    }

    fn watch_request(&self, version: &str, left: Duration) -> Result<http::Request<Vec<u8>>, Trouble> {
        let seconds = (left.as_secs() + 1).min(LONGEST_WATCH);
        let mut params = WatchParams::default().timeout(u32::try_from(seconds).unwrap_or(u32::MAX));
        params.field_selector.clone_from(&self.fields);
        params.label_selector.clone_from(&self.labels);
        Request::new(&self.path).watch(&params, version).map_err(|error| Trouble::Garbled { detail: error.to_string() })
    }
}

/// The state of things when patience was over.
#[derive(Debug)]
pub(crate) struct Unmet<K> {
    /// The objects as last seen.
    pub(crate) objects: Objects<K>,
    /// The trouble of the last request, if it failed.
    pub(crate) trouble: Option<Trouble>,
}

#[derive(Deserialize)]
struct List<K> {
    metadata: ListMetadata,
    // Go writes an empty list as null in places.
    items: Option<Vec<K>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListMetadata {
    #[serde(default)]
    resource_version: String,
}

impl Client {
    /// The objects as they are now.
    pub(crate) async fn list<K: Object>(&self, collection: &Collection) -> Result<Vec<K>, Trouble> {
        Ok(self.list_at(collection).await?.0.into_values().collect())
    }

    /// Looks at objects until `judge` has seen enough. It is called after the list and after every change.
    pub(crate) async fn follow<K: Object, T>(
        &self,
        collection: Collection,
        deadline: &Deadline,
        mut judge: impl FnMut(&Objects<K>) -> Option<T>,
    ) -> Result<T, Unmet<K>> {
        let mut last = Unmet { objects: Objects::new(), trouble: None };
        let mut rests = Rests::new();
        let mut progress = Progress::default();
        let mut judge = |objects: &Objects<K>| {
            if further(&mut progress, objects) {
                deadline.progress();
            }
            judge(objects)
        };
        loop {
            match deadline.limit(ONE_LIST, self.list_at(&collection)).await {
                Ok((objects, version)) => {
                    last = Unmet { objects, trouble: None };
                    if let Some(verdict) = judge(&last.objects) {
                        return Ok(verdict);
                    }
                    rests.reset();
                    match self.watch(&collection, &version, deadline, &mut last.objects, &mut judge).await {
                        Ok(Some(verdict)) => return Ok(verdict),
                        Ok(None) => {}
                        Err(trouble) => last.trouble = Some(trouble),
                    }
                }
                Err(trouble @ Trouble::Untrusted { .. }) => {
                    return Err(Unmet { trouble: Some(trouble), ..last });
                }
                // A request cut off by the deadline tells less than the one before it.
                Err(trouble) if deadline.is_over() => {
                    let trouble = last.trouble.or(Some(trouble));
                    return Err(Unmet { trouble, ..last });
                }
                Err(trouble) => last.trouble = Some(trouble),
            }
            if deadline.is_over() {
                return Err(last);
            }
            deadline.rest(rests.next()).await;
        }
    }

    /// Tells objects after the list and after every change, and each trouble that comes between. Goes on
    /// until `tell` returns false.
    pub(crate) async fn observe<K: Object>(
        &self,
        collection: Collection,
        mut tell: impl FnMut(Result<&Objects<K>, Trouble>) -> bool,
    ) {
        let deadline = Deadline::after(Duration::MAX);
        let mut rests = Rests::new();
        loop {
            let trouble = match deadline.limit(ONE_LIST, self.list_at(&collection)).await {
                Ok((mut objects, version)) => {
                    rests.reset();
                    if !tell(Ok(&objects)) {
                        return;
                    }
                    let mut judge = |objects: &Objects<K>| (!tell(Ok(objects))).then_some(());
                    match self.watch(&collection, &version, &deadline, &mut objects, &mut judge).await {
                        Ok(Some(())) => return,
                        Ok(None) => None,
                        Err(trouble) => Some(trouble),
                    }
                }
                Err(trouble) => Some(trouble),
            };
            if trouble.is_some_and(|trouble| !tell(Err(trouble))) {
                return;
            }
            deadline.rest(rests.next()).await;
        }
    }

    async fn list_at<K: Object>(&self, collection: &Collection) -> Result<(Objects<K>, String), Trouble> {
        let text = self.send(collection.list_request()?).await?;
        let list: List<K> =
            serde_json::from_str(&text).map_err(|error| Trouble::Garbled { detail: error.to_string() })?;
        let items = list.items.unwrap_or_default();
        Ok((items.into_iter().map(|item| (key(&item), item)).collect(), list.metadata.resource_version))
    }

    /// Applies changes to `objects` until `judge` has seen enough, the watch ends, or patience does.
    async fn watch<K: Object, T>(
        &self,
        collection: &Collection,
        version: &str,
        deadline: &Deadline,
        objects: &mut Objects<K>,
        judge: &mut impl FnMut(&Objects<K>) -> Option<T>,
    ) -> Result<Option<T>, Trouble> {
        let request = collection.watch_request(version, deadline.left())?;
        let Ok(opened) = timeout(deadline.left(), self.kube.request_events::<K>(request)).await else {
            return Ok(None);
        };
        let mut events = pin!(opened?);
        loop {
            let Ok(event) = timeout(deadline.left(), events.try_next()).await else { return Ok(None) };
            match event? {
                Some(WatchEvent::Added(object) | WatchEvent::Modified(object)) => {
                    objects.insert(key(&object), object);
                }
                Some(WatchEvent::Deleted(object)) => {
                    objects.remove(&key(&object));
                }
                Some(WatchEvent::Bookmark(_)) => continue,
                // The version is too old, or the server ends the watch: a new list follows.
                Some(WatchEvent::Error(_)) | None => return Ok(None),
            }
            if let Some(verdict) = judge(objects) {
                return Ok(Some(verdict));
            }
        }
    }
}

/// True if any of the objects shows something for the first time.
fn further<K: Object>(progress: &mut Progress, objects: &Objects<K>) -> bool {
    let mut any = false;
    // All of them are noted, so that none counts later. What cannot be written down is no progress.
    for (name, object) in objects {
        any |= serde_json::to_value(object).is_ok_and(|object| progress.note(name, &object));
    }
    any
}

/// `namespace/name`, or the name of an object without a namespace.
pub(crate) fn key<K: Metadata<Ty = ObjectMeta>>(object: &K) -> String {
    let metadata = object.metadata();
    let name = metadata.name.as_deref().unwrap_or_default();
    match &metadata.namespace {
        Some(namespace) => format!("{namespace}/{name}"),
        None => name.to_owned(),
    }
}
