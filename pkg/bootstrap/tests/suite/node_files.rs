//! What a node is given before its first start.

use std::{collections::BTreeMap, time::SystemTime};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use skiff_bootstrap::{NodeFile, Role, node_files, pki::ClusterPki, render::KubeadmArgs};

use crate::{fixture, fixture::Flavour};

fn files(minor: u64, role: Role, flavour: Flavour) -> BTreeMap<String, NodeFile> {
    let cluster = fixture::cluster(minor, flavour);
    let node = fixture::node(&cluster, role, flavour);
    let now = SystemTime::now();
    let pki = ClusterPki::generate(&cluster, now).unwrap();
    let files = node_files(&cluster, &node, &pki, now).unwrap();
    files.into_iter().map(|file| (file.path.clone(), file)).collect()
}

fn paths(files: &BTreeMap<String, NodeFile>) -> Vec<&str> {
    files.keys().map(|path| path.strip_prefix("/etc/").unwrap()).collect()
}

const CONTROL_PLANE: [&str; 30] = [
    "cni/net.d/10-skiff.conflist",
    "kubernetes/admin.conf",
    "kubernetes/controller-manager.conf",
    "kubernetes/kubeadm.yaml",
    "kubernetes/kubelet.conf",
    "kubernetes/pki/apiserver-etcd-client.crt",
    "kubernetes/pki/apiserver-etcd-client.key",
    "kubernetes/pki/apiserver-kubelet-client.crt",
    "kubernetes/pki/apiserver-kubelet-client.key",
    "kubernetes/pki/apiserver.crt",
    "kubernetes/pki/apiserver.key",
    "kubernetes/pki/ca.crt",
    "kubernetes/pki/ca.key",
    "kubernetes/pki/etcd/ca.crt",
    "kubernetes/pki/etcd/ca.key",
    "kubernetes/pki/etcd/healthcheck-client.crt",
    "kubernetes/pki/etcd/healthcheck-client.key",
    "kubernetes/pki/etcd/peer.crt",
    "kubernetes/pki/etcd/peer.key",
    "kubernetes/pki/etcd/server.crt",
    "kubernetes/pki/etcd/server.key",
    "kubernetes/pki/front-proxy-ca.crt",
    "kubernetes/pki/front-proxy-ca.key",
    "kubernetes/pki/front-proxy-client.crt",
    "kubernetes/pki/front-proxy-client.key",
    "kubernetes/pki/kubelet.crt",
    "kubernetes/pki/kubelet.key",
    "kubernetes/pki/sa.key",
    "kubernetes/pki/sa.pub",
    "kubernetes/scheduler.conf",
];

#[test]
fn a_control_plane_gets_all_that_kubeadm_would_make() {
    assert_eq!(paths(&files(28, Role::FirstControlPlane, Flavour::Default)), CONTROL_PLANE);
    let mut with_super_admin = CONTROL_PLANE.to_vec();
    with_super_admin.push("kubernetes/super-admin.conf");
    assert_eq!(paths(&files(29, Role::FirstControlPlane, Flavour::Default)), with_super_admin);
    assert_eq!(paths(&files(29, Role::ControlPlane, Flavour::Default)), CONTROL_PLANE, "it is for the first one only");
}

#[test]
fn a_worker_gets_no_key_but_its_own() {
    let files = files(29, Role::Worker, Flavour::Default);
    let expected = [
        "cni/net.d/10-skiff.conflist",
        "kubernetes/kubeadm.yaml",
        "kubernetes/kubelet.conf",
        "kubernetes/pki/ca.crt",
        "kubernetes/pki/kubelet.crt",
        "kubernetes/pki/kubelet.key",
    ];
    assert_eq!(paths(&files), expected);
}

#[test]
fn files_with_secrets_are_for_root_alone() {
    for file in files(29, Role::FirstControlPlane, Flavour::Default).values() {
        let text = String::from_utf8_lossy(&file.contents);
        let secret = text.contains("PRIVATE KEY") || text.contains("client-key-data") || text.contains("token:");
        assert_eq!(file.mode, if secret { 0o600 } else { 0o644 }, "{}", file.path);
        assert!(!format!("{file:?}").contains("BEGIN"), "{file:?}");
    }
}

