//! Id, exit code and advice of a cause.

use skiff_report::{ExitCode, Reason};

use super::{Cause, KubeletTrouble, evidence::is_lonely};

/// The container runtime is not running, in minikube's grid.
const RUNTIME_NOT_RUNNING: ExitCode = ExitCode(93);
/// The kubelet is not there, in minikube's grid.
const KUBELET_NOT_RUNNING: ExitCode = ExitCode(109);

/// What helps against slowness.
const SLOW: &str = "The host may be busy: run `skiff start` again, with a longer --wait-timeout. `skiff logs` shows how \
                    far it got.";

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
    /// True if nothing is known to be wrong but that it takes long: more time may help.
    #[must_use]
    pub fn is_slowness(&self) -> bool {
        match self {
            Self::TooSlow => true,
            Self::Etcd { detail } | Self::Crash { detail, .. } => is_lonely(detail),
            _ => false,
        }
    }

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
            Self::UnknownSetting { .. } | Self::UnknownFlag { .. } | Self::BadFlagValue { .. } => {
                ("K8S_INVALID_FLAG", ExitCode::PROGRAM_USAGE)
            }
            Self::FeatureGate { .. } => ("K8S_INVALID_FEATURE_GATE", ExitCode::PROGRAM_USAGE),
            Self::ImagePull { .. } => ("GUEST_IMAGE_PULL", ExitCode::GUEST_ERROR),
            Self::CertificateTime { .. } => ("GUEST_CERT", ExitCode::GUEST_ERROR),
            Self::Kubelet(KubeletTrouble::Runtime) => {
                ("K8S_INSTALL_FAILED_CONTAINER_RUNTIME_NOT_RUNNING", RUNTIME_NOT_RUNNING)
            }
            Self::Kubelet(_) => ("K8S_KUBELET_NOT_RUNNING", KUBELET_NOT_RUNNING),
            Self::Etcd { .. } | Self::Crash { .. } if self.is_slowness() => {
                ("K8S_APISERVER_TIMEOUT", ExitCode::CONTROL_PLANE_TIMEOUT)
            }
            Self::Etcd { .. } | Self::Crash { .. } => ("K8S_CONTROL_PLANE_CRASH", ExitCode::CONTROL_PLANE_ERROR),
            Self::TooSlow => ("K8S_APISERVER_TIMEOUT", ExitCode::CONTROL_PLANE_TIMEOUT),
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
            Self::UnknownSetting { setting } => {
                format!("Correct or leave out --extra-config={setting}, then run `skiff start` again.")
            }
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
            Self::TooSlow => SLOW.into(),
            Self::Etcd { .. } | Self::Crash { .. } if self.is_slowness() => SLOW.into(),
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
