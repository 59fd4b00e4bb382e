//! What a node may use of its host, and what it must be told that it may not: pure.

use skiff_bootstrap::Reserved;
use skiff_config::{ClusterSpec, HostSize, Limit};
use skiff_driver::{Capabilities, Resources};
use skiff_report::ExitCode;

use crate::ClusterError;

/// A host's memory differs a little after each boot; less than one part in so many is the same host.
const SAME_HOST: u64 = 50;
/// The least memory a node is given where nobody asks for an amount.
const LEAST_SHARE: u64 = 2200 << 20;

/// The limits of a node on this host.
///
/// Without a wish a node may use all processors, and memory as minikube gives it: a quarter of what
/// there is, but 3 to 6 GiB, in hundreds of MiB; less where that many nodes would ask for more than
/// there is, but never less than a node works with. What it was `granted` so it keeps, though the host
/// may have changed a little: a node is not made anew for that.
pub(crate) fn resources(
    spec: &ClusterSpec,
    granted: Option<u64>,
    capabilities: &Capabilities,
) -> Result<Resources, ClusterError> {
    let gib = 1_u64 << 30;
    let most = capabilities.memory;
    let memory = match spec.memory {
        Limit::NoLimit | Limit::Max => None,
        Limit::Auto => granted.filter(|bytes| *bytes <= most).or_else(|| {
            let usual = (most / 4).clamp(3 * gib, 6 * gib);
            let share = (most / u64::from(spec.nodes.max(1))).max(LEAST_SHARE);
            Some(whole_hundred_mib(usual.min(share).min(most)))
        }),
        Limit::Exactly(bytes) if bytes > most => {
            return Err(ClusterError::TooLarge {
                setting: "--memory",
                wanted: skiff_config::format_bytes(bytes),
                available: format!("{} MiB", most >> 20),
                exit: ExitCode::INSUFFICIENT_MEMORY,
            });
        }
        Limit::Exactly(bytes) => Some(bytes),
    };
    let cpus = match spec.cpus {
        Limit::NoLimit | Limit::Max | Limit::Auto => None,
        Limit::Exactly(cpus) if cpus > f64::from(capabilities.cpus) => {
            return Err(ClusterError::TooLarge {
                setting: "--cpus",
                wanted: cpus.to_string(),
                available: capabilities.cpus.to_string(),
                exit: ExitCode::INSUFFICIENT_CORES,
            });
        }
        Limit::Exactly(cpus) => Some(cpus),
    };
    Ok(Resources { cpus, memory, disk: capabilities.disk_limit.then_some(spec.disk_size) })
}

/// Limits as a node's record keeps them.
pub(super) fn limits(Resources { cpus, memory, .. }: &Resources) -> String {
    let cpus = cpus.map_or_else(|| "all".to_owned(), |cpus| cpus.to_string());
    format!("{cpus} {}", memory.map_or_else(|| "all".to_owned(), skiff_config::format_bytes))
}

/// A size that people can read: down to a multiple of 100 MiB.
fn whole_hundred_mib(bytes: u64) -> u64 {
    let unit = 100 << 20;
    bytes / unit * unit
}

/// What the host had to give when the node was made, unless it is another one by now.
pub(crate) fn host_size(made: Option<HostSize>, capabilities: &Capabilities) -> HostSize {
    let now = HostSize { cpus: capabilities.cpus, memory: capabilities.memory };
    let same = |made: &HostSize| made.cpus == now.cpus && made.memory.abs_diff(now.memory) < now.memory / SAME_HOST;
    made.filter(same).unwrap_or(now)
}

/// What a node sees of its host beyond its limits. A kubelet in a container takes the whole host for
/// its own, and would have the scheduler give away what other nodes have been promised.
pub(super) fn reserved(resources: &Resources, host: HostSize, capabilities: &Capabilities) -> Reserved {
    if !capabilities.shares_host_kernel {
        return Reserved::default();
    }
    let all = u64::from(host.cpus) * 1000;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "limits are positive and small")]
    let granted = resources.cpus.map_or(all, |cpus| (cpus * 1000.0) as u64);
    Reserved {
        millicpus: all.saturating_sub(granted),
        memory: resources.memory.map_or(0, |limit| host.memory.saturating_sub(limit)),
    }
}
