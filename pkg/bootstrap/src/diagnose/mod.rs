//! Why kubeadm failed, told from what it printed and from the node's own logs.
//!
//! This is the one place that reads text of kubeadm, the kubelet and the control plane. It is held
//! to real output, kept in `tests/golden/diagnose`.

mod evidence;
mod kubelet;
mod parts;
mod printed;
mod reason;

use std::fmt;

use evidence::Evidence;
use skiff_config::{Component, ExtraConfig};

/// A shell script that prints what [`cause`] wants to see of a node: the complaints of kubelet and
/// containerd, the beginning and end of each control plane container's log under its path, and how
/// full the disk is.
///
/// A kubelet that gives up prints thousands of lines of stack after the reason, and a flag that is
/// refused is followed by pages of usage; so lines are chosen, not just the last ones taken. `/var`
/// outlives the machine, so what is older than its boot is left out.
pub const NODE_LOG: &str = r#"
boot=/run/skiff/resolv.conf
since=$(stat -c %Y $boot 2>/dev/null || echo 0)
journalctl --no-pager -q -n 5000 -u kubelet -u containerd -o cat --since "@$since" |
    grep -E '^[EF][0-9]{4} |level=(error|fatal)|TaskOOM|^(kubelet|containerd)\.service: |^Error|command failed' | tail -n 200 || true
for log in /var/log/pods/kube-system_*/*/*.log; do
    [ "$log" -nt $boot ] || continue
    echo "==> $log <=="
    if [ "$(wc -l <"$log")" -le 40 ]; then cat "$log"; else head -n 10 "$log"; tail -n 30 "$log"; fi
done
df -P /var /etc
"#;

/// The same for [`hopeless`], while the node still starts. A kubelet that runs has come over whatever
/// it said before, and a disk is told of only when it has no room at all.
pub const LOOKOUT_LOG: &str = r#"
boot=/run/skiff/resolv.conf
since=$(stat -c %Y $boot 2>/dev/null || echo 0)
systemctl -q is-active kubelet ||
    journalctl --no-pager -q -n 1000 -u kubelet -o cat --since "@$since" |
    grep -E '^[EF][0-9]{4} |^kubelet\.service: |^Error|command failed' | tail -n 50 || true
for log in /var/log/pods/kube-system_*/*/*.log; do
    [ "$log" -nt $boot ] || continue
    echo "==> $log <=="
    head -n 10 "$log"; tail -n 10 "$log"
done
df -P /var | awk 'NR == 1 || $4 < 1024'
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
        /// Address and port.
        endpoint: String,
    },
    /// The node's disk is full.
    DiskFull,
    /// The node has too little memory.
    OutOfMemory,
    /// A field of a configuration that this version of Kubernetes does not have.
    UnknownSetting {
        /// The setting, as `--extra-config` has it.
        setting: String,
    },
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
    /// Nothing is wrong but that it takes too long.
    TooSlow,
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
        .or_else(|| evidence.last_words().map(|detail| Cause::Unknown { detail }))
        .unwrap_or(Cause::TooSlow)
}

/// True if kubeadm gave up since an answer did not come in time: it may come the next time.
pub(crate) fn lost_patience(printed: &str) -> bool {
    printed::lost_patience(printed)
}

/// A setting of the user's that kubeadm only warned of, as the part goes on without it.
#[must_use]
pub fn unknown_setting(printed: &str, settings: &[ExtraConfig]) -> Option<Cause> {
    let fields: Vec<&str> = printed::unknown_fields(printed).collect();
    let field_of = |setting: &&ExtraConfig| {
        matches!(setting.component, Component::Kubelet | Component::KubeProxy)
            && setting.key.split('.').any(|step| fields.contains(&step))
    };
    let found = settings.iter().find(field_of)?;
    Some(Cause::UnknownSetting { setting: format!("{}.{}", found.component.as_str(), found.key) })
}

/// A cause in the output of [`LOOKOUT_LOG`] that no waiting cures: a full disk, or settings that a part
/// refuses each time it is started.
#[must_use]
pub fn hopeless(node_log: &str) -> Option<Cause> {
    let evidence = Evidence::new("", node_log);
    if evidence.disk_is_full() {
        return Some(Cause::DiskFull);
    }
    let told = parts::settings(&evidence).or_else(|| kubelet::cause(&evidence)).or_else(|| parts::crash(&evidence))?;
    let waits_for_nothing = match &told {
        Cause::UnknownFlag { .. } | Cause::BadFlagValue { .. } | Cause::FeatureGate { .. } => true,
        Cause::Kubelet(trouble) => !matches!(trouble, KubeletTrouble::Runtime | KubeletTrouble::Stopped { .. }),
        Cause::Etcd { detail } => evidence.has_given_up("etcd", detail),
        Cause::Crash { part, detail } => evidence.has_given_up(part, detail),
        _ => false,
    };
    waits_for_nothing.then_some(told)
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
            Self::ApiUnreachable { endpoint } => write!(f, "the API server at {endpoint} cannot be reached"),
            Self::DiskFull => f.write_str("the node's disk is full"),
            Self::OutOfMemory => f.write_str("the node ran out of memory"),
            Self::UnknownSetting { setting } => write!(f, "this version of Kubernetes has no setting {setting}"),
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
            Self::TooSlow => f.write_str("the control plane did not answer in time"),
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
