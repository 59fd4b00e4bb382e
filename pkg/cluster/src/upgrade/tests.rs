use skiff_bootstrap::{BootstrapToken, CgroupVersion, ClusterConfig, Endpoint, HostFacts, NodeConfig, Role, render};
use skiff_config::SpecFile;

use super::*;

/// The minor that the first step begins with.
const OLDEST_STEP: u64 = 20;

fn version(text: &str) -> KubeVersion {
    text.parse().unwrap()
}

fn node(name: &str, control_plane: bool, at: &str) -> UpgradeNode {
    UpgradeNode { name: name.parse().unwrap(), control_plane, version: version(at) }
}

fn cluster(at: &str) -> Vec<UpgradeNode> {
    vec![node("dev", true, at), node("dev-m02", true, at), node("dev-m03", true, at), node("dev-m04", false, at)]
}

/// Carries steps out and holds after each what Kubernetes asks for.
fn walk(nodes: &[UpgradeNode], steps: &[UpgradeStep]) -> Vec<UpgradeNode> {
    let mut nodes = nodes.to_vec();
    let mut drained = std::collections::BTreeSet::new();
    let mut image = None;
    let mut safe = false;
    for step in steps {
        match step {
            UpgradeStep::Begin { .. } => safe = true,
            UpgradeStep::Image(version) => image = Some(version.clone()),
            UpgradeStep::Drain(node) => assert!(drained.insert(node.clone())),
            UpgradeStep::Uncordon(node) => assert!(drained.remove(node)),
            UpgradeStep::Apply { node, version } | UpgradeStep::Follow { node, version } => {
                assert!(safe, "nothing is changed that cannot be undone");
                assert_eq!(image.as_ref(), Some(version));
                assert!(nodes.len() == 1 || drained.contains(node), "{node} is not drained");
                let at = nodes.iter_mut().find(|other| other.name == *node).unwrap();
                assert!(version.minor() - at.version.minor() <= 1, "{node} skips a minor");
                at.version = version.clone();
                assert_skew(&nodes);
            }
            UpgradeStep::Verify(version) => {
                assert!(drained.is_empty(), "pods may come back everywhere");
                assert!(nodes.iter().all(|node| node.version == *version));
                safe = false;
            }
            UpgradeStep::Note { .. } => {}
        }
    }
    nodes
}

fn assert_skew(nodes: &[UpgradeNode]) {
    let servers: Vec<&KubeVersion> = nodes.iter().filter(|node| node.control_plane).map(|node| &node.version).collect();
    let (oldest, newest) = (servers.iter().min().unwrap(), servers.iter().max().unwrap());
    assert!(newest.minor() - oldest.minor() <= 1, "API servers are more than a minor apart");
    for node in nodes.iter().filter(|node| !node.control_plane) {
        assert!(may_join(&node.version, oldest), "{} is newer than an API server, or too old", node.name);
        assert!(may_join(&node.version, newest), "{} is too old", node.name);
    }
}

#[test]
fn every_way_from_1_20_to_1_37_keeps_to_the_rules() {
    for from in 20..=37_u64 {
        for to in from..=37 {
            let from = KubeVersion::new(1, from, versions::newest_patch(from));
            let to = KubeVersion::new(1, to, versions::newest_patch(to));
            for nodes in [vec![node("dev", true, &from.to_string())], cluster(&from.to_string())] {
                let steps = plan_upgrade(&nodes, &to).unwrap();
                assert!(walk(&nodes, &steps).iter().all(|node| node.version == to));
                let verified = steps.iter().filter(|step| matches!(step, UpgradeStep::Verify(_))).count();
                assert_eq!(verified as u64, to.minor() - from.minor(), "{from} -> {to}: one minor at a time");
            }
        }
    }
}

#[test]
fn one_minor_is_one_round_control_planes_first() {
    let steps = plan_upgrade(&cluster("v1.20.2"), &version("v1.21.14")).unwrap();
    let order: Vec<String> = steps
        .iter()
        .filter_map(|step| match step {
            UpgradeStep::Apply { node, .. } => Some(format!("apply {node}")),
            UpgradeStep::Follow { node, .. } => Some(format!("follow {node}")),
            _ => None,
        })
        .collect();
    assert_eq!(order, ["apply dev", "follow dev-m02", "follow dev-m03", "follow dev-m04"]);
    let (from, to) = (version("v1.20.2"), version("v1.21.14"));
    assert_eq!(steps[..2], [UpgradeStep::Image(to.clone()), UpgradeStep::Begin { from, to }]);
}

#[test]
fn a_patch_release_is_an_upgrade_without_notes() {
    let nodes = [node("dev", true, "v1.20.2")];
    let steps = plan_upgrade(&nodes, &version("v1.20.3")).unwrap();
    assert_eq!(steps.len(), 4, "{steps:?}");
    assert_eq!(plan_upgrade(&nodes, &version("v1.20.2")).unwrap(), []);
}

#[test]
fn what_goes_with_a_minor_is_told_before() {
    let steps = plan_upgrade(&[node("dev", true, "v1.24.17")], &version("v1.25.16")).unwrap();
    assert!(
        steps.iter().any(|step| matches!(step, UpgradeStep::Note { text, .. } if text.contains("PodSecurityPolicy")))
    );
}

