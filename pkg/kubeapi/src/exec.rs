//! Commands in pods, over the API server's websocket.

use std::{collections::BTreeSet, time::Duration};

use k8s_openapi::{api::core::v1::Pod, apimachinery::pkg::apis::meta::v1::Status};
use kube::api::AttachParams;
use tokio::io::AsyncReadExt;

use crate::{
    Cause, Client, KubeError, Trouble,
    attach::{Attached, Output},
    deadline::{Deadline, Rests},
    follow::{Collection, Objects, Unmet},
    trouble::Again,
};

/// With kube's default of one KiB a websocket frame is the unit of work; this is 3 times as fast.
const BUFFER: usize = 1 << 20;
/// How often a pod is tried whose kubelet has not told yet that it runs: a kubelet looks once a second
/// what runs, and takes commands before that. Some two seconds; what is slower is worth a look at its state.
const EARLY_TRIES: u32 = 12;

/// What a command in a pod did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecOutput {
    /// Its exit status.
    pub status: i32,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Client {
    /// Runs a command in the first running pod of `namespace` that `selector` (`app=x,tier=y`)
    /// matches, in its first container, without standard input. A ready pod is preferred, and after a try that
    /// failed another one: the API tells of the pods of a node that is gone for a minute as if they ran. Where
    /// none runs, one that is about to is tried for a moment.
    ///
    /// A command that ended is not run again, whatever its exit status; one whose connection broke is, and
    /// one that was ended from outside, as all are whose container ends.
    ///
    /// # Errors
    /// When there is no such pod, or the command cannot be started in it, or does not end, within `patience`.
    pub async fn run_in_pod(
        &self,
        namespace: &str,
        selector: &str,
        argv: &[&str],
        patience: Duration,
    ) -> Result<ExecOutput, KubeError> {
        let deadline = Deadline::after(patience);
        let pods = Collection::labelled(format!("/api/v1/namespaces/{namespace}/pods"), selector);
        let mut rests = Rests::new();
        let (mut tried, mut early_tries) = (BTreeSet::new(), 0);
        loop {
            let next = |pods: &Objects<Pod>| {
                let running = next_running(pods, &tried).map(|pod| (pod, true));
                running.or_else(|| starting(pods).filter(|_| early_tries < EARLY_TRIES).map(|pod| (pod, false)))
            };
            let found = self.follow(pods.clone(), &deadline, next).await;
            let (pod, runs) = found.map_err(|unmet| no_pod(namespace, selector, &deadline, unmet))?;
            let trouble = match deadline.limit(deadline.left(), self.exec(namespace, &pod, argv)).await {
                Ok(output) if ended_with_its_container(output.status) && !deadline.is_over() => {
                    deadline.rest(rests.next()).await;
                    continue;
                }
                Ok(output) => return Ok(output),
                Err(_) if !runs => {
                    early_tries += 1;
                    deadline.rest(rests.next()).await;
                    continue;
                }
                Err(trouble) => trouble,
            };
            if deadline.is_over() && trouble == Trouble::slow() {
                let what = format!("the end of `{}` in pod {namespace}/{pod}", argv.join(" "));
                return Err(KubeError::not_in_time(what, patience, None));
            }
            if is_hopeless(&trouble) || deadline.is_over() {
                return Err(KubeError::Refused {
                    object: format!("a command in pod {namespace}/{pod}"),
                    source: trouble,
                });
            }
            if !tried.insert(pod.clone()) {
                // All were, so each may have another turn.
                tried = [pod].into();
            }
            deadline.rest(rests.next()).await;
        }
    }

    async fn exec(&self, namespace: &str, pod: &str, argv: &[&str]) -> Result<ExecOutput, Trouble> {
        let params = AttachParams::default().stdin(false).max_stdout_buf_size(BUFFER).max_stderr_buf_size(BUFFER);
        let program = Attached::start(&self.kube, (namespace, pod), argv, params).await?;
        let (stdout, stderr, status) = tokio::join!(text(program.output), text(program.errors), program.ending);
        let status =
            status.ok_or_else(|| Trouble::Unreachable { detail: "the connection to the pod broke".to_owned() })?;
        Ok(ExecOutput { status: exit_status(&status)?, stdout, stderr })
    }
}

/// True for the status of a command that was killed (SIGKILL) or told to end (SIGTERM).
fn ended_with_its_container(status: i32) -> bool {
    matches!(status, 137 | 143)
}

/// True if another try will not do better. A container that is being replaced answers 404, and a
/// kubelet that is starting answers 403 and 500.
fn is_hopeless(trouble: &Trouble) -> bool {
    let no_program = |message: &str| message.contains("executable file not found") || message.contains("no such file");
    match trouble {
        Trouble::Answer { message, .. } if no_program(message) => true,
        trouble => trouble.again() == Again::No && trouble.code() != Some(404),
    }
}

