//! What counts as progress of objects that are waited for: pure.
//!
//! A slow host shows one thing after the other, and is worth more patience. A pod that crashes and
//! starts over shows the same few things again and again. So only what was never seen before counts,
//! and only words and truth values of a status, and numbers of what is ready: there is an end to them.

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher},
};

use serde_json::Value;

/// Fields that are new at every turn, whatever happens.
const IDLE: [&str; 4] = ["message", "containerID", "imageID", "images"];
/// Longer texts are not for programs.
const LONGEST: usize = 63;

/// What was seen so far.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    seen: HashSet<u64>,
}

impl Progress {
    /// True if an object shows something for the first time.
    pub(crate) fn note(&mut self, name: &str, object: &Value) -> bool {
        let before = self.seen.len();
        self.take_in(name, &object["status"]);
        self.seen.len() > before
    }

    /// True if a sign is seen for the first time.
    pub(crate) fn sign(&mut self, sign: &str) -> bool {
        self.insert(sign, "")
    }

    fn insert(&mut self, path: &str, value: &str) -> bool {
        let mut hash = DefaultHasher::new();
        (path, value).hash(&mut hash);
        self.seen.insert(hash.finish())
    }

    fn take_in(&mut self, path: &str, value: &Value) {
        match value {
            Value::Object(fields) => {
                for (key, value) in fields {
                    if !IDLE.contains(&key.as_str()) && !key.ends_with("Time") && !key.ends_with("At") {
                        self.take_in(&format!("{path}.{key}"), value);
                    }
                }
            }
            // What has a kind or a name is known by it, wherever it stands.
            Value::Array(items) => {
                for item in items {
                    let known = item["type"].as_str().or_else(|| item["name"].as_str()).unwrap_or_default();
                    self.take_in(&format!("{path}[{known}]"), item);
                }
            }
            Value::String(text) if text.len() <= LONGEST => {
                self.insert(path, text);
            }
            Value::Bool(truth) => {
                self.insert(path, &truth.to_string());
            }
            Value::Number(number) if path.to_ascii_lowercase().contains("ready") || path.contains("vailable") => {
                self.insert(path, &number.to_string());
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(state: &Value, restarts: u32, ready: bool) -> Value {
        let status = json!({ "name": "web", "ready": ready, "restartCount": restarts, "state": state,
                             "containerID": format!("containerd://{restarts}") });
        json!({ "status": { "phase": "Pending", "containerStatuses": [status], "startTime": restarts.to_string() } })
    }

    #[test]
    fn a_pod_that_gets_further_makes_progress() {
        let mut progress = Progress::default();
        let creating = json!({ "waiting": { "reason": "ContainerCreating" } });
        assert!(progress.note("web", &pod(&creating, 0, false)));
        assert!(!progress.note("web", &pod(&creating, 0, false)), "it stands still");
        assert!(progress.note("web", &pod(&json!({ "running": {} }), 0, true)));
    }

    #[test]
    fn a_pod_that_crashes_again_and_again_makes_none() {
        let mut progress = Progress::default();
        let turn = |progress: &mut Progress, count: u32| {
            let running = json!({ "running": { "startedAt": count.to_string() } });
            let waiting =
                json!({ "waiting": { "reason": "CrashLoopBackOff", "message": format!("back-off {count}s") } });
            let ran = progress.note("web", &pod(&running, count, true));
            progress.note("web", &pod(&waiting, count, false)) || ran
        };
        assert!(turn(&mut progress, 0));
        assert!((1..10).all(|count| !turn(&mut progress, count)));
    }

    #[test]
    fn more_that_is_ready_is_progress() {
        let mut progress = Progress::default();
        let set = |ready: u32, seen: u32| json!({ "status": { "numberReady": ready, "observedGeneration": seen } });
        assert!(progress.note("dns", &set(0, 1)));
        assert!(!progress.note("dns", &set(0, 2)));
        assert!(progress.note("dns", &set(1, 2)));
        assert!(progress.note("other", &set(1, 2)), "another object");
    }

    #[test]
    fn a_sign_counts_once() {
        let mut progress = Progress::default();
        assert!(progress.sign("etcd fails") && progress.sign("nothing fails") && !progress.sign("etcd fails"));
    }
}
