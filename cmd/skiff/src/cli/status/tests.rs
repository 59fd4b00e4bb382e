use clap::Parser;

use super::*;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

fn args(flags: &str) -> Args {
    Line::parse_from(["status"].into_iter().chain(flags.split_whitespace())).args
}

fn node(name: &str, worker: bool, state: ComponentState, kubeconfig: KubeconfigState) -> NodeReport {
    let apiserver = if worker { ComponentState::Irrelevant } else { state };
    let kubeconfig = if worker { KubeconfigState::Irrelevant } else { kubeconfig };
    let (name, address) = (name.to_owned(), None);
    NodeReport { name, worker, host: state, kubelet: state, apiserver, kubeconfig, address, trouble: None }
}

fn cluster(nodes: Vec<NodeReport>) -> ClusterStatus {
    ClusterStatus { name: "dev".parse().unwrap(), version: "v1.20.2".parse().unwrap(), nodes }
}

fn running() -> ClusterStatus {
    cluster(vec![node("dev", false, ComponentState::Running, KubeconfigState::Configured)])
}

fn half_stopped() -> ClusterStatus {
    cluster(vec![
        node("dev", false, ComponentState::Running, KubeconfigState::Misconfigured),
        node("dev-m02", true, ComponentState::Stopped, KubeconfigState::Irrelevant),
    ])
}

#[test]
fn every_layout_and_format_keeps_its_shape() {
    let mut all = String::new();
    for flags in ["", "-o json", "-l cluster", "-l cluster -o json", "-f {{.Name}}:{{.Host}}/{{.APIServer}};"] {
        for status in [running(), half_stopped()] {
            all += &format!("--- status {flags}\n{}\n", args(flags).render(&status, Around::default()).unwrap());
        }
    }
    insta::assert_snapshot!(all);
}

#[test]
fn a_machine_that_is_halted_by_itself_says_why() {
    let mut status = running();
    assert!(!args("-o json").render(&status, Around::default()).unwrap().contains("Trouble"));
    status.nodes[0].trouble = Some("the disk is full".to_owned());
    let told = args("-o json").render(&status, Around::default()).unwrap();
    assert!(told.contains(r#""Trouble":"the disk is full""#), "{told}");
}

#[test]
fn a_start_under_way_is_told_by_its_step() {
    let doing =
        Doing { code: 100, step: "Booting control plane".to_owned(), detail: "Booting the control plane".to_owned() };
    let render =
        |flags: &str| args(flags).render(&half_stopped(), Around { doing: Some(&doing), time_to_stop: None }).unwrap();
    insta::assert_snapshot!(render("-l cluster") + &render("-l cluster -o json"));
}

#[test]
fn a_scheduled_stop_is_told_in_every_form() {
    for flags in ["", "-o json", "-l cluster", "-l cluster -o json", "-f {{.TimeToStop}}"] {
        let around = Around { doing: None, time_to_stop: Some("14m59s") };
        let text = args(flags).render(&running(), around).unwrap();
        assert!(text.contains("14m59s"), "{flags}: {text}");
    }
}

#[test]
fn the_exit_code_adds_up_what_does_not_work() {
    assert_eq!(exit_code(&running()).0, 0);
    assert_eq!(exit_code(&half_stopped()).0, 7);
    let one = |state| exit_code(&cluster(vec![node("dev", false, state, KubeconfigState::Configured)])).0;
    assert_eq!(one(ComponentState::Stopped), 3);
    let mut paused = running();
    paused.nodes[0].apiserver = ComponentState::Paused;
    assert_eq!(exit_code(&paused).0, 2);
    let worker = node("w", true, ComponentState::Running, KubeconfigState::Irrelevant);
    assert_eq!(exit_code(&cluster(vec![worker])).0, 0);
}

#[test]
fn a_cluster_without_nodes_does_not_pass_for_a_good_one() {
    let status = with_node(cluster(vec![]));
    assert_eq!(exit_code(&status).0, 7);
    assert!(args("").render(&status, Around::default()).unwrap().contains("host: Nonexistent"));
}

#[test]
fn one_node_can_be_asked_for_by_either_name() {
    for name in ["dev-m02", "m02"] {
        let status = args(&format!("-n {name}")).select(half_stopped()).unwrap();
        assert_eq!(status.nodes.len(), 1, "{name}");
        assert_eq!(status.nodes[0].name, "dev-m02");
    }
    assert_eq!(args("-n m07").select(running()).unwrap_err().exit.0, 85);
}