#[test]
fn kubeconfigs_lead_to_the_endpoint_with_the_right_identity() {
    let files = files(29, Role::FirstControlPlane, Flavour::Rich);
    let (local, shared) = ("https://192.168.76.2:6443", "https://control-plane.skiff.internal:6443");
    // (file, user, subject, server)
    let table = [
        ("kubelet", "system:node:demo", "O=system:nodes, CN=system:node:demo", local),
        ("admin", "kubernetes-admin", "O=kubeadm:cluster-admins, CN=kubernetes-admin", shared),
        ("super-admin", "kubernetes-super-admin", "O=system:masters, CN=kubernetes-super-admin", shared),
        ("controller-manager", "system:kube-controller-manager", "CN=system:kube-controller-manager", local),
        ("scheduler", "system:kube-scheduler", "CN=system:kube-scheduler", local),
    ];
    for (name, user, subject, server) in table {
        let file = &files[&format!("/etc/kubernetes/{name}.conf")];
        let config: Value = serde_saphyr::from_slice(&file.contents).unwrap();
        assert_eq!(config["current-context"], format!("{user}@demo"));
        assert_eq!(config["contexts"][0]["context"], json!({ "cluster": "demo", "user": user }));
        let cluster = &config["clusters"][0]["cluster"];
        assert_eq!(cluster["server"], server, "{name}");
        let decode = |value: &Value| String::from_utf8(STANDARD.decode(value.as_str().unwrap()).unwrap()).unwrap();
        let ca = decode(&cluster["certificate-authority-data"]);
        assert_eq!(ca.as_bytes(), files["/etc/kubernetes/pki/ca.crt"].contents);
        assert_eq!(config["users"][0]["name"], user);
        let certificate = decode(&config["users"][0]["user"]["client-certificate-data"]);
        let (_, pem) = x509_parser::pem::parse_x509_pem(certificate.as_bytes()).unwrap();
        assert_eq!(pem.parse_x509().unwrap().subject().to_string(), subject);
        assert!(decode(&config["users"][0]["user"]["client-key-data"]).starts_with("-----BEGIN PRIVATE KEY-----"));
    }
}

#[test]
fn kubelets_turn_to_the_api_server_of_their_own_node_where_there_is_one() {
    let servers = [
        (Role::FirstControlPlane, "https://192.168.76.2:6443"),
        (Role::ControlPlane, "https://192.168.76.3:6443"),
        (Role::Worker, "https://control-plane.skiff.internal:6443"),
    ];
    for (role, server) in servers {
        let files = files(20, role, Flavour::Rich);
        let config: Value = serde_saphyr::from_slice(&files["/etc/kubernetes/kubelet.conf"].contents).unwrap();
        assert_eq!(config["clusters"][0]["cluster"]["server"], server);
    }
}

#[test]
fn pods_get_addresses_of_their_nodes_own_network() {
    let files = files(29, Role::Worker, Flavour::Rich);
    let list: Value = serde_json::from_slice(&files["/etc/cni/net.d/10-skiff.conflist"].contents).unwrap();
    assert_eq!(list["cniVersion"], "0.4.0");
    let bridge = &list["plugins"][0];
    assert_eq!(bridge["ipam"]["ranges"], json!([[{ "subnet": "10.100.2.0/24" }]]));
    assert_eq!((&bridge["hairpinMode"], &bridge["mtu"]), (&json!(true), &json!(1400)));
    assert_eq!(list["plugins"][1]["type"], "portmap");
}

#[test]
fn kubeadm_is_told_what_to_skip_and_what_to_overlook() {
    let cluster = fixture::cluster(20, Flavour::Default);
    let node = fixture::node(&cluster, Role::FirstControlPlane, Flavour::Default);
    let flags = KubeadmArgs::of(&cluster, &node).to_flags();
    assert_eq!(flags[0], "--config=/etc/kubernetes/kubeadm.yaml");
    assert_eq!(flags[1], "--skip-phases=preflight,kubelet-finalize,addon/coredns");
    assert!(flags[2].starts_with("--ignore-preflight-errors=NumCPU,") && flags[2].ends_with(",SystemVerification"));
    let rich = fixture::cluster(20, Flavour::Rich);
    let worker = fixture::node(&rich, Role::Worker, Flavour::Rich);
    let args = KubeadmArgs::of(&rich, &worker);
    assert_eq!(args.skip_phases, ["preflight"]);
    assert_eq!(args.ignore_preflight_errors.last().unwrap(), "Hostname");
}
