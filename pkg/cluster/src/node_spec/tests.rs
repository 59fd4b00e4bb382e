use std::collections::BTreeMap;

use skiff_bootstrap::{BootstrapToken, ClusterConfig, Endpoint, pki::ClusterPki};
use skiff_config::{HostSize, SpecFile};

use super::*;

const GIB: u64 = 1 << 30;

fn capabilities() -> Capabilities {
    Capabilities {
        shares_host_kernel: true,
        unified_cgroups: false,
        routable_nodes: true,
        live_resize: true,
        ipv6_ports: true,
        disk_limit: false,
        host_folders: true,
        ipv6: true,
        snapshots: skiff_driver::SnapshotKind::None,
        cpus: 4,
        memory: 16 * GIB,
    }
}

#[test]
fn a_node_of_both_families_has_an_address_and_pods_of_each() {
    let dual = plan(|file| file.ip_family = Some("dual".to_owned()));
    let ipv6 = dual.config.ipv6.unwrap();
    assert_eq!((ipv6.address.to_string(), ipv6.pods.to_string()), text("fd73:6b69:c0a8:3100::2", "fd00:10:244::/64"));
    let contents = |plan: &NodePlan, path: &str| {
        let file = plan.spec.seed.iter().find(|file| file.path == path).unwrap();
        String::from_utf8(file.contents.clone()).unwrap()
    };
    let settings = contents(&dual, "/etc/skiff/node.env");
    assert!(settings.contains("\nSERVICE_CIDR6=fd00:10:96::/112\n"), "{settings}");
    assert!(settings.ends_with("POD_CIDR=10.244.0.0/16\nPOD_CIDR6=fd00:10:244::/56\n"), "{settings}");
    let network: serde_json::Value =
        serde_json::from_str(&contents(&dual, "/etc/cni/net.d/10-skiff.conflist")).unwrap();
    let ranges = &network["plugins"][0]["ipam"]["ranges"];
    assert_eq!(
        (&ranges[0][0]["subnet"], &ranges[1][0]["subnet"]),
        (&"10.244.0.0/24".into(), &"fd00:10:244::/64".into())
    );
    let plain = plan(|_| {});
    assert_eq!(plain.config.ipv6, None);
    assert!(!contents(&plain, "/etc/skiff/node.env").contains("CIDR6"));
    assert_ne!(plain.fingerprint, dual.fingerprint);
}

fn text(one: &str, other: &str) -> (String, String) {
    (one.to_owned(), other.to_owned())
}

fn record() -> NodeRecord {
    NodeRecord {
        name: "dev".parse().unwrap(),
        role: "control-plane".into(),
        index: 0,
        address: "192.168.49.2".parse().unwrap(),
        ssh_port: 20022,
        apiserver_port: Some(20443),
        image: "image-key".into(),
        agent: String::new(),
        made: None,
        labels: BTreeMap::new(),
        taints: Vec::new(),
        memory: None,
        host: None,
        limits: String::new(),
        applied: String::new(),
    }
}

fn plan(change: impl FnOnce(&mut SpecFile)) -> NodePlan {
    plan_of(record(), change)
}

fn plan_of(record: NodeRecord, change: impl FnOnce(&mut SpecFile)) -> NodePlan {
    let mut file = SpecFile::default();
    change(&mut file);
    let spec = file.resolve("dev".parse().unwrap()).unwrap();
    let endpoint = Endpoint { host: "192.168.49.2".into(), port: 8443 };
    let config = ClusterConfig::new(spec, endpoint, BootstrapToken::from_bytes([1; 22])).unwrap();
    let now = SystemTime::now();
    let pki = ClusterPki::generate(&config, now).unwrap();
    let identity = Identity { pki, config, ssh_public: "ssh-ed25519 AAAA user".into() };
    let node = NodeIdentity {
        machine_id: "0".repeat(32),
        host_key: "private".into(),
        host_key_public: "ssh-ed25519 BBBB dev".into(),
    };
    let network = &NodeNetwork {
        name: "dev".into(),
        subnet: "192.168.49.0/24".parse().unwrap(),
        gateway: "192.168.49.1".parse().unwrap(),
        ipv6: false,
        mtu: None,
    };
    let control_planes = &["192.168.49.2".parse().unwrap()];
    let around = Surroundings { network, capabilities: &capabilities(), control_planes };
    plan_node(&identity, &node, &record, &around, now).unwrap()
}

