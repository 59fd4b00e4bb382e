//! What a cluster may leave behind: nothing.

use std::process::Command;

use crate::Finished;

/// Docker's label of everything that belongs to a cluster.
const LABEL: &str = "dev.skiff.cluster";

/// Everything Docker still has of a cluster, one line each.
pub(crate) fn remains(cluster: &str) -> Vec<String> {
    let filter = format!("label={LABEL}={cluster}");
    let listings: [&[&str]; 3] = [&["ps", "-aq"], &["volume", "ls", "-q"], &["network", "ls", "-q"]];
    let mut remains = Vec::new();
    for listing in listings {
        let listed = Finished::of(Command::new("docker").args(listing).args(["--filter", &filter])).ok();
        remains.extend(listed.stdout.lines().map(|line| format!("docker {}: {line}", listing[0])));
    }
    remains
}
