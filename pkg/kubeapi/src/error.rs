//! The errors of this crate and what they mean to a person.

use std::{io, path::PathBuf, time::Duration};

use skiff_report::{Diagnose, ExitCode, Reason};
use thiserror::Error;

use crate::{Cause, Trouble};

/// A failure at the Kubernetes API, or of the user's kubeconfig.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KubeError {
    /// The server's URL makes no sense.
    #[error("`{server}` is not the URL of an API server")]
    Server {
        /// What was given.
        server: String,
    },
    /// A certificate or key cannot be used.
    #[error("the {what} of the cluster cannot be read")]
    Credentials {
        /// Which one.
        what: &'static str,
    },
    /// A single request failed.
    #[error("the API server at {server} does not do what was asked")]
    Unavailable {
        /// Its URL.
        server: String,
        /// Why.
        #[source]
        source: Trouble,
    },
    /// The API server answers, but says that it is not ready.
    #[error("the API server is not ready: {} failing", failing.join(", "))]
    NotReady {
        /// The checks that fail.
        failing: Vec<String>,
    },
    /// Patience was over first.
    #[error("{what} did not come about within {} s", waited.as_secs())]
    NotInTime {
        /// What was waited for.
        what: String,
        /// How long.
        waited: Duration,
        /// What stood in the way.
        #[source]
        cause: Option<Box<Cause>>,
    },
    /// What stands in the way does not pass by itself.
    #[error("{what} cannot come about")]
    Hopeless {
        /// What was waited for.
        what: String,
        /// What stands in the way.
        #[source]
        cause: Box<Cause>,
    },
    /// A manifest cannot be read.
    #[error("manifest {place}: {problem}")]
    Manifest {
        /// Which document, e.g. `document 3, line 40`.
        place: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The API server does not take an object.
    #[error("{object} was refused")]
    Refused {
        /// Kind, namespace and name.
        object: String,
        /// Why.
        #[source]
        source: Trouble,
    },
    /// A node has other pod addresses already.
    #[error("node {node} has the pod addresses {has}, not {wanted}")]
    PodCidrTaken {
        /// The node.
        node: String,
        /// Its addresses.
        has: String,
        /// The addresses that were asked for.
        wanted: String,
    },
    /// A kubeconfig file cannot be read.
    #[error("{} cannot be read", path.display())]
    KubeconfigRead {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A kubeconfig file cannot be written.
    #[error("{} cannot be written", path.display())]
    KubeconfigWrite {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A kubeconfig file is not a kubeconfig. It is left as it is.
    #[error("{}, line {line}: {problem}", path.display())]
    KubeconfigSyntax {
        /// The file.
        path: PathBuf,
        /// Where in it.
        line: u64,
        /// What is wrong.
        problem: String,
    },
    /// A kubeconfig file stayed locked by another program.
    #[error("{} is locked by another program ({} exists)", path.display(), lock.display())]
    KubeconfigLocked {
        /// The file.
        path: PathBuf,
        /// The other program's lock file.
        lock: PathBuf,
    },
    /// Somebody else has an entry of that name.
    #[error("{} has a {part} `{name}` that skiff did not make", path.display())]
    KubeconfigTaken {
        /// The file.
        path: PathBuf,
        /// `cluster`, `context` or `user`.
        part: &'static str,
        /// Its name.
        name: String,
    },
}

impl KubeError {
    /// The end of a wait in vain.
    pub(crate) fn not_in_time(what: impl Into<String>, waited: Duration, cause: Option<Cause>) -> Self {
        Self::NotInTime { what: what.into(), waited, cause: cause.map(Box::new) }
    }
}

impl Diagnose for KubeError {
    fn reason(&self) -> Reason {
        match self {
            Self::Server { .. } | Self::Credentials { .. } => Reason::new(
                "MK_K8S_CLIENT",
                ExitCode::PROGRAM_ERROR,
                "Files of the profile are damaged; `skiff start` makes certificates anew.",
            ),
            Self::Unavailable { source, .. } => api_reason(source),
            Self::NotReady { .. } => {
                Reason::new("K8S_APISERVER_NOT_READY", ExitCode::CONTROL_PLANE_NOT_RUNNING, SEE_LOGS)
            }
            Self::NotInTime { cause, .. } => cause.as_deref().map_or_else(too_slow, cause_reason),
            Self::Hopeless { cause, .. } => cause_reason(cause),
            Self::Manifest { .. } => Reason::new("GUEST_MANIFEST", ExitCode::PROGRAM_CONFIG, "Correct the manifest."),
            Self::Refused { source, .. } => refused_reason(source),
            Self::PodCidrTaken { .. } => Reason::new(
                "GUEST_NODE_CIDR",
                ExitCode::GUEST_CONFLICT,
                "A node's pod addresses cannot be changed; delete the cluster and start it anew.",
            ),
            Self::KubeconfigRead { path, source } if source.kind() == io::ErrorKind::PermissionDenied => {
                Reason::new("HOST_HOME_PERMISSION", ExitCode::HOST_PERMISSION, own(path))
            }
            Self::KubeconfigWrite { path, source } if source.kind() == io::ErrorKind::PermissionDenied => {
                Reason::new("HOST_KUBECONFIG_WRITE", ExitCode::HOST_PERMISSION, own(path))
            }
            Self::KubeconfigRead { .. } | Self::KubeconfigSyntax { .. } => Reason::new(
                "HOST_KUBECONFIG_UPDATE",
                ExitCode::HOST_CONFIG,
                "Repair the file or move it away; skiff has not changed it.",
            ),
            Self::KubeconfigWrite { .. } => Reason::new("HOST_KUBECONFIG_WRITE", ExitCode::HOST_PERMISSION, ""),
            Self::KubeconfigLocked { lock, .. } => Reason::new(
                "HOST_KUBECONFIG_UPDATE",
                ExitCode::HOST_CONFIG,
                format!("If no kubectl is running, remove {} and try again.", lock.display()),
            ),
            Self::KubeconfigTaken { name, .. } => Reason::new(
                "HOST_KUBECONFIG_UPDATE",
                ExitCode::HOST_CONFIG,
                format!(
                    "Rename it (`kubectl config rename-context {name} NEW`), choose another cluster name with -p, \
                     or point KUBECONFIG to another file."
                ),
            ),
        }
    }
}

/// Where to look when nothing better is known.
const SEE_LOGS: &str = "`skiff logs` shows what the cluster is busy with.";

/// What to do about a webhook that answers nothing, or no.
const MEND_WEBHOOK: &str =
    "A webhook in the cluster takes part in this; see that its pods run and what they say, or delete it.";

fn own(path: &std::path::Path) -> String {
    format!("Make {} yours: `sudo chown $(id -u):$(id -g) {0}`.", path.display())
}

fn too_slow() -> Reason {
    Reason::new(
        "GUEST_START",
        ExitCode::GUEST_TIMEOUT,
        "`skiff logs` shows what the cluster is busy with; --wait-timeout gives it more time.",
    )
}

fn refused_reason(trouble: &Trouble) -> Reason {
    match trouble {
        Trouble::Owned { .. } => Reason::new(
            "K8S_FIELD_CONFLICT",
            ExitCode::CONTROL_PLANE_CONFLICT,
            "Somebody else looks after these fields; --force takes them over.",
        ),
        Trouble::Answer { message, .. } if message.contains("failed calling webhook") => {
            Reason::new("K8S_WEBHOOK", ExitCode::CONTROL_PLANE_ERROR, MEND_WEBHOOK)
        }
        Trouble::Answer { .. } => Reason::new("K8S_REFUSED", ExitCode::CONTROL_PLANE_ERROR, ""),
        other => api_reason(other),
    }
}

fn api_reason(trouble: &Trouble) -> Reason {
    match trouble {
        Trouble::Unreachable { .. } => {
            Reason::new("K8S_APISERVER_MISSING", ExitCode::CONTROL_PLANE_NOT_FOUND, SEE_LOGS)
        }
        Trouble::Untrusted { .. } => Reason::new(
            "K8S_APISERVER_UNTRUSTED",
            ExitCode::CONTROL_PLANE_ERROR,
            "Another server answers at that address, or the certificates are not the cluster's own or have ended: \
             `skiff start` renews them.",
        ),
        Trouble::Answer { .. } | Trouble::Garbled { .. } | Trouble::Owned { .. } => {
            Reason::new("MK_K8S_CLIENT", ExitCode::CONTROL_PLANE_ERROR, SEE_LOGS)
        }
    }
}

fn cause_reason(cause: &Cause) -> Reason {
    match cause {
        Cause::Image { image, .. } => Reason::new(
            "INET_IMAGE_PULL",
            ExitCode::INTERNET_ERROR,
            format!("Load it from this host: `skiff image load {image}`, or give the node a way to its registry."),
        ),
        Cause::Crash { .. } | Cause::Container { .. } | Cause::Setup { .. } => {
            Reason::new("GUEST_POD_FAILED", ExitCode::GUEST_ERROR, SEE_LOGS)
        }
        Cause::Unschedulable { message, .. } => {
            let advice = if message.contains("Insufficient") {
                "Give the cluster more --memory or --cpus, or ask for less."
            } else {
                "`kubectl describe nodes` shows the labels, taints and ports that nodes have."
            };
            Reason::new("GUEST_POD_UNSCHEDULABLE", ExitCode::GUEST_ERROR, advice)
        }
        Cause::ChecksFail { .. } | Cause::Api(_) => {
            Reason::new("K8S_APISERVER_TIMEOUT", ExitCode::CONTROL_PLANE_TIMEOUT, SEE_LOGS)
        }
        Cause::Webhook { .. } => Reason::new("K8S_WEBHOOK", ExitCode::CONTROL_PLANE_ERROR, MEND_WEBHOOK),
        Cause::NotCreated { .. } => Reason::new("K8S_NOT_CREATED", ExitCode::CONTROL_PLANE_ERROR, SEE_LOGS),
        _ => too_slow(),
    }
}
