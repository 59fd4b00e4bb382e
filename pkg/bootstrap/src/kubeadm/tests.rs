use std::net::Ipv4Addr;

use skiff_config::SpecFile;
use skiff_runner::FakeRunner;

use super::*;
use crate::{BootstrapToken, CgroupVersion, Endpoint, HostFacts, Role};

fn cluster(extra_config: &[&str]) -> (ClusterConfig, NodeConfig) {
    let extra_config = Some(extra_config.iter().map(ToString::to_string).collect());
    let file = SpecFile { extra_config, ..SpecFile::default() };
    let spec = file.resolve("dev".parse().unwrap()).unwrap();
    let (name, address) = (spec.name.node(0), Ipv4Addr::new(192, 168, 49, 2));
    let pod_cidr = spec.node_pod_cidr(0).unwrap();
    let host = HostFacts::container(CgroupVersion::V1);
    let node = NodeConfig::new(name, address, Role::FirstControlPlane, pod_cidr, host);
    let endpoint = Endpoint { host: address.to_string(), port: 8443 };
    (ClusterConfig::new(spec, endpoint, BootstrapToken::from_bytes([1; 22])).unwrap(), node)
}

fn lines(runner: &FakeRunner) -> Vec<String> {
    runner.commands().iter().map(|command| command.argv.last().unwrap().clone()).collect()
}

#[tokio::test]
async fn the_kubelet_starts_after_its_manifests_are_written() {
    let (cluster, node) = cluster(&[]);
    let runner = FakeRunner::default();
    start_control_plane(&runner, &cluster, &node, &EtcdStart::Alone).await.unwrap();
    let script = &lines(&runner)[0];
    let position = |word: &str| script.find(word).unwrap();
    assert!(
        position("etcd local") < position("kubelet-start")
            && position("control-plane apiserver") < position("kubelet-start")
    );
}

#[tokio::test]
async fn the_controller_manager_starts_when_the_api_server_listens() {
    let (cluster, node) = cluster(&[]);
    let runner = FakeRunner::default();
    start_controller_manager(&runner, &cluster, &node).await.unwrap();
    let script = &lines(&runner)[0];
    let listens = script.find("20FB 0A").expect("a look at port 8443");
    assert!(listens < script.find("control-plane controller-manager").unwrap(), "{script}");
}

#[tokio::test]
async fn a_phase_that_was_not_answered_in_time_runs_again_and_one_that_was_refused_does_not() {
    let (cluster, node) = cluster(&[]);
    let late = "error execution phase upload-config/kubelet: error creating kubelet configuration ConfigMap: unable \
                to create ConfigMap: Post \"https://169.254.53.54:8443/api/v1/namespaces/kube-system/configmaps?\
                timeout=10s\": context deadline exceeded\nTo see the stack trace of this error execute with --v=5\n";
    let runner = FakeRunner::default().reply("upload-config", 1, "", late);
    finish_control_plane(&runner, &cluster, &node).await.unwrap();
    assert_eq!(lines(&runner).iter().filter(|line| line.contains("upload-config")).count(), 2);

    let refused = "error execution phase upload-config/kubelet: configmaps is forbidden\n";
    let runner = FakeRunner::default().reply("upload-config", 1, "", refused);
    assert!(finish_control_plane(&runner, &cluster, &node).await.is_err());
}

#[test]
fn a_port_is_seen_when_somebody_listens_there() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let waits = |port: u16| {
        let script = until_listening(port).replace("seq 6000", "seq 2").replace("sleep 0.05", "echo nobody");
        let output = std::process::Command::new("sh").args(["-euc", &script]).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(waits(port), "");
    // Who is connected does not listen.
    let _client = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    drop(listener);
    assert_eq!(waits(port), "nobody\nnobody\n");
}

#[tokio::test]
async fn skipped_phases_are_not_run() {
    let (cluster, node) = cluster(&["kubeadm.skip-phases=addon/kube-proxy,bootstrap-token,etcd"]);
    let runner = FakeRunner::default();
    start_control_plane(&runner, &cluster, &node, &EtcdStart::Alone).await.unwrap();
    finish_control_plane(&runner, &cluster, &node).await.unwrap();
    let all = lines(&runner).join("\n");
    assert!(!all.contains("kube-proxy") && !all.contains("bootstrap-token") && !all.contains("etcd local"), "{all}");
    assert!(all.contains("upload-config all") && all.contains("mark-control-plane"), "{all}");
}

#[tokio::test]
async fn pods_that_run_are_led_to_an_api_server_on_another_port() {
    let (mut cluster, node) = cluster(&[]);
    cluster.spec.apiserver.port = 9443;
    let runner = FakeRunner::default();
    finish_control_plane(&runner, &cluster, &node).await.unwrap();
    let new = lines(&runner).join("\n");
    assert!(!new.contains("patch") && !new.contains("rollout"), "{new}");
    let runner = FakeRunner::default();
    finish_control_plane_again(&runner, &cluster, &node).await.unwrap();
    let again = lines(&runner).join("\n");
    assert!(again.contains("rollout restart daemonset kube-proxy"), "{again}");
    assert!(again.contains("patch endpoints kubernetes") && again.contains("\"value\": 9443"), "{again}");
}

#[tokio::test]
async fn a_failed_phase_is_named_and_keeps_what_kubeadm_printed() {
    let (cluster, node) = cluster(&[]);
    let runner = FakeRunner::default().reply("mark-control-plane", 1, "", "error execution phase mark-control-plane");
    let error = finish_control_plane(&runner, &cluster, &node).await.unwrap_err();
    let BootstrapError::Kubeadm { action, printed, .. } = &error else { panic!("{error}") };
    assert_eq!(action, "kubeadm init phase mark-control-plane");
    assert!(printed.contains("error execution phase"));
}

#[tokio::test]
async fn an_etcd_that_does_not_begin_alone_reads_a_file_of_its_own() {
    let (cluster, node) = cluster(&[]);
    let members = vec![Member { name: node.name.clone(), address: node.address }];
    let runner = FakeRunner::default();
    start_control_plane(&runner, &cluster, &node, &EtcdStart::Founding(members)).await.unwrap();
    let script = &lines(&runner)[0];
    assert!(script.contains("etcd local --config /run/skiff-etcd.yaml"), "{script}");
    assert!(script.contains("apiserver --config /etc/kubernetes/kubeadm.yaml"), "{script}");
    let skiff_runner::Stdin::Bytes(config) = &runner.commands()[0].stdin else { panic!("no configuration") };
    assert!(String::from_utf8_lossy(config).contains("initial-cluster: dev=https://192.168.49.2:2380"));
}

#[tokio::test]
async fn a_worker_only_starts_its_kubelet() {
    let (cluster, mut node) = cluster(&[]);
    node.role = Role::Worker;
    let runner = FakeRunner::default();
    join_worker(&runner, &cluster, &node).await.unwrap();
    assert_eq!(lines(&runner), ["kubeadm init phase kubelet-start --config /etc/kubernetes/kubeadm.yaml"]);
}

#[tokio::test]
async fn managers_take_turns_as_soon_as_there_are_two() {
    let (mut cluster, node) = cluster(&[]);
    cluster.control_planes = 2;
    let runner = FakeRunner::default();
    take_turns(&runner, &cluster, &node).await.unwrap();
    let skiff_runner::Stdin::Bytes(config) = &runner.commands()[0].stdin else { panic!("no configuration") };
    assert!(!String::from_utf8_lossy(config).contains("leader-elect"));
    assert!(lines(&runner)[0].contains("controller-manager") && lines(&runner)[0].contains("scheduler"));
}
