//! Why something in the cluster is not as it should be.

mod derive;
#[cfg(test)]
mod tests;

use thiserror::Error;

use crate::Trouble;
pub(crate) use derive::{Evidence, LogWanted, logs_wanted, of_node, of_pods};

/// What stands in the way of a condition, as the cluster's own objects tell it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Cause {
    /// An image cannot be had.
    #[error("pod {pod}: image {image} cannot be pulled: {message}")]
    Image {
        /// `namespace/name`.
        pod: String,
        /// The image.
        image: String,
        /// What the container runtime said.
        message: String,
    },
    /// A container ends again and again.
    #[error("pod {pod}: container {container} {ending}{}", last_lines(log))]
    Crash {
        /// `namespace/name`.
        pod: String,
        /// The container.
        container: String,
        /// How it ended last, e.g. `exited with status 1 (3 restarts)`.
        ending: String,
        /// The last lines it printed.
        log: Vec<String>,
    },
    /// A container cannot be made.
    #[error("pod {pod}: container {container} cannot start: {message}")]
    Container {
        /// `namespace/name`.
        pod: String,
        /// The container.
        container: String,
        /// What the kubelet said.
        message: String,
    },
    /// No node takes the pod.
    #[error("pod {pod} has no place: {message}")]
    Unschedulable {
        /// `namespace/name`.
        pod: String,
        /// What the scheduler said.
        message: String,
    },
    /// The pod's sandbox, network or volumes cannot be made.
    #[error("pod {pod} cannot be set up: {message}")]
    Setup {
        /// `namespace/name`.
        pod: String,
        /// What the kubelet said.
        message: String,
    },
    /// The pod runs but says that it is not ready.
    #[error("pod {pod} runs but is not ready: {message}")]
    Unready {
        /// `namespace/name`.
        pod: String,
        /// What the probe or the container status said.
        message: String,
    },
    /// The pod waits and nobody says for what.
    #[error("pod {pod} is {phase}")]
    Waiting {
        /// `namespace/name`.
        pod: String,
        /// Its phase, in lower case.
        phase: String,
    },
    /// A webhook keeps objects out of the cluster.
    #[error("{object}: a webhook stands in the way: {message}")]
    Webhook {
        /// Kind and name of what could not be made or changed.
        object: String,
        /// What the API server said.
        message: String,
    },
    /// A controller may not or cannot make what it should.
    #[error("{object}: {message}")]
    NotCreated {
        /// Kind and name of the owner.
        object: String,
        /// What the controller said.
        message: String,
    },
    /// The node is not ready.
    #[error("node {node}: {message}")]
    Node {
        /// The node.
        node: String,
        /// Its own explanation.
        message: String,
    },
    /// There is no such object.
    #[error("{what} does not exist")]
    Absent {
        /// Kind and name.
        what: String,
    },
    /// Checks of the API server fail.
    #[error("failing checks: {}", failing.join(", "))]
    ChecksFail {
        /// Their names.
        failing: Vec<String>,
    },
    /// Nothing but a warning is known.
    #[error("{object}: {message}")]
    Warning {
        /// Kind and name.
        object: String,
        /// The warning.
        message: String,
    },
    /// The API server itself is in trouble.
    #[error(transparent)]
    Api(Trouble),
}

/// The end of a log, as a continuation of a sentence.
fn last_lines(log: &[String]) -> String {
    if log.is_empty() { String::new() } else { format!("; it printed: {}", log.join(" | ")) }
}
