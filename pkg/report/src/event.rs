//! The events of a running command.

use std::time::Duration;

/// A numbered step of `start`, in minikube's order and under minikube's names, so that scripts
/// that follow its JSON events can follow ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Flags, configuration and profile are being read.
    InitialSetup,
    /// The driver is being chosen.
    SelectingDriver,
    /// Kubernetes binaries and images are being obtained.
    DownloadingArtifacts,
    /// The node is about to be made or found.
    StartingNode,
    /// An existing cluster is being brought up to date.
    UpdatingDriver,
    /// The node image is being made or loaded.
    PullingBaseImage,
    /// A container node is being created.
    CreatingContainer,
    /// A virtual machine is being created.
    CreatingVm,
    /// Configuration for the cluster's Kubernetes version is being written.
    PreparingKubernetes,
    /// Certificates are being made.
    GeneratingCertificates,
    /// kubeadm starts the control plane.
    BootingControlPlane,
    /// The rules that the cluster's own parts need are being applied.
    ConfiguringRbac,
    /// The pod network is being configured.
    ConfiguringCni,
    /// The wait until the cluster is usable.
    VerifyingKubernetes,
    /// Addons are being applied.
    EnablingAddons,
    /// Everything is ready.
    Done,
}

impl Step {
    /// The number of the last step of `start`: minikube's `totalsteps`.
    pub const TOTAL: u8 = 19;

    /// The step's number in minikube's list.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::InitialSetup => 0,
            Self::SelectingDriver => 1,
            Self::DownloadingArtifacts => 2,
            Self::StartingNode => 3,
            Self::UpdatingDriver => 4,
            Self::PullingBaseImage => 5,
            Self::CreatingContainer => 8,
            Self::CreatingVm => 9,
            Self::PreparingKubernetes => 11,
            Self::GeneratingCertificates => 12,
            Self::BootingControlPlane => 13,
            Self::ConfiguringRbac => 14,
            Self::ConfiguringCni => 15,
            Self::VerifyingKubernetes => 17,
            Self::EnablingAddons => 18,
            Self::Done => 19,
        }
    }

    /// The step's name in JSON events.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::InitialSetup => "Initial Setup",
            Self::SelectingDriver => "Selecting Driver",
            Self::DownloadingArtifacts => "Downloading Artifacts",
            Self::StartingNode => "Starting Node",
            Self::UpdatingDriver => "Updating Driver",
            Self::PullingBaseImage => "Pulling Base Image",
            Self::CreatingContainer => "Creating Container",
            Self::CreatingVm => "Creating VM",
            Self::PreparingKubernetes => "Preparing Kubernetes",
            Self::GeneratingCertificates => "Generating certificates",
            Self::BootingControlPlane => "Booting control plane",
            Self::ConfiguringRbac => "Configuring RBAC rules",
            Self::ConfiguringCni => "Configuring CNI",
            Self::VerifyingKubernetes => "Verifying Kubernetes",
            Self::EnablingAddons => "Enabling Addons",
            Self::Done => "Done",
        }
    }
}

/// Something a person may want to know while a command runs.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A step of `start` began; a step ends when the next one begins.
    Step {
        /// Which step.
        step: Step,
        /// One line for a person.
        message: String,
    },
    /// A step of another command (`stop`, `delete`), numbered from 0 within that command.
    Stage {
        /// Number of this stage.
        number: u8,
        /// Number of the last stage.
        total: u8,
        /// Name in JSON events.
        name: &'static str,
        /// One line for a person.
        message: String,
    },
    /// How far the current step is; replaces the previous line of progress.
    Progress {
        /// What is being worked on, e.g. `building kube-apiserver`.
        what: String,
        /// Part done, 0 to 1, where it is known.
        fraction: Option<f64>,
    },
    /// A line worth keeping on the screen.
    Info(String),
    /// Something that works differently from what was asked, or soon will.
    Warning(String),
    /// How long a named part of the work took; shown by `start --timings`.
    Timing {
        /// The part, e.g. `node/create`.
        phase: String,
        /// Wall-clock time it took.
        elapsed: Duration,
    },
}
