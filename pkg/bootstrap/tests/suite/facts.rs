//! What each minor of Kubernetes accepts, checked on the golden files without our own code.

use std::{
    collections::BTreeSet,
    fs,
    net::{Ipv4Addr, Ipv6Addr},
    path::PathBuf,
};

use serde_json::{Value, json};
use skiff_bootstrap::{
    Role,
    kubeadm::{EtcdStart, Member},
    render,
};

use crate::{fixture, fixture::Flavour};

/// The documents of a golden file.
fn documents(minor: u64, name: &str) -> Vec<Value> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/v1.{minor}/{name}.yaml"));
    serde_saphyr::from_multiple(&fs::read_to_string(path).unwrap()).unwrap()
}

fn document(minor: u64, name: &str, kind: &str) -> Value {
    let found = documents(minor, name).into_iter().find(|document| document["kind"] == kind);
    found.unwrap_or_else(|| panic!("no {kind} in {name} of 1.{minor}"))
}

/// `init`, `init-rich` …
fn names(stem: &str) -> [String; 3] {
    Flavour::ALL.map(|flavour| format!("{stem}{}", flavour.suffix()))
}

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// The flags in an `extraArgs`, whatever its shape.
fn flags(value: &Value) -> Vec<(&str, &str)> {
    match value {
        Value::Null => Vec::new(),
        Value::Object(map) => map.iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap())).collect(),
        Value::Array(list) => {
            list.iter().map(|arg| (arg["name"].as_str().unwrap(), arg["value"].as_str().unwrap())).collect()
        }
        other => panic!("{other} is no list of flags"),
    }
}

fn flag<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    flags(value).into_iter().find(|(flag, _)| *flag == name).map(|(_, value)| value)
}

#[test]
fn each_kubeadm_gets_the_api_version_it_reads_without_a_warning() {
    for minor in fixture::minors() {
        let version = match minor {
            20..=21 => "kubeadm.k8s.io/v1beta2",
            22..=30 => "kubeadm.k8s.io/v1beta3",
            _ => "kubeadm.k8s.io/v1beta4",
        };
        for name in ["init", "worker", "control-plane"].into_iter().flat_map(names) {
            for document in documents(minor, &name) {
                let expected = match document["kind"].as_str().unwrap() {
                    "KubeletConfiguration" => "kubelet.config.k8s.io/v1beta1",
                    "KubeProxyConfiguration" => "kubeproxy.config.k8s.io/v1alpha1",
                    _ => version,
                };
                assert_eq!(document["apiVersion"], expected, "{name} of 1.{minor}");
            }
        }
    }
}

#[test]
fn flags_and_timeouts_have_the_shape_of_the_api_version() {
    for minor in fixture::minors() {
        let beta4 = minor >= 31;
        for name in names("init") {
            let cluster = document(minor, &name, "ClusterConfiguration");
            let init = document(minor, &name, "InitConfiguration");
            for args in [
                &cluster["controllerManager"]["extraArgs"],
                &cluster["scheduler"]["extraArgs"],
                &init["nodeRegistration"]["kubeletExtraArgs"],
            ] {
                assert!(args.is_null() || args.is_array() == beta4, "{name} of 1.{minor}: {args}");
                // Values that are not text are an error in Go.
                flags(args);
            }
            assert_eq!(cluster["apiServer"]["timeoutForControlPlane"].is_null(), beta4);
            assert_eq!(init["timeouts"].is_null(), !beta4);
            for key in ["encryptionAlgorithm", "certificateValidityPeriod", "caCertificateValidityPeriod"] {
                assert_eq!(cluster[key].is_null(), !beta4, "{key} of 1.{minor}");
            }
        }
    }
}

#[test]
fn only_control_planes_are_told_of_tokens_and_of_each_others_parts() {
    for minor in fixture::minors() {
        for name in names("worker") {
            let cluster = document(minor, &name, "ClusterConfiguration");
            assert!(cluster["apiServer"].is_null() && cluster["etcd"].is_null(), "{name} of 1.{minor}");
            assert!(document(minor, &name, "InitConfiguration")["bootstrapTokens"].is_null(), "{name} of 1.{minor}");
        }
        for name in names("control-plane") {
            let cluster = document(minor, &name, "ClusterConfiguration");
            assert!(flag(&cluster["etcd"]["local"]["extraArgs"], "initial-cluster").is_none(), "{name} of 1.{minor}");
        }
    }
}

#[test]
fn etcds_that_begin_together_know_each_other() {
    let node = |index: u8| Member {
        name: format!("demo-m0{index}").parse().unwrap(),
        address: Ipv4Addr::new(192, 168, 76, index),
    };
    for minor in fixture::minors() {
        let cluster = fixture::cluster(minor, Flavour::Rich);
        let config = fixture::node(&cluster, Role::ControlPlane, Flavour::Rich);
        let members = vec![node(2), node(3)];
        for (start, state) in
            [(EtcdStart::Founding(members.clone()), "new"), (EtcdStart::Joining(members.clone()), "existing")]
        {
            let text = render::etcd_config(&cluster, &config, &start).unwrap();
            let documents: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
            let args = &documents[1]["etcd"]["local"]["extraArgs"];
            let expected = "demo-m02=https://192.168.76.2:2380,demo-m03=https://192.168.76.3:2380";
            assert_eq!(flag(args, "initial-cluster"), Some(expected), "1.{minor}");
            assert_eq!(flag(args, "initial-cluster-state"), Some(state));
            assert_eq!(flag(args, "quota-backend-bytes"), Some("8589934592"), "the user's own flags stay");
        }
    }
}