#[test]
fn a_node_knows_itself_before_its_first_start() {
    let plan = plan(|_| {});
    let paths: Vec<&str> = plan.spec.seed.iter().map(|file| file.path.as_str()).collect();
    for path in [
        "/etc/machine-id",
        "/etc/ssh/ssh_host_ed25519_key",
        "/root/.ssh/authorized_keys",
        "/etc/kubernetes/kubeadm.yaml",
        "/etc/kubernetes/pki/ca.key",
    ] {
        assert!(paths.contains(&path), "{path} is missing in {paths:?}");
    }
    let private = |path: &str| path.ends_with(".key") || path.ends_with("_key") || path.ends_with("kubeadm.yaml");
    let open: Vec<_> = plan.spec.seed.iter().filter(|file| private(&file.path) && file.mode != 0o600).collect();
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn ssh_and_api_are_published_on_loopback_only() {
    let plan = plan(|file| file.ports = Some(vec!["0.0.0.0:8080:80".into()]));
    for port in &plan.spec.published {
        let loopback = port.host_ip.is_loopback();
        assert_eq!(loopback, port.purpose != Purpose::User, "{port:?}");
    }
}

#[test]
fn the_fingerprint_ignores_new_certificates_and_sees_every_setting() {
    let usual = plan(|_| {}).fingerprint;
    assert_eq!(usual, plan(|_| {}).fingerprint);
    let changes: [fn(&mut SpecFile); 7] = [
        |file| file.mounts = Some(vec!["/src:/src".into()]),
        |file| file.node_labels = Some(vec!["m01:disk=fast".into()]),
        |file| file.node_taints = Some(vec!["m01:gpu:NoSchedule".into()]),
        |file| file.ports = Some(vec!["8080:80".into()]),
        |file| file.extra_config = Some(vec!["apiserver.v=4".into()]),
        |file| file.apiserver_names = Some(vec!["api.example.test".into()]),
        |file| file.listen_address = Some("0.0.0.0".into()),
    ];
    for change in changes {
        assert_ne!(usual, plan(change).fingerprint);
    }
    let of_another = plan(|file| file.ports = Some(vec!["m02:8080:80".into()]));
    assert_eq!(usual, of_another.fingerprint);
}

#[test]
fn limits_change_while_a_node_goes_on() {
    let (usual, other) = (plan(|_| {}), plan(|file| file.memory = Some("5g".into())));
    assert_eq!(usual.fingerprint, other.fingerprint);
    assert_eq!((usual.limits.as_str(), other.limits.as_str()), ("all 4000m", "all 5g"));
}

#[test]
fn a_node_sees_the_folders_meant_for_it() {
    let mounts = |file: &mut SpecFile| file.mounts = Some(vec!["/a:/a".into(), "m02:/b:/b:ro".into()]);
    let worker = NodeRecord { role: "worker".into(), index: 1, apiserver_port: None, ..record() };
    let seen = |plan: NodePlan| plan.spec.mounts.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!((seen(plan(mounts)).len(), seen(plan_of(worker, mounts))), (1, vec!["/a:/a".into(), "/b:/b:ro".into()]));
}

#[test]
fn limits_follow_the_host_unless_they_are_given() {
    let of = |memory: &str, cpus: &str| {
        let file = SpecFile { memory: Some(memory.into()), cpus: Some(cpus.into()), ..SpecFile::default() };
        resources(&file.resolve("dev".parse().unwrap()).unwrap(), None, &capabilities())
    };
    assert_eq!(of("auto", "auto").unwrap(), Resources { cpus: None, memory: Some(4000 << 20), disk: None });
    assert_eq!(of("no-limit", "2").unwrap(), Resources { cpus: Some(2.0), memory: None, disk: None });
    let many = SpecFile { nodes: Some("6".into()), ..SpecFile::default() };
    let each = resources(&many.resolve("dev".parse().unwrap()).unwrap(), None, &capabilities()).unwrap();
    assert_eq!(each.memory, Some(2700 << 20), "six nodes of four GiB are more than there is");
    assert!(matches!(of("17g", "1"), Err(ClusterError::TooLarge { setting: "--memory", .. })));
    assert!(matches!(of("2g", "5"), Err(ClusterError::TooLarge { setting: "--cpus", .. })));
}

#[test]
fn a_node_keeps_the_memory_it_was_granted_while_the_host_has_it() {
    let spec = SpecFile::default().resolve("dev".parse().unwrap()).unwrap();
    let memory = |granted| resources(&spec, Some(granted), &capabilities()).unwrap().memory;
    assert_eq!(memory(5 * GIB), Some(5 * GIB));
    assert_eq!(memory(17 * GIB), Some(4000 << 20));
}

fn file<'a>(plan: &'a NodePlan, path: &str) -> Option<&'a str> {
    plan.spec.seed.iter().find(|file| file.path == path).map(|file| std::str::from_utf8(&file.contents).unwrap())
}

