use skiff_bootstrap::{BootstrapToken, ClusterConfig, Endpoint, pki::ClusterPki};
use skiff_config::SpecFile;

use super::*;

const GIB: u64 = 1 << 30;

fn capabilities() -> Capabilities {
    Capabilities {
        shares_host_kernel: true,
        unified_cgroups: false,
        routable_nodes: true,
        live_resize: true,
        disk_limit: false,
        cpus: 4,
        memory: 16 * GIB,
    }
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
        memory: None,
        applied: String::new(),
    }
}

fn plan(change: impl FnOnce(&mut SpecFile)) -> NodePlan {
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
    let network = NodeNetwork {
        name: "dev".into(),
        subnet: "192.168.49.0/24".parse().unwrap(),
        gateway: "192.168.49.1".parse().unwrap(),
    };
    plan_node(&identity, &node, &record(), &network, &capabilities(), now).unwrap()
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
    let changes: [fn(&mut SpecFile); 5] = [
        |file| file.memory = Some("5g".into()),
        |file| file.ports = Some(vec!["8080:80".into()]),
        |file| file.extra_config = Some(vec!["apiserver.v=4".into()]),
        |file| file.apiserver_names = Some(vec!["api.example.test".into()]),
        |file| file.listen_address = Some("0.0.0.0".into()),
    ];
    for change in changes {
        assert_ne!(usual, plan(change).fingerprint);
    }
}

#[test]
fn limits_follow_the_host_unless_they_are_given() {
    let of = |memory: &str, cpus: &str| {
        let file = SpecFile { memory: Some(memory.into()), cpus: Some(cpus.into()), ..SpecFile::default() };
        resources(&file.resolve("dev".parse().unwrap()).unwrap(), None, &capabilities())
    };
    assert_eq!(of("auto", "auto").unwrap(), Resources { cpus: None, memory: Some(4000 << 20), disk: None });
    assert_eq!(of("no-limit", "2").unwrap(), Resources { cpus: Some(2.0), memory: None, disk: None });
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