#[test]
fn a_node_in_a_container_keeps_the_rest_of_its_host_from_pods() {
    for minor in fixture::minors() {
        let kubelet = document(minor, "worker", "KubeletConfiguration");
        assert!(kubelet["systemReserved"].is_null());
        let kubelet = document(minor, "worker-rich", "KubeletConfiguration");
        // The user's own setting of a field wins.
        assert_eq!(kubelet["systemReserved"], json!({ "cpu": "1", "memory": "10485760Ki" }));
        let init = document(minor, "worker-rich", "InitConfiguration");
        let args = &init["nodeRegistration"]["kubeletExtraArgs"];
        assert_eq!(flag(args, "register-with-taints"), Some("gpu=yes:NoSchedule,old=:NoExecute"));
    }
}

#[test]
fn no_document_holds_a_field_its_kubeadm_does_not_know() {
    // (field, first minor, last minor)
    let limits = [
        ("useHyperKubeImage", 0, 0),
        ("type", 20, 21),
        ("skipPhases", 22, 99),
        ("patches", 22, 99),
        ("imagePullPolicy", 22, 99),
        ("imagePullSerial", 31, 99),
        ("extraEnvs", 31, 99),
        ("disabled", 31, 99),
        ("timeouts", 31, 99),
        ("failCgroupV1", 31, 99),
        ("containerRuntimeEndpoint", 27, 99),
        ("localStorageCapacityIsolation", 25, 99),
    ];
    for minor in fixture::minors() {
        for name in ["init", "worker", "control-plane"].into_iter().flat_map(names) {
            for document in documents(minor, &name) {
                for (field, first, last) in limits {
                    let allowed = (first..=last).contains(&minor);
                    assert!(allowed || !holds(&document, field), "{field} in {name} of 1.{minor}");
                }
            }
        }
    }
}

fn holds(value: &Value, field: &str) -> bool {
    match value {
        Value::Object(map) => map.contains_key(field) || map.values().any(|value| holds(value, field)),
        Value::Array(list) => list.iter().any(|value| holds(value, field)),
        _ => false,
    }
}

#[test]
fn kubelets_get_no_flag_that_their_version_lacks() {
    let since_1_24_gone = [
        "network-plugin",
        "cni-conf-dir",
        "cni-bin-dir",
        "cni-cache-dir",
        "network-plugin-mtu",
        "docker-endpoint",
        "image-pull-progress-deadline",
        "pod-infra-container-image",
    ];
    for minor in fixture::minors() {
        for (stem, kind) in [("init", "InitConfiguration"), ("worker", "InitConfiguration")] {
            for name in names(stem) {
                let document = document(minor, &name, kind);
                let args = &document["nodeRegistration"]["kubeletExtraArgs"];
                assert_eq!(flag(args, "container-runtime").is_some(), minor <= 23, "{name} of 1.{minor}");
                assert_eq!(flag(args, "container-runtime-endpoint").is_some(), minor <= 26, "{name} of 1.{minor}");
                assert!(since_1_24_gone.iter().all(|gone| flag(args, gone).is_none()), "{name} of 1.{minor}");
                assert!(flag(args, "node-ip").is_some());
            }
        }
    }
}

#[test]
fn kubelets_know_their_runtime_and_cgroups() {
    for minor in fixture::minors() {
        let kubelet = document(minor, "init", "KubeletConfiguration");
        assert_eq!(kubelet["containerRuntimeEndpoint"].is_string(), minor >= 27);
        // The first flavour is on cgroup v1, the second on v2.
        assert_eq!(kubelet["failCgroupV1"] == false, minor >= 35);
        assert_eq!(kubelet["cgroupDriver"], "cgroupfs");
        assert_eq!(kubelet["failSwapOn"], false);
        assert_eq!(kubelet["imageGCHighThresholdPercent"], 100);
        let rich = document(minor, "init-rich", "KubeletConfiguration");
        assert!(rich["failCgroupV1"].is_null());
        assert_eq!(rich["cgroupDriver"], "systemd");
        let criteria = document(minor, "init", "InitConfiguration");
        assert_eq!(criteria["nodeRegistration"]["criSocket"], "unix:///run/containerd/containerd.sock");
    }
}