#[test]
fn an_upgrade_that_was_cut_off_goes_on_where_it_was() {
    let mut nodes = cluster("v1.20.2");
    nodes[0].version = version("v1.21.14");
    let steps = plan_upgrade(&nodes, &version("v1.21.14")).unwrap();
    assert!(!steps.iter().any(|step| matches!(step, UpgradeStep::Apply { .. })), "{steps:?}");
    assert!(walk(&nodes, &steps).iter().all(|node| node.version == version("v1.21.14")));
    let further = plan_upgrade(&nodes, &version("v1.22.17")).unwrap();
    assert!(walk(&nodes, &further).iter().all(|node| node.version == version("v1.22.17")));
}

#[test]
fn there_is_no_way_back_and_none_into_the_unknown() {
    let nodes = cluster("v1.21.14");
    assert!(matches!(plan_upgrade(&nodes, &version("v1.20.2")), Err(NoUpgrade::Downgrade { .. })));
    assert!(matches!(plan_upgrade(&nodes, &version("v1.38.0")), Err(NoUpgrade::TooNew(_))));
    assert!(matches!(plan_upgrade(&[], &version("v1.21.0")), Err(NoUpgrade::NoControlPlane)));
}

#[test]
fn nodes_that_cannot_be_together_are_named() {
    let mut newer = cluster("v1.21.14");
    newer[3].version = version("v1.22.17");
    let mut older = cluster("v1.27.16");
    older[3].version = version("v1.24.17");
    let mut apart = cluster("v1.27.16");
    apart[1].version = version("v1.25.16");
    for (nodes, name) in [(newer, "dev-m04"), (older, "dev-m04"), (apart, "dev-m02")] {
        let error = plan_upgrade(&nodes, &version("v1.28.15")).unwrap_err();
        assert!(matches!(&error, NoUpgrade::Skew { node, .. } if node.as_str() == name), "{error}");
    }
    let mut three = cluster("v1.28.15");
    three[3].version = version("v1.25.16");
    assert!(plan_upgrade(&three, &version("v1.28.15")).is_ok(), "three minors since 1.28");
}

/// The steps of one minor to the next, and what they change of what a control plane and a worker are told.
fn step(minor: u64) -> String {
    let at = |minor| KubeVersion::new(1, minor, versions::newest_patch(minor));
    let (from, to) = (at(minor), at(minor + 1));
    let nodes = [node("dev", true, &from.to_string()), node("dev-m02", false, &from.to_string())];
    let mut text: String = plan_upgrade(&nodes, &to).unwrap().iter().map(|step| format!("{step}\n")).collect();
    for role in [Role::FirstControlPlane, Role::Worker] {
        text += &format!("\n--- what a node is told, {role:?}\n");
        text += &changed(&told(&from, role), &told(&to, role));
    }
    text
}

/// kubeadm's configuration of a node, in which the kubelet's flags stand as well.
fn told(version: &KubeVersion, role: Role) -> String {
    let file = SpecFile { kubernetes_version: Some(version.to_string()), ..SpecFile::default() };
    let spec = file.resolve("dev".parse().unwrap()).unwrap();
    let endpoint = Endpoint { host: "169.254.53.54".into(), port: 8443 };
    let token = BootstrapToken::parse("abcdef.0123456789abcdef").unwrap();
    let index = u32::from(role == Role::Worker);
    let cidr = spec.node_pod_cidr(index).unwrap();
    let name = spec.name.node(index);
    let cluster = ClusterConfig::new(spec, endpoint, token).unwrap();
    let address = std::net::Ipv4Addr::new(192, 168, 49, if index == 0 { 2 } else { 3 });
    let node = NodeConfig::new(name, address, role, cidr, HostFacts::container(CgroupVersion::V2));
    render::kubeadm_config(&cluster, &node).unwrap()
}

/// The lines that go and those that come.
fn changed(old: &str, new: &str) -> String {
    let lines = |text: &str, other: &str, sign: char| {
        let mut left: Vec<String> = other.lines().map(str::to_owned).collect();
        let own = text.lines().filter(|line| match left.iter().position(|one| one == line) {
            Some(at) => {
                left.remove(at);
                false
            }
            None => true,
        });
        own.map(|line| format!("{sign} {line}\n")).collect::<String>()
    };
    lines(old, new, '-') + &lines(new, old, '+')
}

/// `SKIFF_UPDATE_GOLDEN=1` writes the files anew.
#[test]
fn each_step_is_as_its_golden_file_says() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/upgrade");
    let mut wrong = Vec::new();
    for minor in OLDEST_STEP..versions::NEWEST_MINOR {
        let path = folder.join(format!("v1.{minor}-v1.{}.txt", minor + 1));
        let now = step(minor);
        if std::env::var_os("SKIFF_UPDATE_GOLDEN").is_some() {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&path, &now).unwrap();
        } else if std::fs::read_to_string(&path).unwrap_or_default() != now {
            wrong.push(format!("{} should be:\n{now}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
