//! What can go wrong with hyperkit, and what the user can do about it.

use std::{io, path::PathBuf};

use skiff_config::NodeName;
use skiff_driver::DriverFailure;
use skiff_report::{Diagnose, ExitCode, Reason};
use skiff_vm::VmError;
use thiserror::Error;

/// What can go wrong with hyperkit.
#[derive(Debug, Error)]
pub enum Error {
    /// Not a Mac.
    #[error("hyperkit runs on macOS only, and this host runs {os}")]
    NotMacOs {
        /// What it runs.
        os: String,
    },
    /// A Mac with a processor of Apple's.
    #[error("hyperkit runs on Intel processors only, and this Mac has Apple silicon")]
    AppleSilicon,
    /// A Mac that may not run virtual machines, mostly because it is one.
    #[error("this Mac's processor offers no virtualisation, which hyperkit needs")]
    NoHypervisor,
    /// There is no hyperkit.
    #[error("hyperkit is not installed: looked for {}", paths(places))]
    NotInstalled {
        /// Where it was looked for.
        places: Vec<PathBuf>,
    },
    /// hyperkit runs without the rights that vmnet asks for.
    #[error(
        "{program} may not use the host's network: it belongs to user {owner} with mode {mode:o}, not to root with the setuid bit"
    )]
    NotSetuid {
        /// The program.
        program: PathBuf,
        /// Who it belongs to.
        owner: u32,
        /// Its permission bits.
        mode: u32,
    },
    /// The program cannot be run.
    #[error("{program} cannot be run")]
    Unusable {
        /// The program.
        program: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The program answers like something else.
    #[error("{program} is not a hyperkit that works: it printed `{printed}`")]
    NotHyperkit {
        /// The program.
        program: PathBuf,
        /// The end of what it printed.
        printed: String,
    },
    /// The program does not answer.
    #[error("{program} did not answer within {seconds} s")]
    Unresponsive {
        /// The program.
        program: PathBuf,
        /// How long skiff waited.
        seconds: u64,
    },
    /// hyperkit could not be told of the path.
    #[error("hyperkit cannot use the path {path}: a comma ends a path there")]
    PathUnusable {
        /// The path.
        path: PathBuf,
    },
    /// The process that attends the machine did not come up.
    #[error("the ports of {node} cannot be forwarded: {why}")]
    Attendant {
        /// The node.
        node: NodeName,
        /// What is wrong.
        why: String,
    },
    /// hyperkit ended when it should have run.
    #[error("hyperkit ended while {node} was starting ({status}): {printed}")]
    Ended {
        /// The node.
        node: NodeName,
        /// How it ended.
        status: String,
        /// The end of what it or the guest printed.
        printed: String,
    },
    /// The machine runs and got no address.
    #[error("{node} got no address from macOS within {seconds} s")]
    NoLease {
        /// The node.
        node: NodeName,
        /// How long skiff waited.
        seconds: u64,
    },
    /// What all virtual machines have in common.
    #[error(transparent)]
    Vm(#[from] VmError),
}

fn paths(places: &[PathBuf]) -> String {
    places.iter().map(|place| place.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// What to take instead of hyperkit.
const INSTEAD: &str = "Use --driver=docker (Docker Desktop), or --driver=qemu, whose machines run on Apple silicon \
                       and on Intel.";

impl DriverFailure for Error {
    fn taken_port(&self) -> Option<u16> {
        match self {
            Self::Vm(error) => error.taken_port(),
            _ => None,
        }
    }
}

impl Diagnose for Error {
    fn reason(&self) -> Reason {
        self.provider_reason().unwrap_or_else(|| self.node_reason())
    }
}

impl Error {
    /// Reasons that lie in hyperkit and its host.
    fn provider_reason(&self) -> Option<Reason> {
        let reason = match self {
            Self::NotMacOs { .. } => Reason::new(
                "DRV_UNSUPPORTED_OS",
                ExitCode::DRIVER_UNSUPPORTED,
                "Use --driver=docker, or --driver=qemu for virtual machines.",
            ),
            Self::AppleSilicon => Reason::new("DRV_UNSUPPORTED_OS", ExitCode::DRIVER_UNSUPPORTED, INSTEAD),
            Self::NoHypervisor => Reason::new(
                "PROVIDER_HYPERKIT_NO_VIRTUALISATION",
                ExitCode::DRIVER_UNSUPPORTED,
                "Use --driver=docker, or --driver=qemu, which emulates a processor if need be.",
            ),
            Self::NotInstalled { .. } => Reason::new(
                "PROVIDER_HYPERKIT_NOT_FOUND",
                ExitCode::PROVIDER_NOT_FOUND,
                "Install it: `brew install hyperkit`, or set SKIFF_HYPERKIT to where it is.",
            ),
            Self::NotSetuid { program, .. } => {
                let program = program.display();
                Reason::new(
                    "PROVIDER_HYPERKIT_NOT_SETUID",
                    ExitCode::PROVIDER_PERMISSION,
                    format!(
                        "`sudo chown root:wheel {program} && sudo chmod u+s {program}`, as vmnet serves root only."
                    ),
                )
            }
            Self::Unusable { .. } | Self::NotHyperkit { .. } => Reason::new(
                "PROVIDER_HYPERKIT_BROKEN",
                ExitCode::PROVIDER_ERROR,
                "Install it again: `brew reinstall hyperkit`.",
            ),
            Self::Unresponsive { .. } => {
                Reason::new("PROVIDER_HYPERKIT_DEADLINE_EXCEEDED", ExitCode::PROVIDER_UNAVAILABLE, "Restart the Mac.")
            }
            Self::PathUnusable { .. } => Reason::new(
                "HOST_PATH_UNUSABLE",
                ExitCode::HOST_CONFIG,
                "Set SKIFF_HOME and SKIFF_CACHE to folders without a comma in their names.",
            ),
            _ => return None,
        };
        Some(reason)
    }

    /// Reasons that lie in a machine.
    fn node_reason(&self) -> Reason {
        match self {
            Self::Vm(error) => error.reason(),
            Self::NoLease { .. } => Reason::new(
                "IF_DHCP_NO_LEASE",
                ExitCode::NETWORK_TIMEOUT,
                "A firewall often stops macOS' DHCP server; let it through: `sudo \
                 /usr/libexec/ApplicationFirewall/socketfilterfw --add /usr/libexec/bootpd && sudo \
                 /usr/libexec/ApplicationFirewall/socketfilterfw --unblock /usr/libexec/bootpd`.",
            ),
            _ => Reason::new(
                "GUEST_PROVISION",
                ExitCode::GUEST_ERROR,
                "`skiff logs` shows the machine's console; start the cluster again, or delete it first.",
            ),
        }
    }
}
