//! What the kernel must have.

use skiff_report::ExitCode;

use crate::{Facts, Finding};

/// Controllers the kubelet needs for the limits of pods.
const NEEDED: [&str; 4] = ["cpu", "cpuset", "memory", "pids"];

pub(super) fn cgroups(facts: &Facts) -> Vec<Finding> {
    let Some(there) = &facts.controllers else { return Vec::new() };
    let name = "cgroups";
    let missing: Vec<&str> = NEEDED.into_iter().filter(|needed| !there.iter().any(|name| name == needed)).collect();
    let version = if facts.unified { "version 2" } else { "version 1" };
    if !missing.is_empty() {
        let message = format!("{version} without {}", missing.join(", "));
        let fix = if missing.contains(&"memory") {
            "Add `cgroup_enable=memory` to the kernel's command line and reboot."
        } else {
            "Enable them in the kernel, or for the user: `Delegate=yes` in its systemd unit."
        };
        return vec![Finding::blocking(name, ExitCode::HOST_ERROR, message, fix)];
    }
    vec![if facts.unified {
        Finding::good(name, version)
    } else {
        Finding::warning(
            name,
            "version 1, which Kubernetes gave up with 1.35: skiff tells the kubelet to go on all the same",
            "Boot with `systemd.unified_cgroup_hierarchy=1` on the kernel's command line.",
        )
    }]
}

pub(super) fn modules(facts: &Facts) -> Vec<Finding> {
    let module = |name: &str, there: Option<bool>, module: &str, what: &str| {
        there.map(|there| {
            if there {
                Finding::good(name, "is there")
            } else {
                let fix =
                    format!("sudo modprobe {module} && echo {module} | sudo tee -a /etc/modules-load.d/skiff.conf");
                Finding::warning(name, format!("is not loaded: {what}"), fix)
            }
        })
    };
    [
        module("overlay", facts.overlay, "overlay", "containers start slowly, and take more space"),
        module(
            "br_netfilter",
            facts.bridge_filter,
            "br_netfilter",
            "pods of one node may not reach each other by the addresses of services",
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}
