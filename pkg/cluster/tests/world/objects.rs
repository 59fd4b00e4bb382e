//! Objects of addons in the fake API: all that is applied is there and works.

use std::time::{Duration, SystemTime};

use serde_json::Value;
use skiff_addons::Objects;
use skiff_kubeapi::{Claim, Condition, Held, KubeError, Manifest, ObjectRef, Trouble};

use super::FakeApi;

impl Objects for FakeApi {
    async fn apply_objects(&self, objects: &[Manifest], _: Claim, waited: Duration) -> Result<Vec<Held>, KubeError> {
        let silent = *self.silent.lock().unwrap();
        if silent {
            tokio::time::sleep(waited).await;
            return Err(KubeError::NotInTime { what: "an answer".to_owned(), waited, cause: None });
        }
        if let Some(word) = &*self.refused.lock().unwrap()
            && let Some(object) = objects.iter().find(|object| object.object().name.contains(word))
            && !object.object().name.starts_with("skiff-addon-")
        {
            let message = "spec.nonsense: no such field".to_owned();
            let source = Trouble::Answer { code: 422, reason: "Invalid".to_owned(), message };
            return Err(KubeError::Refused { object: object.object().to_string(), source });
        }
        let mut there = self.objects.lock().unwrap();
        there.retain(|old| !objects.iter().any(|new| new.object().is(&old.object())));
        there.extend(objects.iter().cloned());
        Ok(Vec::new())
    }

    async fn rehearse(&self, _: &[Manifest], _: Duration) -> Result<Vec<KubeError>, KubeError> {
        Ok(Vec::new())
    }

    async fn delete_objects(&self, objects: &[ObjectRef], waited: Duration) -> Result<(), KubeError> {
        if let Some(word) = &*self.stuck.lock().unwrap()
            && let Some(object) = objects.iter().find(|object| object.name.contains(word))
        {
            return Err(KubeError::NotInTime { what: format!("the end of {object}"), waited, cause: None });
        }
        self.objects.lock().unwrap().retain(|old| !objects.iter().any(|gone| gone.is(&old.object())));
        Ok(())
    }

    async fn restart_workloads(&self, _: &[ObjectRef], _: Duration) -> Result<(), KubeError> {
        Ok(())
    }

    async fn find_objects(&self, objects: &[ObjectRef], _: Duration) -> Result<Vec<Option<Value>>, KubeError> {
        let there = self.objects.lock().unwrap();
        let find = |wanted: &ObjectRef| there.iter().find(|it| it.object().is(wanted)).map(|it| it.body().clone());
        Ok(objects.iter().map(find).collect())
    }

    async fn config_maps(&self, _: &str, label: &str, _: Duration) -> Result<Vec<Value>, KubeError> {
        let (key, value) = label.split_once('=').unwrap();
        let there = self.objects.lock().unwrap();
        let labelled = there.iter().filter(|it| it.body()["metadata"]["labels"][key] == value);
        Ok(labelled.map(|it| it.body().clone()).collect())
    }

    async fn prove(&self, condition: &Condition, _: Option<SystemTime>, _: Duration) -> Result<(), KubeError> {
        match self.broken.lock().unwrap().as_deref() {
            Some(broken) if condition.to_string().contains(broken) => Err(KubeError::Hopeless {
                what: condition.to_string(),
                cause: Box::new(skiff_kubeapi::Cause::Absent { what: "an image".to_owned() }),
            }),
            _ => Ok(()),
        }
    }
}
