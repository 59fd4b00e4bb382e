use skiff_cluster::{ClusterStatus, ComponentState, KubeconfigState, NodeReport};
use skiff_config::SpecFile;
use skiff_report::Reason;

use super::*;

fn profile(name: &str, running: Option<bool>) -> ProfileReport {
    let state = |running| if running { ComponentState::Running } else { ComponentState::Stopped };
    let address = Some([192, 168, 49, 2].into());
    let node = |running| NodeReport {
        name: name.to_owned(),
        worker: false,
        host: state(running),
        kubelet: state(running),
        apiserver: state(running),
        kubeconfig: KubeconfigState::Configured,
        address,
        trouble: None,
    };
    let (name, version) = (name.parse().unwrap(), "v1.20.2");
    let status = running.map(|running| ClusterStatus {
        name: "dev".parse().unwrap(),
        version: version.parse().unwrap(),
        nodes: vec![node(running)],
    });
    ProfileReport {
        name,
        driver: "docker".to_owned(),
        version: version.to_owned(),
        status,
        spec: SpecFile::default(),
        address,
        nodes: 1,
        config: BTreeMap::from([("memory".to_owned(), "4g".to_owned())]),
    }
}

fn listing() -> Listing {
    let damaged = DamagedProfile {
        name: "old".to_owned(),
        problem: "the profile file /h/profiles/old/cluster.yaml is damaged: not YAML".to_owned(),
        reason: Reason::new("HOST_CONFIG_LOAD", ExitCode::HOST_CONFIG, "Correct it, or delete the cluster."),
    };
    Listing {
        valid: vec![profile("dev", Some(true)), profile("off", Some(false)), profile("unasked", None)],
        damaged: vec![damaged],
        active: "dev".to_owned(),
        context: Some("off".to_owned()),
        unasked: "Skipped",
    }
}

#[test]
fn the_table_shows_damaged_profiles_too() {
    insta::assert_snapshot!(listing().to_table());
}

#[test]
fn json_keeps_valid_and_invalid_apart() {
    insta::assert_json_snapshot!(listing().to_json());
}

#[test]
fn no_profiles_are_two_empty_lists() {
    let none = Listing { valid: vec![], damaged: vec![], active: "skiff".to_owned(), context: None, unasked: "" };
    assert_eq!(json(&none.to_json()).unwrap(), "{\"invalid\":[],\"valid\":[]}\n");
}