#[test]
fn one_control_plane_elects_nobody_and_runs_pods() {
    for minor in fixture::minors() {
        let cluster = document(minor, "init", "ClusterConfiguration");
        for part in ["controllerManager", "scheduler"] {
            assert_eq!(flag(&cluster[part]["extraArgs"], "leader-elect"), Some("false"));
        }
        assert_eq!(flag(&cluster["controllerManager"]["extraArgs"], "allocate-node-cidrs"), Some("false"));
        assert_eq!(cluster["networking"]["podSubnet"], "10.244.0.0/16");
        assert_eq!(cluster["kubernetesVersion"].as_str().unwrap().split('.').nth(1), Some(minor.to_string().as_str()));
        let init = document(minor, "init", "InitConfiguration");
        assert_eq!(init["nodeRegistration"]["taints"], serde_json::json!([]));
        let rich = document(minor, "init-rich", "InitConfiguration");
        assert!(rich["nodeRegistration"].get("taints").is_none(), "kubeadm's own taints");
        let rich = document(minor, "init-rich", "ClusterConfiguration");
        assert_eq!(flag(&rich["scheduler"]["extraArgs"], "leader-elect"), None);
        let election =
            |cluster: &Value| flag(&cluster["etcd"]["local"]["extraArgs"], "election-timeout").map(str::to_owned);
        assert_eq!(election(&cluster).as_deref(), Some("500"));
        assert_eq!(election(&rich), None);
    }
}

/// etcd refuses an election time of less than five heartbeats.
#[test]
fn whoever_paces_etcd_paces_its_elections_too() {
    let mut cluster = fixture::cluster(20, Flavour::Default);
    cluster.spec.extra_config = vec!["etcd.heartbeat-interval=300".parse().unwrap()];
    let node = fixture::node(&cluster, Role::FirstControlPlane, Flavour::Default);
    let config = render::kubeadm_config(&cluster, &node).unwrap();
    assert!(config.contains("heartbeat-interval: \"300\"") && !config.contains("election-timeout"), "{config}");
}

#[test]
fn both_families_are_told_in_pairs_and_only_old_versions_need_a_gate() {
    for minor in fixture::minors() {
        for name in ["init-dual", "control-plane-dual", "worker-dual"] {
            let cluster = document(minor, name, "ClusterConfiguration");
            assert_eq!(cluster["networking"]["podSubnet"], "10.244.0.0/16,fd00:10:244::/56");
            assert_eq!(cluster["networking"]["serviceSubnet"], "10.96.0.0/12,fd00:10:96::/112");
            assert_eq!(cluster["featureGates"] == json!({ "IPv6DualStack": true }), minor == 20, "{name} of 1.{minor}");
            let registration = document(minor, name, "InitConfiguration");
            let address = flag(&registration["nodeRegistration"]["kubeletExtraArgs"], "node-ip").unwrap();
            let (ipv4, ipv6) = address.split_once(',').unwrap();
            assert!(ipv4.parse::<Ipv4Addr>().is_ok() && ipv6.parse::<Ipv6Addr>().is_ok(), "{address}");
        }
        assert_eq!(
            document(minor, "init-dual", "KubeProxyConfiguration")["clusterCIDR"],
            "10.244.0.0/16,fd00:10:244::/56"
        );
    }
}

#[test]
fn no_name_of_one_node_is_asked_of_all_control_planes() {
    for minor in fixture::minors() {
        for name in names("init") {
            let cluster = document(minor, &name, "ClusterConfiguration");
            let sans: Vec<&str> =
                cluster["apiServer"]["certSANs"].as_array().unwrap().iter().flat_map(Value::as_str).collect();
            assert!(!sans.contains(&"demo") && sans.contains(&"kubernetes"), "{sans:?}");
        }
    }
}

#[test]
fn kube_proxy_leaves_the_hosts_limits_alone() {
    for minor in fixture::minors() {
        let proxy = document(minor, "init", "KubeProxyConfiguration");
        assert_eq!(proxy["conntrack"]["maxPerCore"], 0);
        assert_eq!(proxy["conntrack"]["tcpEstablishedTimeout"], "0s");
        assert_eq!(proxy["mode"], "iptables");
    }
}

#[test]
fn coredns_is_asked_for_where_the_registry_keeps_it() {
    for minor in fixture::minors() {
        let (ours, theirs) =
            (document(minor, "init", "ClusterConfiguration"), document(minor, "init-rich", "ClusterConfiguration"));
        assert_eq!(ours["dns"]["disabled"] == true, minor >= 31, "1.{minor}");
        let repository = theirs["dns"]["imageRepository"].as_str();
        assert_eq!(repository, (21..=24).contains(&minor).then_some("registry.k8s.io/coredns"), "1.{minor}");
    }
}

#[test]
fn kubeadms_own_gates_stay_with_kubeadm_while_it_has_them() {
    for minor in fixture::minors() {
        let cluster = document(minor, "init-rich", "ClusterConfiguration");
        assert_eq!(cluster["featureGates"]["EtcdLearnerMode"] == true, (27..=32).contains(&minor), "1.{minor}");
        let kubelet = document(minor, "init-rich", "KubeletConfiguration");
        assert_eq!(keys(&kubelet["featureGates"]), BTreeSet::from(["CSIMigration", "EphemeralContainers"]));
        let gates = flag(&cluster["scheduler"]["extraArgs"], "feature-gates");
        assert_eq!(gates, Some("EphemeralContainers=true,CSIMigration=false"));
        assert_eq!(flag(&cluster["etcd"]["local"]["extraArgs"], "feature-gates"), None);
    }
}
