//! Folders of this host that nodes shall see, before anything is made.

use std::path::Path;

use skiff_cluster::Preview;
use skiff_config::{Problem, SpecFile};

/// Settings whose mounts name places of this host, wherever commands are given later: `./src` counts
/// from `here`.
pub(super) fn absolute(spec: SpecFile, here: &Path) -> SpecFile {
    let mounts = spec.mounts.map(|mounts| mounts.iter().map(|mount| from_here(mount, here)).collect());
    SpecFile { mounts, ..spec }
}

fn from_here(mount: &str, here: &Path) -> String {
    let is_node = |word: &str| {
        word.strip_prefix('m')
            .is_some_and(|digits| digits.len() > 1 && digits.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let (node, rest) = match mount.split_once(':') {
        Some((word, rest)) if is_node(word) => (&mount[..=word.len()], rest),
        _ => ("", mount),
    };
    match rest.split_once(':') {
        // Only what looks like a path: a forgotten half is told as what it is.
        Some((host, rest)) if host.starts_with('.') => match std::path::absolute(here.join(host)) {
            Ok(host) => format!("{node}{}:{rest}", host.display()),
            Err(_) => mount.to_owned(),
        },
        _ => mount.to_owned(),
    }
}

/// What a start would trip over: folders that are not there, settings of nodes that will not be.
/// Docker of another host, which is `remote`, has folders that cannot be seen from here.
pub(super) fn problems(preview: &Preview, remote: bool) -> Vec<Problem> {
    let spec = &preview.spec;
    let missing = spec.mounts.iter().filter(|mount| !remote && !mount.value.host.exists()).map(|mount| {
        let message = format!("{} is not on this host: make it first", mount.value.host.display());
        Problem::usage("mounts", message)
    });
    let named = |setting, nodes: Vec<Option<u32>>| {
        let beyond = nodes.into_iter().flatten().find(|index| *index >= spec.nodes)?;
        let message = format!("there is no node m{:02}: the cluster has {} of them", beyond + 1, spec.nodes);
        Some(Problem::usage(setting, message))
    };
    let lists = [
        named("ports", spec.ports.iter().map(|value| value.node).collect()),
        named("mounts", spec.mounts.iter().map(|value| value.node).collect()),
        named("node-labels", spec.node_labels.iter().map(|value| value.node).collect()),
        named("node-taints", spec.node_taints.iter().map(|value| value.node).collect()),
    ];
    // Nodes of a cluster come and go; what is said of them stays for those to come.
    let beyond = lists.into_iter().flatten().filter(|_| preview.before != skiff_cluster::Before::Cluster);
    missing.chain(beyond).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_count_from_where_the_command_is_given() {
        let here = Path::new("/home/me");
        for (text, shown) in [
            ("/src:/data", "/src:/data"),
            ("./src:/data:ro", "/home/me/src:/data:ro"),
            ("m02:./src:/data", "m02:/home/me/src:/data"),
            (".:/data", "/home/me:/data"),
            ("/data", "/data"),
            ("src:/data", "src:/data"),
        ] {
            assert_eq!(from_here(text, here).replace("/./", "/").replace("/.:", ":"), shown);
        }
    }
}