#[test]
fn workers_know_the_control_planes_and_control_planes_do_not_need_to() {
    let worker = NodeRecord { role: "worker".into(), index: 1, apiserver_port: None, ..record() };
    assert_eq!(file(&plan_of(worker, |_| {}), CONTROL_PLANES), Some("192.168.49.2:8443\n"));
    assert_eq!(file(&plan(|_| {}), CONTROL_PLANES), None);
}

#[test]
fn what_a_node_may_not_use_of_its_host_is_kept_from_the_scheduler() {
    let limits = |file: &mut SpecFile| {
        file.memory = Some("4g".into());
        file.cpus = Some("1.5".into());
    };
    assert_eq!(plan(limits).config.reserved, Reserved { millicpus: 2500, memory: 12 * GIB });
    assert_eq!(
        plan(|file| file.memory = Some("no-limit".into())).config.reserved,
        Reserved { millicpus: 0, memory: 0 }
    );
    let made = |memory: u64| NodeRecord { host: Some(HostSize { cpus: 4, memory }), ..record() };
    let little = plan_of(made(16 * GIB - (100 << 20)), limits);
    assert_eq!(little.fingerprint, plan_of(made(16 * GIB - (100 << 20)), limits).fingerprint);
    assert_eq!(little.config.reserved.memory, 12 * GIB - (100 << 20), "a node is not made anew for a little");
    assert_eq!(plan_of(made(32 * GIB), limits).config.reserved.memory, 12 * GIB);
}

#[test]
fn nodes_have_the_clusters_labels_and_their_own() {
    let own = NodeRecord {
        labels: [("zone".into(), "a".into()), ("disk".into(), "slow".into())].into(),
        taints: vec!["gpu:NoSchedule".into()],
        ..record()
    };
    let plan = plan_of(own, |file| file.node_labels = Some(vec!["disk=fast".into(), "team=core".into()]));
    let labels: Vec<_> = plan.config.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(labels, ["disk=slow", "team=core", "zone=a"]);
    assert_eq!(plan.config.taints[0].to_string(), "gpu=:NoSchedule");
}

#[test]
fn only_skiffs_own_pod_network_is_skiffs_to_set_up() {
    let conflist = "/etc/cni/net.d/10-skiff.conflist";
    let own = plan(|_| {});
    assert!(file(&own, conflist).is_some() && file(&own, "/etc/skiff/node.env").unwrap().contains("POD_CIDR="));
    let other = plan(|file| file.cni = Some("none".into()));
    assert!(file(&other, conflist).is_none() && !file(&other, "/etc/skiff/node.env").unwrap().contains("POD_CIDR="));
    assert_ne!(own.fingerprint, other.fingerprint);
}

#[test]
fn addresses_that_the_driver_cannot_publish_at_are_refused_all_at_once() {
    let spec = |listen: &str| {
        let ports = Some(vec!["[::]:8080:80".into(), "0.0.0.0:8081:81".into()]);
        let file = SpecFile { listen_address: Some(listen.into()), ports, ..SpecFile::default() };
        file.resolve("dev".parse().unwrap()).unwrap()
    };
    let four = Capabilities { ipv6_ports: false, ..capabilities() };
    let ClusterError::Settings { problems } = addresses(&spec("::1"), &four).unwrap_err() else { panic!() };
    let named: Vec<_> = problems.iter().map(|problem| (problem.setting, problem.id)).collect();
    assert_eq!(named, [("listen-address", "DRV_ADDRESS"), ("ports", "DRV_ADDRESS")]);
    assert!(problems[0].message.ends_with("not at ::1"), "{}", problems[0].message);
    assert!(addresses(&spec("::1"), &capabilities()).is_ok());
    let ports_only = addresses(&spec("127.0.0.1"), &four).unwrap_err();
    assert!(ports_only.to_string().contains("not at ::"), "{ports_only}");
}
