//! Why kubeadm failed, told from what it printed and from the node's own logs.
//!
//! This is the one place that reads text of kubeadm, the kubelet and the control plane. It is held
//! to real output, kept in `tests/golden/diagnose`.

mod evidence;
mod kubelet;
mod parts;
mod printed;

use std::fmt;

use evidence::Evidence;
use skiff_report::{ExitCode, Reason};

/// A shell script that prints what [`cause`] wants to see of a node: the complaints of kubelet and
/// containerd, the beginning and end of each control plane container's log under its path, and how
/// full the disk is.
///
/// A kubelet that gives up prints thousands of lines of stack after the reason, and a flag that is
/// refused is followed by pages of usage; so lines are chosen, not just the last ones taken.
pub const NODE_LOG: &str = r#"
journalctl --no-pager -q -n 5000 -u kubelet -u containerd -o cat |
    grep -E '^[EF][0-9]{4} |level=(error|fatal)|TaskOOM|^(kubelet|containerd)\.service: |^Error|command failed' | tail -n 200 || true
for log in /var/log/pods/kube-system_*/*/*.log; do
    [ -e "$log" ] || continue
    echo "==> $log <=="
    if [ "$(wc -l <"$log")" -le 40 ]; then cat "$log"; else head -n 10 "$log"; tail -n 30 "$log"; fi
done
df -P /var /etc | sort -u
"#;

/// Why it failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// kubeadm cannot read the configuration.
    ConfigRejected {
        /// What it says about it.
        detail: String,
    },
    /// A port that a part of the cluster needs is taken on the node.
    PortInUse {
        /// The port.
        port: u16,
    },
    /// kubeadm's own checks found something.
    Preflight {
        /// What they found, name and text.
        findings: Vec<(String, String)>,
    },
    /// The token for joining is unknown or too old.
    TokenRejected,
    /// The cluster that answers is not the one to join.
    WrongCluster,
    /// A node of that name is in the cluster already.
    NodeExists {
        /// The name.
        name: String,
    },
    /// The API server cannot be reached.
    ApiUnreachable {
        /// Address and port, if known.
        endpoint: Option<String>,
    },
    /// The node's disk is full.
    DiskFull,
    /// The node has too little memory.
    OutOfMemory,
    /// A part does not know a flag.
    UnknownFlag {
        /// The part, e.g. `kube-apiserver`.
        part: String,
        /// The flag, with its dashes.
        flag: String,
    },
    /// A part does not take the value of a flag.
    BadFlagValue {
        /// The part.
        part: String,
        /// The flag, with its dashes.
        flag: String,
        /// What is wrong with the value.
        detail: String,
    },
    /// A part refuses a feature gate.
    FeatureGate {
        /// The part.
        part: String,
        /// The gate.
        gate: String,
        /// True if the gate exists but can no longer be switched.
        locked: bool,
    },
    /// An image cannot be had.
    ImagePull {
        /// The image.
        image: String,
        /// Why, in containerd's words.
        detail: String,
    },
    /// A certificate is not good at the node's time.
    CertificateTime {
        /// True if it is not good yet, false if no longer.
        early: bool,
        /// The times in question.
        detail: String,
    },
    /// The kubelet does not work.
    Kubelet(KubeletTrouble),
    /// etcd gave up.
    Etcd {
        /// Its last words.
        detail: String,
    },
    /// Another part of the control plane gave up.
    Crash {
        /// The part.
        part: String,
        /// Its last words.
        detail: String,
    },
    /// Nothing is known but what was printed last.
    Unknown {
        /// That.
        detail: String,
    },
}

/// What ails a kubelet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KubeletTrouble {
    /// It and containerd do not agree on who makes cgroups.
    CgroupDriver,
    /// It refuses to run on cgroup v1.
    CgroupV1,
    /// It refuses to run with swap.
    Swap,
    /// containerd does not answer.
    Runtime,
    /// Its configuration is wrong.
    Config {
        /// What it says about it.
        detail: String,
    },
    /// It ended, or never answered.
    Stopped {
        /// Its last words, if any.
        detail: Option<String>,
    },
}

/// The cause behind what kubeadm printed (may be empty: nothing failed, but the control plane never
/// answered) and the output of [`NODE_LOG`] (may be empty: the node could not be asked).
#[must_use]
pub fn cause(printed: &str, node_log: &str) -> Cause {
    let evidence = Evidence::new(printed, node_log);
    // Causes before what they cause: a full disk breaks etcd, which breaks the API server.
    printed::cause(&evidence)
        .or_else(|| parts::resources(&evidence))
        .or_else(|| parts::settings(&evidence))
        .or_else(|| kubelet::cause(&evidence))
        .or_else(|| parts::images(&evidence))
        .or_else(|| parts::certificates(&evidence))
        .or_else(|| parts::crash(&evidence))
        .or_else(|| kubelet::stopped(&evidence))
        .or_else(|| printed::unreachable(&evidence))
        .unwrap_or_else(|| Cause::Unknown { detail: evidence.last_words() })
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ConfigRejected { detail } => write!(f, "kubeadm cannot read its configuration: {detail}"),
            Self::PortInUse { port } => write!(f, "port {port} is in use on the node"),
            Self::Preflight { findings } => {
                let texts: Vec<&str> = findings.iter().map(|(_, text)| text.as_str()).collect();
                write!(f, "the node fails kubeadm's checks: {}", texts.join("; "))
            }
            Self::TokenRejected => f.write_str("the cluster does not know the token for joining any more"),
            Self::WrongCluster => f.write_str("another cluster answers at the control plane's address"),
            Self::NodeExists { name } => write!(f, "a node called {name} is in the cluster already"),
            Self::ApiUnreachable { endpoint: Some(endpoint) } => {
                write!(f, "the API server at {endpoint} cannot be reached")
            }
            Self::ApiUnreachable { endpoint: None } => f.write_str("the API server cannot be reached"),
            Self::DiskFull => f.write_str("the node's disk is full"),
            Self::OutOfMemory => f.write_str("the node ran out of memory"),
            Self::UnknownFlag { part, flag } => write!(f, "{part} does not know the flag {flag}"),
            Self::BadFlagValue { part, flag, detail } => write!(f, "{part} does not accept {flag}: {detail}"),
            Self::FeatureGate { part, gate, locked: false } => {
                write!(f, "{part} does not know the feature gate {gate}")
            }
            Self::FeatureGate { part, gate, locked: true } => {
                write!(f, "{part} no longer lets the feature gate {gate} be switched")
            }
            Self::ImagePull { image, detail } => write!(f, "the image {image} cannot be pulled: {detail}"),
            Self::CertificateTime { early: true, detail } => write!(f, "a certificate is not valid yet: {detail}"),
            Self::CertificateTime { early: false, detail } => write!(f, "a certificate has expired: {detail}"),
            Self::Kubelet(trouble) => trouble.fmt(f),
            Self::Etcd { detail } => write!(f, "etcd stopped: {detail}"),
            Self::Crash { part, detail } => write!(f, "{part} stopped: {detail}"),
            Self::Unknown { detail } => f.write_str(detail),
        }
    }
}

impl fmt::Display for KubeletTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CgroupDriver => f.write_str("kubelet and containerd use different cgroup drivers"),
            Self::CgroupV1 => f.write_str("the kubelet refuses to run on cgroup v1"),
            Self::Swap => f.write_str("the kubelet refuses to run while swap is on"),
            Self::Runtime => f.write_str("containerd does not answer the kubelet"),
            Self::Config { detail } => write!(f, "the kubelet cannot read its configuration: {detail}"),
            Self::Stopped { detail: Some(detail) } => write!(f, "the kubelet stopped: {detail}"),
            Self::Stopped { detail: None } => f.write_str("the kubelet does not run"),
        }
    }
}

/// The word before the dot of an `--extra-config` setting for a part.
fn setting_prefix(part: &str) -> &str {
    match part {
        "kube-apiserver" => "apiserver",
        "kube-controller-manager" => "controller-manager",
        "kube-scheduler" => "scheduler",
        other => other,
    }
}

impl Cause {
    /// Id, exit code and advice.
    #[must_use]
    pub fn reason(&self) -> Reason {
        let (id, exit) = self.class();
        Reason::new(id, exit, self.advice())
    }

    fn class(&self) -> (&'static str, ExitCode) {
        match self {
            Self::ConfigRejected { .. } => ("K8S_CONFIG_REJECTED", ExitCode::CONTROL_PLANE_ERROR),
            Self::PortInUse { .. } => ("GUEST_PORT_IN_USE", ExitCode::GUEST_CONFLICT),
            Self::Preflight { .. } => ("K8S_PREFLIGHT", ExitCode::CONTROL_PLANE_ERROR),
            Self::TokenRejected | Self::WrongCluster | Self::NodeExists { .. } => {
                ("GUEST_NODE_ADD", ExitCode::GUEST_ERROR)
            }
            Self::ApiUnreachable { .. } => ("K8S_APISERVER_MISSING", ExitCode::CONTROL_PLANE_NOT_FOUND),
            Self::DiskFull => ("GUEST_PROVISION_NOSPACE", ExitCode::INSUFFICIENT_STORAGE),
            Self::OutOfMemory => ("RSRC_INSUFFICIENT_CONTAINER_MEMORY", ExitCode::INSUFFICIENT_MEMORY),
            Self::UnknownFlag { .. } | Self::BadFlagValue { .. } => ("K8S_INVALID_FLAG", ExitCode::PROGRAM_USAGE),
            Self::FeatureGate { .. } => ("K8S_INVALID_FEATURE_GATE", ExitCode::PROGRAM_USAGE),
            Self::ImagePull { .. } => ("GUEST_IMAGE_PULL", ExitCode::GUEST_ERROR),
            Self::CertificateTime { .. } => ("GUEST_CERT", ExitCode::GUEST_ERROR),
            Self::Kubelet(KubeletTrouble::Runtime) => {
                ("K8S_INSTALL_FAILED_CONTAINER_RUNTIME_NOT_RUNNING", ExitCode::RUNTIME_ERROR)
            }
            Self::Kubelet(_) => ("K8S_KUBELET_NOT_RUNNING", ExitCode::CONTROL_PLANE_ERROR),
            Self::Etcd { .. } | Self::Crash { .. } => ("K8S_CONTROL_PLANE_CRASH", ExitCode::CONTROL_PLANE_ERROR),
            Self::Unknown { .. } => ("K8S_INSTALL_FAILED", ExitCode::CONTROL_PLANE_ERROR),
        }
    }

    fn advice(&self) -> String {
        match self {
            Self::ConfigRejected { .. } | Self::Kubelet(KubeletTrouble::Config { .. }) => {
                "Check the --extra-config settings of kubelet and kube-proxy: each field must have the type that this \
                 version of Kubernetes gives it."
                    .into()
            }
            Self::PortInUse { .. } => {
                "Choose another port for the API server with --apiserver-port, or stop what holds it on the node.".into()
            }
            Self::Preflight { findings } => {
                let names: Vec<&str> = findings.iter().map(|(name, _)| name.as_str()).collect();
                format!(
                    "Mend what is named, or pass --extra-config=kubeadm.ignore-preflight-errors={} to go on without.",
                    names.join(",")
                )
            }
            Self::TokenRejected => "Run `skiff start` again: it makes a new token.".into(),
            Self::WrongCluster => "Check that no other machine has the control plane's address.".into(),
            Self::NodeExists { name } => format!("Remove it first: `skiff kubectl -- delete node {name}`."),
            Self::ApiUnreachable { .. } => "`skiff logs` shows why it does not run; `skiff start` starts it again.".into(),
            Self::DiskFull => {
                "Free space on the host, or give the node a larger disk: `skiff delete`, then `skiff start --disk-size`."
                    .into()
            }
            Self::OutOfMemory => "Give the node more memory: `skiff start --memory=4g`.".into(),
            Self::UnknownFlag { part, flag } | Self::BadFlagValue { part, flag, .. } => {
                let setting = format!("{}.{}", setting_prefix(part), flag.trim_start_matches('-'));
                format!("Correct or leave out --extra-config={setting}, then run `skiff start` again.")
            }
            Self::FeatureGate { gate, .. } => {
                format!("Leave {gate} out of --feature-gates, or choose a --kubernetes-version that has it.")
            }
            Self::ImagePull { .. } => {
                "Check that the host reaches the registry, or load the image from the host with `skiff image load`.".into()
            }
            Self::CertificateTime { early: true, .. } => {
                "Set the clocks of host and node right, then run `skiff start` again.".into()
            }
            Self::CertificateTime { early: false, .. } => "Run `skiff start`: it issues new certificates.".into(),
            Self::Kubelet(trouble) => trouble.advice().into(),
            Self::Etcd { .. } => {
                "If its data is damaged, only a new cluster helps: `skiff delete`, then `skiff start`.".into()
            }
            Self::Crash { part, .. } => {
                format!("Check the --extra-config settings of {}; `skiff logs` shows all it wrote.", setting_prefix(part))
            }
            Self::Unknown { .. } => "`skiff logs` shows more of what happened on the node.".into(),
        }
    }
}

impl KubeletTrouble {
    fn advice(&self) -> &'static str {
        match self {
            Self::CgroupDriver => "Leave out --extra-config=kubelet.cgroupDriver: skiff sets what containerd uses.",
            Self::CgroupV1 => "Boot the host with cgroup v2, or choose a --kubernetes-version before 1.35.",
            Self::Swap => "Leave out --extra-config=kubelet.failSwapOn, or switch swap off on the host.",
            Self::Runtime => "`skiff logs` shows why containerd does not run; `skiff start` starts it again.",
            Self::Config { .. } | Self::Stopped { .. } => "`skiff logs` shows all it wrote.",
        }
    }
}
