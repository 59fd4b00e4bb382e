//! Objects that belong together: applied without taking from others, looked up, deleted for good.

use std::{
    cmp::Reverse,
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use k8s_openapi::{api::core::v1::Pod, apimachinery::pkg::apis::meta::v1::LabelSelector};
use kube::core::{
    Request,
    params::{DeleteParams, Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::{
    Cause, Client, FieldOwner, KubeError, Manifest, ObjectRef, Trouble,
    apply::{Deed, each, kind_of},
    deadline::{Deadline, Rests},
    follow::Collection,
    wait::selector_text,
};

/// A server that takes longer over one request is asked anew.
const ONE_REQUEST: Duration = Duration::from_secs(5);
/// A server that takes longer over a request that is sent only once does not answer. One that is emulated
/// takes more than ten seconds over all the objects of an addon, which it gets at the same time.
const ONLY_REQUEST: Duration = Duration::from_secs(30);

/// What happens to fields that somebody else wants otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// They stay theirs, and the whole object as it is.
    Yield,
    /// They become skiff's.
    TakeOver,
}

/// An object that was left as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Which.
    pub object: ObjectRef,
    /// Whose fields stand in the way.
    pub owners: Vec<FieldOwner>,
}

impl Client {
    /// Applies objects on the server's side, as field manager `skiff`, in the order in which they need
    /// each other. Returns those that were left as they are because of others' fields. An object that
    /// is being deleted is waited for.
    ///
    /// # Errors
    /// The first object that is refused, or the last trouble when `patience` is over.
    pub async fn apply_objects(
        &self,
        objects: &[Manifest],
        claim: Claim,
        patience: Duration,
    ) -> Result<Vec<Held>, KubeError> {
        let deed = if claim == Claim::TakeOver { Deed::TakeOver } else { Deed::Yield };
        let deadline = Deadline::after(patience);
        let held = Mutex::new(Vec::new());
        let mut objects = objects.to_vec();
        objects.sort_by_key(Manifest::rank);
        let places = self.places(&objects, deed, &deadline).await?;
        for rank in objects.chunk_by(|one, other| one.rank() == other.rank()) {
            let placed = rank.iter().filter_map(|manifest| Some((manifest, places.get(&kind_of(manifest))?)));
            each(placed, async |(manifest, place)| match self.one(manifest, place, deed, &deadline).await {
                Err(KubeError::Refused { source: Trouble::Owned { owners }, .. }) => {
                    let object = manifest.object();
                    held.lock().unwrap_or_else(PoisonError::into_inner).push(Held { object, owners });
                    Ok(())
                }
                done => done,
            })
            .await?;
        }
        Ok(held.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// Tries what [`apply_objects`](Self::apply_objects) would do, and changes nothing. Returns every
    /// refusal. What can only be told once other objects are there is not told.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn rehearse(&self, objects: &[Manifest], patience: Duration) -> Result<Vec<KubeError>, KubeError> {
        let deadline = Deadline::after(patience);
        let refused = Mutex::new(Vec::new());
        // A kind that comes with these objects is not served yet.
        let known: Vec<Manifest> = objects.iter().filter(|manifest| manifest.place().is_some()).cloned().collect();
        let places = self.places(&known, Deed::Rehearse, &deadline).await?;
        let placed = known.iter().filter_map(|manifest| Some((manifest, places.get(&kind_of(manifest))?)));
        each(placed, async |(manifest, place)| {
            match deadline.limit(ONLY_REQUEST, self.once(manifest, place, Deed::Rehearse)).await {
                Err(trouble) if matches!(trouble, Trouble::Owned { .. }) || trouble.is_of_the_object() => {
                    let refusal = KubeError::Refused { object: manifest.title(), source: trouble };
                    refused.lock().unwrap_or_else(PoisonError::into_inner).push(refusal);
                    Ok(())
                }
                Err(trouble @ (Trouble::Unreachable { .. } | Trouble::Untrusted { .. })) => {
                    Err(self.unavailable(trouble))
                }
                // All else may come right by itself, and is told when it is meant.
                Ok(()) | Err(_) => Ok(()),
            }
        })
        .await?;
        Ok(refused.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// Deletes objects with all that they made, in the opposite order, and waits until they are gone.
    /// Those that are absent, or of kinds that the server does not know, are no error.
    ///
    /// # Errors
    /// The first object that cannot be deleted, or that is still there when `patience` is over.
    pub async fn delete_objects(&self, objects: &[ObjectRef], patience: Duration) -> Result<(), KubeError> {
        let deadline = Deadline::after(patience);
        let mut objects: Vec<_> = objects.iter().map(|object| Manifest::new(object.clone(), Value::Null)).collect();
        objects.sort_by_key(|manifest| Reverse(manifest.rank()));
        let places = self.places(&objects, Deed::DeleteLast, &deadline).await?;
        for rank in objects.chunk_by(|one, other| one.rank() == other.rank()) {
            let placed = rank.iter().filter_map(|manifest| Some((manifest, places.get(&kind_of(manifest))?)));
            each(placed, async |(manifest, place)| {
                self.one(manifest, place, Deed::DeleteLast, &deadline).await?;
                self.until_gone(manifest, &format!("{}/{}", manifest.path(place), manifest.name), &deadline).await
            })
            .await?;
        }
        Ok(())
    }

    /// Has workloads make their pods anew, as `kubectl rollout restart` does. Other objects do not mind.
    ///
    /// # Errors
    /// The first workload that is refused.
    pub async fn restart_workloads(&self, objects: &[ObjectRef], patience: Duration) -> Result<(), KubeError> {
        let deadline = Deadline::after(patience);
        let seconds = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.as_secs());
        let annotations = json!({ "skiff.dev/restarted": seconds.to_string() });
        let patch = Patch::Merge(json!({ "spec": { "template": { "metadata": { "annotations": annotations } } } }));
        // By another name: what is applied next must not take it back, which would restart them again.
        let params = PatchParams { field_manager: Some("skiff-refresh".to_owned()), ..PatchParams::default() };
        let workloads = objects.iter().map(|object| Manifest::new(object.clone(), Value::Null));
        for workload in workloads.filter(|it| ["Deployment", "DaemonSet", "StatefulSet"].contains(&it.kind.as_str())) {
            let Some(place) = workload.place() else { continue };
            let request = Request::new(workload.path(&place)).patch(&workload.name, &params, &patch);
            let sent = async {
                self.send(request.map_err(|error| Trouble::Garbled { detail: error.to_string() })?).await.map(drop)
            };
            let refused = |source| KubeError::Refused { object: workload.title(), source };
            deadline.limit(ONLY_REQUEST, sent).await.map_err(refused)?;
        }
        Ok(())
    }

    async fn until_gone(&self, manifest: &Manifest, path: &str, deadline: &Deadline) -> Result<(), KubeError> {
        let mut rests = Rests::new();
        let mut cause = None;
        loop {
            match deadline.limit(ONE_REQUEST, self.get::<Value>(path)).await {
                Err(trouble) if trouble.code() == Some(404) => return Ok(()),
                // A request that was cut off by the deadline tells less than the one before it.
                Err(trouble) => cause = cause.or(Some(Cause::Api(trouble))),
                // Made anew by somebody: not what was deleted.
                Ok(object) if object.pointer("/metadata/deletionTimestamp").is_none() => return Ok(()),
                Ok(object) => {
                    let message = what_keeps(&object);
                    cause = Some(Cause::Warning { object: manifest.title(), message });
                    // The next answer tells whether this helped.
                    let _ = deadline.limit(ONE_REQUEST, self.end_idle_pods(manifest, &object)).await;
                }
            }
            if deadline.is_over() {
                let what = format!("the end of {}", manifest.title());
                return Err(KubeError::not_in_time(what, deadline.patience(), cause));
            }
            deadline.rest(rests.next()).await;
        }
    }

    /// Removes the leaving pods of a workload in which nothing runs: kubelets take up to a minute over
    /// a pod that never began, and there is nobody in it who could use the time.
    async fn end_idle_pods(&self, workload: &Manifest, object: &Value) -> Result<(), Trouble> {
        let selector = object.pointer("/spec/selector").cloned().map(serde_json::from_value::<LabelSelector>);
        let (Some(namespace), "apps", Some(Ok(selector))) = (&workload.namespace, workload.group(), selector) else {
            return Ok(());
        };
        let path = format!("/api/v1/namespaces/{namespace}/pods");
        let pods: Vec<Pod> = self.list(&Collection::labelled(&path, selector_text(&selector))).await?;
        for pod in pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_some() && is_idle(pod)) {
            let name = pod.metadata.name.as_deref().unwrap_or_default();
            let request = Request::new(&path).delete(name, &DeleteParams::default().grace_period(0));
            self.send(request.map_err(|error| Trouble::Garbled { detail: error.to_string() })?).await?;
        }
        Ok(())
    }

    /// Objects as they are now, in the order asked for; `None` for those that do not exist.
    ///
    /// # Errors
    /// When the API server does not answer within `patience`.
    pub async fn find_objects(
        &self,
        objects: &[ObjectRef],
        patience: Duration,
    ) -> Result<Vec<Option<Value>>, KubeError> {
        let deadline = Deadline::after(patience);
        let objects: Vec<_> = objects.iter().map(|object| Manifest::new(object.clone(), Value::Null)).collect();
        let places = self.places(&objects, Deed::Delete, &deadline).await?;
        let found = Mutex::new(vec![None; objects.len()]);
        let placed = objects.iter().map(|manifest| (manifest, places.get(&kind_of(manifest)))).enumerate();
        each(placed, async |(index, (manifest, place))| {
            let Some(place) = place else { return Ok(()) };
            let path = format!("{}/{}", manifest.path(place), manifest.name);
            match deadline.limit(ONLY_REQUEST, self.get::<Value>(&path)).await {
                Ok(object) => found.lock().unwrap_or_else(PoisonError::into_inner)[index] = Some(object),
                Err(trouble) if trouble.code() == Some(404) => {}
                Err(trouble) => return Err(self.unavailable(trouble)),
            }
            Ok(())
        })
        .await?;
        Ok(found.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// The ConfigMaps of a namespace that have a label.
    ///
    /// # Errors
    /// When the API server does not answer within `patience`.
    pub async fn config_maps(&self, namespace: &str, label: &str, patience: Duration) -> Result<Vec<Value>, KubeError> {
        let path = format!("/api/v1/namespaces/{namespace}/configmaps?labelSelector={label}");
        let deadline = Deadline::after(patience);
        let mut rests = Rests::new();
        loop {
            match deadline.limit(ONE_REQUEST, self.get::<Value>(&path)).await {
                Ok(mut list) => {
                    return Ok(match list.get_mut("items").map(Value::take) {
                        Some(Value::Array(items)) => items,
                        _ => Vec::new(),
                    });
                }
                Err(trouble) if deadline.is_over() || matches!(trouble, Trouble::Untrusted { .. }) => {
                    return Err(self.unavailable(trouble));
                }
                Err(_) => deadline.rest(rests.next()).await,
            }
        }
    }
}

/// True if none of the pod's containers runs.
fn is_idle(pod: &Pod) -> bool {
    let Some(status) = &pod.status else { return true };
    let containers = status.container_statuses.iter().chain(&status.init_container_statuses).flatten();
    containers.into_iter().all(|container| container.state.as_ref().is_none_or(|state| state.running.is_none()))
}

/// Why an object that is deleted is still there.
fn what_keeps(object: &Value) -> String {
    let finalizers = object.pointer("/metadata/finalizers").and_then(Value::as_array);
    let names: Vec<&str> = finalizers.into_iter().flatten().filter_map(Value::as_str).collect();
    if names.is_empty() {
        "it is still going away".to_owned()
    } else {
        format!("it waits for its finalizers ({})", names.join(", "))
    }
}