/// All that a stream brings. A broken stream ends like a whole one: the status tells the difference.
async fn text(mut stream: Output) -> String {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The exit status inside the API's own status, which calls every other status than 0 a failure.
fn exit_status(status: &Status) -> Result<i32, Trouble> {
    if status.status.as_deref() == Some("Success") {
        return Ok(0);
    }
    let causes = status.details.as_ref().and_then(|details| details.causes.as_deref()).unwrap_or_default();
    let code = causes.iter().find(|cause| cause.reason.as_deref() == Some("ExitCode"));
    code.and_then(|cause| cause.message.as_deref()?.parse().ok()).ok_or_else(|| Trouble::Answer {
        code: status.code.and_then(|code| u16::try_from(code).ok()).unwrap_or(500),
        reason: status.reason.clone().unwrap_or_default(),
        message: status.message.clone().unwrap_or_default(),
    })
}

/// The name of a pod that can take a command: the first ready one, or else the first running one.
pub(crate) fn first_running(pods: &Objects<Pod>) -> Option<String> {
    let running = || {
        pods.values().filter(|pod| {
            let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
            phase == Some("Running") && pod.metadata.deletion_timestamp.is_none()
        })
    };
    let pod = running().find(|pod| crate::wait::pod_is_ready(pod)).or_else(|| running().next())?;
    pod.metadata.name.clone()
}

/// The same of those that were not tried; of all if there is no other.
fn next_running(pods: &Objects<Pod>, tried: &BTreeSet<String>) -> Option<String> {
    let was_tried = |pod: &Pod| pod.metadata.name.as_ref().is_some_and(|name| tried.contains(name));
    let others = pods.iter().filter(|(_, pod)| !was_tried(pod));
    let others: Objects<Pod> = others.map(|(key, pod)| (key.clone(), pod.clone())).collect();
    first_running(&others).or_else(|| first_running(pods))
}

/// The name of a pod that its kubelet knows and has not told to run.
fn starting(pods: &Objects<Pod>) -> Option<String> {
    let is_known = |pod: &&Pod| {
        let status = pod.status.as_ref();
        let conditions = status.and_then(|status| status.conditions.as_deref()).unwrap_or_default();
        status.and_then(|status| status.phase.as_deref()) == Some("Pending")
            && pod.metadata.deletion_timestamp.is_none()
            && conditions.iter().any(|one| one.type_ == "Initialized" && one.status == "True")
    };
    pods.values().find(is_known)?.metadata.name.clone()
}

pub(crate) fn no_pod(namespace: &str, selector: &str, deadline: &Deadline, unmet: Unmet<Pod>) -> KubeError {
    let cause = match unmet.trouble {
        Some(trouble) => Cause::Api(trouble),
        None => {
            let evidence = crate::cause::Evidence::of(unmet.objects.into_values().collect());
            let absent = || Cause::Absent { what: format!("a pod with {selector} in {namespace}") };
            crate::cause::of_pods(&evidence, None).unwrap_or_else(absent)
        }
    };
    let what = format!("a running pod with {selector} in {namespace}");
    KubeError::not_in_time(what, deadline.patience(), Some(cause))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn status(value: serde_json::Value) -> Status {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_pod_that_failed_comes_after_the_others() {
        let pod = |name: &str, ready: &str| -> (String, Pod) {
            let conditions = json!([{ "type": "Ready", "status": ready }]);
            let status = json!({ "phase": "Running", "conditions": conditions });
            let pod = json!({ "metadata": { "name": name }, "status": status });
            (name.to_owned(), serde_json::from_value(pod).unwrap())
        };
        let pods: Objects<Pod> = [pod("a", "True"), pod("b", "False"), pod("c", "True")].into();
        let next = |tried: &[&str]| next_running(&pods, &tried.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(next(&[]).as_deref(), Some("a"));
        assert_eq!(next(&["a"]).as_deref(), Some("c"), "a ready one is preferred");
        assert_eq!(next(&["a", "c"]).as_deref(), Some("b"));
        assert_eq!(next(&["a", "b", "c"]).as_deref(), Some("a"));
    }

    #[test]
    fn a_pod_is_starting_from_when_its_kubelet_knows_it_until_it_runs() {
        let told = |phase: &str, conditions: &[&str]| {
            let conditions: Vec<_> = conditions.iter().map(|kind| json!({ "type": kind, "status": "True" })).collect();
            let status = json!({ "phase": phase, "conditions": conditions });
            let pod = serde_json::from_value(json!({ "metadata": { "name": "a" }, "status": status })).unwrap();
            starting(&[("a".to_owned(), pod)].into())
        };
        assert_eq!(told("Pending", &["PodScheduled"]), None);
        assert_eq!(told("Pending", &["PodScheduled", "Initialized"]).as_deref(), Some("a"));
        assert_eq!(told("Running", &["PodScheduled", "Initialized"]), None);
    }

    #[test]
    fn success_is_status_zero() {
        assert_eq!(exit_status(&status(json!({ "status": "Success" }))), Ok(0));
    }

    #[test]
    fn other_exit_statuses_are_read_from_the_causes() {
        let failed = status(json!({
            "status": "Failure", "reason": "NonZeroExitCode",
            "details": { "causes": [{ "reason": "ExitCode", "message": "42" }] }
        }));
        assert_eq!(exit_status(&failed), Ok(42));
    }

    #[test]
    fn a_command_that_never_started_is_not_an_exit_status() {
        let failed = status(json!({ "status": "Failure", "reason": "InternalError", "message": "no such container" }));
        let trouble = exit_status(&failed).unwrap_err();
        assert_eq!(trouble.to_string(), "no such container (HTTP 500)");
    }

    #[test]
    fn a_ready_pod_is_preferred_and_a_leaving_one_ignored() {
        let pod = |name: &str, ready: &str, leaving: bool| -> (String, Pod) {
            let mut metadata = json!({ "name": name });
            if leaving {
                metadata["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
            }
            let status = json!({ "phase": "Running", "conditions": [{ "type": "Ready", "status": ready }] });
            (name.to_owned(), serde_json::from_value(json!({ "metadata": metadata, "status": status })).unwrap())
        };
        let pods = [pod("a", "True", true), pod("b", "False", false), pod("c", "True", false)];
        assert_eq!(first_running(&pods.clone().into()), Some("c".to_owned()));
        assert_eq!(first_running(&pods[..2].iter().cloned().collect()), Some("b".to_owned()));
        assert_eq!(first_running(&Objects::new()), None);
    }
}
