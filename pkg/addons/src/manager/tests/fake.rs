//! An API in memory.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard},
    time::{Duration, SystemTime},
};

use serde_json::{Value, json};
use skiff_kubeapi::{Cause, Claim, Condition, FieldOwner, Held, KubeError, Manifest, ObjectRef, Trouble};

use crate::{Objects, render::LABEL};

/// A ConfigMap, of an addon or of nobody.
pub(super) fn object(name: &str, addon: &str, data: Value) -> Manifest {
    let (api_version, kind) = ("v1".to_owned(), "ConfigMap".to_owned());
    let reference = ObjectRef { api_version, kind, namespace: Some("x".to_owned()), name: name.to_owned() };
    let labels = if addon.is_empty() { json!({}) } else { json!({ LABEL: addon }) };
    let metadata = json!({ "name": name, "namespace": "x", "labels": labels });
    Manifest::new(reference, json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data }))
}

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Manifest>,
    /// Objects with a field of somebody else's.
    owned: BTreeMap<String, String>,
    broken: BTreeSet<String>,
    changes: usize,
    /// How many more changes there may be.
    left: Option<usize>,
}

#[derive(Default)]
pub(super) struct FakeApi(Mutex<State>);

fn cut_off() -> KubeError {
    let source = Trouble::Unreachable { detail: "cut off".to_owned() };
    KubeError::Unavailable { server: "x".to_owned(), source }
}

impl State {
    fn change(&mut self) -> Result<(), KubeError> {
        match &mut self.left {
            Some(0) => return Err(cut_off()),
            Some(left) => *left -= 1,
            None => {}
        }
        self.changes += 1;
        Ok(())
    }

    fn owners(&self, name: &str) -> Option<Vec<FieldOwner>> {
        let manager = self.owned.get(name)?.clone();
        Some(vec![FieldOwner { field: ".data.is".to_owned(), manager }])
    }
}

impl FakeApi {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub(super) fn copy(other: &Self) -> Self {
        let copy = Self::default();
        copy.state().objects.clone_from(&other.state().objects);
        copy
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.state().objects.keys().cloned().collect()
    }

    pub(super) fn body(&self, name: &str) -> Value {
        self.state().objects[name].body().clone()
    }

    pub(super) fn put(&self, object: &Manifest) {
        self.state().objects.insert(object.object().name, object.clone());
    }

    pub(super) fn remove(&self, name: &str) {
        self.state().objects.remove(name);
    }

    pub(super) fn owned_by(&self, name: &str, manager: &str) {
        self.state().owned.insert(name.to_owned(), manager.to_owned());
    }

    pub(super) fn breaks(&self, name: &str) {
        self.state().broken.insert(name.to_owned());
    }

    pub(super) fn works(&self, name: &str) {
        self.state().broken.remove(name);
    }

    pub(super) fn cut_off_after(&self, changes: usize) {
        self.state().left = Some(changes);
    }

    pub(super) fn go_on(&self) {
        self.state().left = None;
    }

    pub(super) fn changes(&self) -> usize {
        self.state().changes
    }
}

impl Objects for FakeApi {
    async fn apply_objects(&self, objects: &[Manifest], claim: Claim, _: Duration) -> Result<Vec<Held>, KubeError> {
        let (mut state, mut held) = (self.state(), Vec::new());
        for manifest in objects {
            let object = manifest.object();
            match state.owners(&object.name).filter(|_| claim == Claim::Yield) {
                Some(owners) => held.push(Held { object, owners }),
                None => {
                    state.change()?;
                    state.objects.insert(object.name, manifest.clone());
                }
            }
        }
        Ok(held)
    }

    async fn rehearse(&self, objects: &[Manifest], _: Duration) -> Result<Vec<KubeError>, KubeError> {
        let state = self.state();
        let refusal = |manifest: &Manifest| {
            let source = Trouble::Owned { owners: state.owners(&manifest.object().name)? };
            Some(KubeError::Refused { object: manifest.object().to_string(), source })
        };
        Ok(objects.iter().filter_map(refusal).collect())
    }

    async fn delete_objects(&self, objects: &[ObjectRef], _: Duration) -> Result<(), KubeError> {
        let mut state = self.state();
        for object in objects {
            if state.objects.contains_key(&object.name) {
                state.change()?;
                state.objects.remove(&object.name);
            }
        }
        Ok(())
    }

    async fn restart_workloads(&self, _: &[ObjectRef], _: Duration) -> Result<(), KubeError> {
        Ok(())
    }

    async fn find_objects(&self, objects: &[ObjectRef], _: Duration) -> Result<Vec<Option<Value>>, KubeError> {
        let state = self.state();
        Ok(objects.iter().map(|it| state.objects.get(&it.name).map(|it| it.body().clone())).collect())
    }

    async fn config_maps(&self, _: &str, label: &str, patience: Duration) -> Result<Vec<Value>, KubeError> {
        if patience.is_zero() {
            return Err(cut_off());
        }
        let (key, value) = label.split_once('=').unwrap();
        let state = self.state();
        let labelled = state.objects.values().filter(|it| it.body()["metadata"]["labels"][key] == value);
        Ok(labelled.map(|it| it.body().clone()).collect())
    }

    async fn prove(&self, condition: &Condition, _: Option<SystemTime>, _: Duration) -> Result<(), KubeError> {
        let broken = self.state().broken.iter().any(|name| condition.to_string().ends_with(&format!("/{name}")));
        if !broken {
            return Ok(());
        }
        let cause = Cause::Image { pod: "x/p".to_owned(), image: "i".to_owned(), message: "no such host".to_owned() };
        Err(KubeError::Hopeless { what: condition.to_string(), cause: Box::new(cause) })
    }
}
