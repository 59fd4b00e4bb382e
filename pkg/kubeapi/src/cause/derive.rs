//! From pods, events and logs to the one cause that explains most. Pure.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStateWaiting, ContainerStatus, Event, Node, Pod};

use super::Cause;
use crate::{follow::key, node::ready_condition, wait::pod_is_ready};

/// Logs of more containers than this would take too long to fetch.
const MOST_LOGS: usize = 3;

/// All that may tell why pods are not ready.
#[derive(Debug, Default)]
pub(crate) struct Evidence {
    /// The pods.
    pub(crate) pods: Vec<Pod>,
    /// Events of their namespace.
    pub(crate) events: Vec<Event>,
    /// The ends of logs, by names of pod and container.
    pub(crate) logs: BTreeMap<(String, String), Vec<String>>,
}

impl Evidence {
    /// Only pods.
    pub(crate) fn of(pods: Vec<Pod>) -> Self {
        Self { pods, ..Self::default() }
    }

    /// The newest message of an event about an object.
    fn message(&self, kind: &str, name: &str, reasons: &[&str]) -> Option<&str> {
        let about = self.events.iter().filter(|event| {
            let object = &event.involved_object;
            object.kind.as_deref() == Some(kind)
                && object.name.as_deref() == Some(name)
                && (reasons.is_empty() && is_warning(event) || reasons.contains(&event.reason.as_deref().unwrap_or("")))
        });
        about.max_by_key(|event| time(event)).and_then(|event| event.message.as_deref())
    }
}

/// A log that would help.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LogWanted {
    pub(crate) pod: String,
    pub(crate) container: String,
    /// The log of the container's life before this one.
    pub(crate) previous: bool,
}

/// The logs of containers that end again and again.
pub(crate) fn logs_wanted(pods: &[Pod]) -> Vec<LogWanted> {
    let of_pod = |pod: &Pod| {
        let name = pod.metadata.name.clone().unwrap_or_default();
        containers(pod)
            .filter(|container| crash(container).is_some())
            .map(move |container| LogWanted {
                pod: name.clone(),
                container: container.name.clone(),
                // A container that ended and was not replaced yet has its log as the current one.
                previous: ended_now(container).is_none() && container.restart_count > 0,
            })
            .collect::<Vec<_>>()
    };
    pods.iter().filter(|pod| !pod_is_ready(pod)).flat_map(of_pod).take(MOST_LOGS).collect()
}

/// The cause that explains most about pods that are not ready; `owner` is the workload that should
/// have made them. `None` if nothing is wrong.
pub(crate) fn of_pods(evidence: &Evidence, owner: Option<&str>) -> Option<Cause> {
    let of_each = evidence.pods.iter().filter_map(|pod| of_pod(pod, evidence));
    let not_made = not_created(evidence, owner);
    of_each.chain(not_made).min_by_key(weight)
}

/// Why a node is not ready.
pub(crate) fn of_node(node: &Node) -> Cause {
    let condition = ready_condition(node);
    let message = match condition {
        // An old heartbeat that says "ready" is no news.
        Some(condition) if condition.status == "True" => Some("its kubelet has not reported since the start"),
        Some(condition) => condition.message.as_deref(),
        None => None,
    };
    let message = message.filter(|message| !message.is_empty()).unwrap_or("its kubelet has not reported yet");
    Cause::Node { node: key(node), message: one_line(message) }
}

/// Lower is worse: what explains other things comes before what they explain.
fn weight(cause: &Cause) -> u8 {
    match cause {
        Cause::Image { .. } => 0,
        Cause::Crash { .. } => 1,
        Cause::Container { .. } => 2,
        Cause::Webhook { .. } => 3,
        Cause::NotCreated { .. } => 4,
        Cause::Setup { .. } => 5,
        Cause::Unschedulable { .. } => 6,
        Cause::Unready { .. } => 7,
        Cause::Warning { .. } => 8,
        _ => 9,
    }
}

fn of_pod(pod: &Pod, evidence: &Evidence) -> Option<Cause> {
    if pod_is_ready(pod) || pod.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let from_container = containers(pod).find_map(|container| of_container(pod, container, evidence));
    from_container
        .or_else(|| unscheduled(pod))
        .or_else(|| setup(pod, evidence))
        .or_else(|| unready(pod, evidence))
        .or_else(|| Some(waiting(pod, evidence)))
}

fn of_container(pod: &Pod, container: &ContainerStatus, evidence: &Evidence) -> Option<Cause> {
    let waiting = waits(container);
    let reason = waiting.and_then(|waiting| waiting.reason.as_deref()).unwrap_or_default();
    let message = waiting.and_then(|waiting| waiting.message.as_deref()).unwrap_or(reason);
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    match reason {
        "ErrImagePull"
        | "ImagePullBackOff"
        | "InvalidImageName"
        | "ErrImageNeverPull"
        | "ImageInspectError"
        | "RegistryUnavailable" => {
            // "Back-off pulling image" repeats the image's name; the event of the failed pull has the cause.
            let told = (reason == "ImagePullBackOff")
                .then(|| {
                    let failed = evidence.events.iter().filter(|event| {
                        event.involved_object.name.as_deref() == Some(name)
                            && event.message.as_deref().is_some_and(|message| message.starts_with("Failed to pull"))
                    });
                    failed.max_by_key(|event| time(event)).and_then(|event| event.message.as_deref())
                })
                .flatten();
            let message = one_line(told.unwrap_or(message));
            Some(Cause::Image { pod: key(pod), image: container.image.clone(), message })
        }
        "CreateContainerConfigError"
        | "CreateContainerError"
        | "RunContainerError"
        | "PreCreateHookError"
        | "PostStartHookError" => {
            Some(Cause::Container { pod: key(pod), container: container.name.clone(), message: one_line(message) })
        }
        _ => {
            let log = evidence.logs.get(&(name.to_owned(), container.name.clone())).cloned().unwrap_or_default();
            let ending = ending(crash(container)?, container.restart_count);
            Some(Cause::Crash { pod: key(pod), container: container.name.clone(), ending, log })
        }
    }
}

