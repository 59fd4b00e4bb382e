use super::*;

fn name() -> ClusterName {
    "dev".parse().unwrap()
}

fn resolve(change: impl FnOnce(&mut SpecFile)) -> Result<ClusterSpec, Vec<String>> {
    let mut file = SpecFile::default();
    change(&mut file);
    file.resolve(name()).map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn defaults_are_a_valid_cluster() {
    let spec = resolve(|_| {}).unwrap();
    assert_eq!(spec.kubernetes_version.to_string(), "v1.20.2");
    assert_eq!(spec.kubernetes_service_ip().to_string(), "10.96.0.1");
    assert_eq!(spec.cluster_dns_ip().to_string(), "10.96.0.10");
    assert_eq!(spec.node_pod_cidr(3).unwrap().to_string(), "10.244.3.0/24");
    assert_eq!(spec.node_pod_cidr(256), None);
}

#[test]
fn settings_of_one_node_are_its_own() {
    let spec = resolve(|file| {
        file.ports = Some(vec!["80".into(), "m02:81:80".into()]);
        file.mounts = Some(vec!["/a:/a".into(), "m02:/b:/b:ro".into()]);
        file.node_labels = Some(vec!["m02:disk=fast".into(), "disk=slow".into()]);
        file.node_taints = Some(vec!["m02:gpu:NoSchedule".into()]);
    })
    .unwrap();
    let ports = |index| spec.ports_of(index).map(|port| port.host_port).collect::<Vec<_>>();
    let mounts = |index| spec.mounts_of(index).map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!((ports(0), ports(1), ports(2)), (vec![80], vec![81], vec![]));
    assert_eq!((mounts(0), mounts(1)), (vec!["/a:/a".to_owned()], vec!["/a:/a".to_owned(), "/b:/b:ro".to_owned()]));
    assert_eq!((spec.labels_of(0)["disk"].as_str(), spec.labels_of(1)["disk"].as_str()), ("slow", "fast"));
    assert_eq!((spec.taints_of(0).count(), spec.taints_of(1).count()), (0, 1));
}

#[test]
fn two_mounts_do_not_meet_in_one_node() {
    let mounts = |texts: &[&str]| {
        let texts = Some(texts.iter().map(|text| (*text).to_owned()).collect());
        resolve(|file| file.mounts = texts).map(drop)
    };
    assert_eq!(mounts(&["m01:/a:/x", "m02:/b:/x"]), Ok(()));
    let both = mounts(&["/a:/x", "m02:/b:/x"]).unwrap_err();
    assert_eq!(both, ["--mounts: m02:/b:/x and /a:/x want the same place in the node"]);
}

#[test]
fn what_a_file_leaves_out_goes_back_to_the_default() {
    let stored = SpecFile {
        memory: some("4g"),
        cpus: some("2"),
        ports: Some(vec!["80".into()]),
        listen_address: some("0.0.0.0"),
        cert_expiration: some("24h"),
        dns_domain: some("my.local"),
        ..SpecFile::default()
    };
    let defaults = SpecFile { memory: some("3g"), nodes: some("3"), ..SpecFile::default() };
    let file = SpecFile { cpus: some("1"), ..SpecFile::default() }.in_place_of(&stored, defaults);
    assert_eq!((file.cpus.as_deref(), file.memory.as_deref(), file.nodes.as_deref()), (Some("1"), Some("3g"), None));
    assert_eq!((file.ports.as_deref(), file.dns_domain.as_deref()), (Some(&[][..]), None));
    let plain = SpecFile::default();
    let back = SpecFile { cpus: None, memory: None, ..file }.over(SpecFile { dns_domain: None, ..stored.clone() });
    let mut unset = SpecFile { cpus: some("auto"), memory: some("auto"), ..back };
    unset.etcd_unsafe_fsync = SpecFile::default()
        .in_place_of(&SpecFile { etcd_unsafe_fsync: some("true"), ..stored }, plain.clone())
        .etcd_unsafe_fsync;
    assert_eq!(unset.resolve(name()), plain.resolve(name()), "each is what it would have been");
}

#[test]
fn all_problems_are_told_at_once() {
    let problems = resolve(|file| {
        file.memory = some("1g");
        file.cpus = some("many");
        file.kubernetes_version = some("1.19.0");
        file.service_cluster_ip_range = some("10.96.0.1/12");
        file.extra_config = Some(vec!["apiservr.v=1".into(), "apiserver.v=1".into(), "x".into()]);
        file.static_ip = some("192.168.7.1");
    })
    .unwrap_err();
    assert_eq!(problems.len(), 7, "{problems:#?}");
    assert!(problems.iter().any(|problem| problem.contains("the network is 10.96.0.0/12")), "{problems:#?}");
}

#[test]
fn overlapping_networks_are_refused() {
    let problems = resolve(|file| file.pod_network_cidr = some("10.96.0.0/16")).unwrap_err();
    assert_eq!(problems, ["--pod-network-cidr: 10.96.0.0/16 overlaps with --service-cluster-ip-range 10.96.0.0/12"]);
    let problems = resolve(|file| file.subnet = some("10.244.3.0/24")).unwrap_err();
    assert_eq!(problems, ["--subnet: 10.244.3.0/24 overlaps with --pod-network-cidr 10.244.0.0/16"]);
}

#[test]
fn a_static_address_must_lie_in_the_subnet() {
    let both = |ip: &str| {
        resolve(|file| {
            file.subnet = some("192.168.60.0/24");
            file.static_ip = some(ip);
        })
    };
    assert!(both("192.168.60.7").is_ok());
    assert!(both("192.168.61.7").is_err());
}

#[test]
fn memory_problems_have_their_own_exit_code() {
    let file = SpecFile { memory: some("512m"), ..SpecFile::default() };
    let problems = file.resolve(name()).unwrap_err();
    assert_eq!(Problem::reason(&problems).exit.0, 23);
}

#[test]
fn upper_settings_win_over_lower_ones() {
    let flags = SpecFile { memory: some("4g"), ..SpecFile::default() };
    let stored = SpecFile { memory: some("3g"), cpus: some("2"), ..SpecFile::default() };
    let merged = flags.over(stored);
    assert_eq!((merged.memory.as_deref(), merged.cpus.as_deref()), (Some("4g"), Some("2")));
}

#[test]
fn differences_name_new_and_old_value() {
    let new = SpecFile { memory: some("4g"), cpus: some("2"), ports: Some(vec!["80".into()]), ..SpecFile::default() };
    let old = SpecFile { memory: some("3g"), cpus: some("2"), ..SpecFile::default() };
    let differences = new.differences(&old);
    assert_eq!(differences.len(), 2);
    assert_eq!(differences["memory"], ("4g".to_owned(), "3g".to_owned()));
    assert_eq!(differences["ports"], ("80".to_owned(), String::new()));
}

#[test]
fn files_read_back_what_was_written() {
    let mut file = ClusterFile::new(name(), SpecFile { memory: some("4g"), ..SpecFile::default() });
    file.status.subnet = Some("192.168.49.0/24".parse().unwrap());
    file.status.nodes.push(NodeRecord {
        name: name().node(0),
        role: "control-plane".into(),
        index: 0,
        address: "192.168.49.2".parse().unwrap(),
        ssh_port: 40022,
        apiserver_port: Some(40443),
        image: "abc".into(),
        agent: "agent:1".into(),
        made: Some("2024-01-01T00:00:00Z".into()),
        labels: [("zone".into(), "a".into())].into(),
        taints: vec!["gpu=yes:NoSchedule".into()],
        memory: Some(4 << 30),
        host: Some(HostSize { cpus: 8, memory: 16 << 30 }),
        limits: "2 4g".into(),
        applied: "def".into(),
    });
    let text = file.to_yaml().unwrap();
    assert_eq!(ClusterFile::from_yaml(&text).unwrap(), file, "{text}");
}

#[test]
fn nodes_must_fit_and_a_cluster_that_survives_has_three_control_planes() {
    let nodes = |nodes: &str, ha: bool, subnet: Option<&str>| {
        resolve(|file| {
            file.nodes = some(nodes);
            file.ha = ha.then(|| "true".to_owned());
            file.subnet = subnet.map(str::to_owned);
        })
    };
    assert_eq!(resolve(|_| {}).map(|spec| (spec.nodes, spec.control_planes())), Ok((1, 1)));
    assert_eq!(resolve(|file| file.ha = some("true")).map(|spec| (spec.nodes, spec.control_planes())), Ok((3, 3)));
    assert_eq!(nodes("5", true, None).map(|spec| (spec.nodes, spec.control_planes())), Ok((5, 3)));
    assert_eq!(
        nodes("2", true, None),
        Err(vec!["--nodes: 2 are too few for --ha, which makes 3 control planes".into()])
    );
    assert!(nodes("257", false, None).unwrap_err()[0].starts_with("--pod-network-cidr: "));
    assert!(nodes("13", false, Some("192.168.7.0/28")).is_ok());
    assert!(nodes("14", false, Some("192.168.7.0/28")).unwrap_err()[0].starts_with("--subnet: "));
    for bad in ["0", "-1", "three", ""] {
        assert_eq!(nodes(bad, false, None), Err(vec![format!("--nodes: `{bad}` is not a number of nodes")]));
    }
}

#[test]
fn unknown_keys_and_foreign_files_are_refused() {
    let good = ClusterFile::new(name(), SpecFile::default()).to_yaml().unwrap();
    assert!(matches!(ClusterFile::from_yaml(&good.replace("spec:", "spek:")), Err(FileError::Syntax(_))));
    assert!(matches!(ClusterFile::from_yaml(&good.replace("v1alpha1", "v9")), Err(FileError::Version { .. })));
    assert!(ClusterFile::from_yaml("").is_err());
    assert!(ClusterFile::from_yaml("\0\u{1}").is_err());
}

#[test]
fn a_cluster_speaks_both_families_only_if_asked() {
    let spec = |change: &dyn Fn(&mut SpecFile)| {
        let mut file = SpecFile::default();
        change(&mut file);
        file.resolve(ClusterName::default())
    };
    let plain = spec(&|_| {}).unwrap();
    assert_eq!((plain.ipv6, plain.pod_cidrs(), plain.node_pod_ipv6(0)), (None, "10.244.0.0/16".to_owned(), None));
    let dual = |version: &str| {
        spec(&|file| {
            file.ip_family = some("dual");
            file.kubernetes_version = some(version);
        })
        .unwrap()
    };
    let both = dual("v1.20.2");
    assert_eq!(both.pod_cidrs(), "10.244.0.0/16,fd00:10:244::/56");
    assert_eq!(both.service_cidrs(), "10.96.0.0/12,fd00:10:96::/112");
    assert_eq!(both.node_pod_ipv6(2).unwrap().to_string(), "fd00:10:244:2::/64");
    assert_eq!(both.cluster_dns_ipv6().unwrap().to_string(), "fd00:10:96::a");
    assert_eq!(both.feature_gates, [FeatureGate { name: "IPv6DualStack".to_owned(), enabled: true }]);
    assert!(dual("v1.21.0").feature_gates.is_empty(), "from 1.21 on it is on by itself");
}

#[test]
fn networks_of_a_family_that_is_not_spoken_are_refused() {
    let problems = resolve(|file| file.pod_network_cidr = some("10.1.0.0/16,fd00::/56")).unwrap_err();
    assert_eq!(problems, ["--pod-network-cidr: fd00::/56 is of IPv6, which a cluster speaks with --ip-family dual"]);
    for (family, pods, told) in [
        ("ipv6", None, "--ip-family: `ipv6` alone"),
        ("both", None, "--ip-family: `both` is not"),
        ("dual", Some("10.1.0.0/16,10.2.0.0/16"), "--pod-network-cidr: `10.1.0.0/16,10.2.0.0/16` is not"),
        ("dual", Some("fd00::/56"), "--pod-network-cidr: `fd00::/56` is not"),
        ("dual", Some("10.1.0.0/16,fd00::1/56"), "--pod-network-cidr: `fd00::1/56` has bits"),
        ("dual", Some("10.1.0.0/16,fd00::/72"), "--pod-network-cidr: fd00::/72 has a prefix"),
        ("dual", Some("10.1.0.0/16,fd00:10:96::/56"), "--pod-network-cidr: fd00:10:96::/56 overlaps"),
    ] {
        let problems = resolve(|file| {
            file.ip_family = some(family);
            file.pod_network_cidr = pods.map(str::to_owned);
        });
        let problems = problems.unwrap_err();
        assert!(problems[0].starts_with(told), "{problems:?}");
    }
    let long = resolve(|file| {
        file.ip_family = some("dual");
        file.pod_network_cidr = some("10.1.0.0/16,fd00:1::/72");
    });
    assert_eq!(long.unwrap_err().len(), 1, "that it holds no node goes without saying");
    let few = resolve(|file| {
        (file.ip_family, file.nodes) = (some("dual"), some("3"));
        file.pod_network_cidr = some("fd00:1::/63,10.1.0.0/16");
    });
    assert!(few.unwrap_err()[0].contains("too small for 3 nodes"));
}