fn unscheduled(pod: &Pod) -> Option<Cause> {
    let conditions = pod.status.as_ref()?.conditions.as_deref()?;
    let condition = conditions.iter().find(|it| it.type_ == "PodScheduled" && it.status == "False")?;
    let message = condition.message.as_deref().or(condition.reason.as_deref()).unwrap_or("no node takes it");
    Some(Cause::Unschedulable { pod: key(pod), message: one_line(message) })
}

fn setup(pod: &Pod, evidence: &Evidence) -> Option<Cause> {
    let starting = containers(pod).any(|container| waits(container).is_some());
    let name = pod.metadata.name.as_deref()?;
    let reasons = ["FailedCreatePodSandBox", "FailedMount", "FailedAttachVolume", "NetworkNotReady", "FailedSync"];
    let message = starting.then(|| evidence.message("Pod", name, &reasons)).flatten()?;
    Some(Cause::Setup { pod: key(pod), message: one_line(message) })
}

fn unready(pod: &Pod, evidence: &Evidence) -> Option<Cause> {
    let name = pod.metadata.name.as_deref()?;
    let runs = |container: &ContainerStatus| container.state.as_ref().is_some_and(|state| state.running.is_some());
    let container = containers(pod).find(|container| !container.ready && runs(container))?;
    let message = match evidence.message("Pod", name, &["Unhealthy", "ProbeError"]) {
        Some(message) => one_line(message),
        None => format!("container {} does not say that it is ready", container.name),
    };
    Some(Cause::Unready { pod: key(pod), message })
}

fn waiting(pod: &Pod, evidence: &Evidence) -> Cause {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    if let Some(message) = evidence.message("Pod", name, &[]) {
        return Cause::Warning { object: format!("Pod {}", key(pod)), message: one_line(message) };
    }
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or("Unknown");
    Cause::Waiting { pod: key(pod), phase: phase.to_lowercase() }
}

/// Controllers tell by events that they may not or cannot make pods.
fn not_created(evidence: &Evidence, owner: Option<&str>) -> Option<Cause> {
    let failed = evidence.events.iter().filter(|event| {
        let name = event.involved_object.name.as_deref().unwrap_or_default();
        event.reason.as_deref() == Some("FailedCreate")
            && event.involved_object.kind.as_deref() != Some("Pod")
            && owner.is_none_or(|owner| is_made_by(name, owner))
    });
    let event = failed.max_by_key(|event| time(event))?;
    let object = format!(
        "{} {}",
        event.involved_object.kind.as_deref().unwrap_or("object"),
        event.involved_object.name.as_deref().unwrap_or_default()
    );
    let message = one_line(event.message.as_deref().unwrap_or_default());
    let webhook = message.contains("webhook");
    // With pods there, the failure is one that the controller has overcome; a webhook may still
    // keep some of a workload's pods out.
    match (evidence.pods.is_empty(), webhook) {
        (true, false) => Some(Cause::NotCreated { object, message }),
        (true, true) => Some(Cause::Webhook { object, message }),
        (false, true) if owner.is_some() => Some(Cause::Webhook { object, message }),
        (false, _) => None,
    }
}

/// True for the workload itself and for the ReplicaSets of a Deployment.
fn is_made_by(name: &str, owner: &str) -> bool {
    name.strip_prefix(owner).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// Containers that run first, first.
fn containers(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let status = pod.status.as_ref();
    let init = status.and_then(|status| status.init_container_statuses.as_ref());
    let main = status.and_then(|status| status.container_statuses.as_ref());
    init.into_iter().chain(main).flatten()
}

fn waits(container: &ContainerStatus) -> Option<&ContainerStateWaiting> {
    container.state.as_ref()?.waiting.as_ref()
}

fn ended_now(container: &ContainerStatus) -> Option<&ContainerStateTerminated> {
    container.state.as_ref()?.terminated.as_ref()
}

/// How the container failed last, unless it works now.
fn crash(container: &ContainerStatus) -> Option<&ContainerStateTerminated> {
    let ended = ended_now(container).or_else(|| container.last_state.as_ref()?.terminated.as_ref())?;
    let restarting = waits(container).and_then(|waiting| waiting.reason.as_deref()) == Some("CrashLoopBackOff");
    (!container.ready && (ended.exit_code != 0 || restarting)).then_some(ended)
}

fn ending(ended: &ContainerStateTerminated, restarts: i32) -> String {
    let how = match (ended.reason.as_deref(), ended.signal) {
        (Some("OOMKilled"), _) => "was killed for using too much memory".to_owned(),
        (_, Some(signal)) if signal > 0 => format!("was killed by signal {signal}"),
        _ => format!("exited with status {}", ended.exit_code),
    };
    match restarts {
        0 => how,
        1 => format!("{how} (1 restart)"),
        more => format!("{how} ({more} restarts)"),
    }
}

fn is_warning(event: &Event) -> bool {
    event.type_.as_deref() == Some("Warning")
}

fn time(event: &Event) -> Option<i64> {
    let last = event.last_timestamp.as_ref().map(|time| time.0.as_second());
    last.or_else(|| event.event_time.as_ref().map(|time| time.0.as_second()))
        .or_else(|| event.metadata.creation_timestamp.as_ref().map(|time| time.0.as_second()))
}

/// Kubernetes breaks lines in odd places.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
