use std::net::{IpAddr, Ipv4Addr};

use serde_json::{Value, json};
use skiff_config::Protocol;
use skiff_driver::{NodeNetwork, NodeRole, Purpose, Resources};

use super::*;

fn published(purpose: Purpose, host_port: u16, node_port: u16) -> Published {
    Published { purpose, host_ip: IpAddr::V4(Ipv4Addr::LOCALHOST), host_port, node_port, protocol: Protocol::Tcp }
}

fn spec() -> NodeSpec {
    NodeSpec {
        cluster: "dev".parse().unwrap(),
        name: "dev-m02".parse().unwrap(),
        role: NodeRole::Worker,
        image: "a1b2".to_owned(),
        network: NodeNetwork {
            name: "dev".to_owned(),
            subnet: "192.168.49.0/24".parse().unwrap(),
            gateway: "192.168.49.1".parse().unwrap(),
            ipv6: false,
            mtu: None,
        },
        address: "192.168.49.3".parse().unwrap(),
        resources: Resources { cpus: Some(1.5), memory: Some(3 << 30), disk: None },
        published: vec![published(Purpose::Ssh, 32001, 22), published(Purpose::User, 8080, 80)],
        mounts: vec!["/src:/data:ro".parse().unwrap()],
        seed: Vec::new(),
        marks: [("expires".to_owned(), "2026-01-01T00:00:00Z".to_owned())].into(),
    }
}

fn facts(privilege: Privilege) -> HostFacts {
    HostFacts { privilege, devices: vec!["/dev/kmsg"], modules: true }
}

/// The request as it goes over the wire.
fn request(facts: &HostFacts) -> Value {
    serde_json::to_value(container(&spec(), "skiff-node:v1.20.2-a1b2", facts)).unwrap()
}

#[test]
fn no_limit_is_all_there_is() {
    let all = Resources { cpus: Some(4.0), memory: Some(8 << 30), disk: None };
    let wanted = limits(&Resources { cpus: Some(1.5), memory: Some(3 << 30), disk: None }, &all);
    assert_eq!((wanted.nano_cpus, wanted.memory), (Some(1_500_000_000), Some(3 << 30)));
    let free = limits(&Resources::default(), &all);
    assert_eq!((free.nano_cpus, free.memory, free.memory_swap), (Some(4_000_000_000), Some(8 << 30), Some(8 << 30)));
}

#[test]
fn a_container_has_the_nodes_name_address_and_labels() {
    let request = request(&facts(Privilege::Full));
    assert_eq!(request["Hostname"], "dev-m02");
    assert_eq!(request["Image"], "skiff-node:v1.20.2-a1b2");
    assert_eq!(request["StopSignal"], "SIGRTMIN+3");
    assert_eq!(request["Env"], json!(["container=docker"]));
    assert_eq!(request["NetworkingConfig"]["EndpointsConfig"]["dev"]["IPAMConfig"]["IPv4Address"], "192.168.49.3");
    let labels = json!({
        "dev.skiff.cluster": "dev",
        "dev.skiff.node": "dev-m02",
        "dev.skiff.node-role": "worker",
        "dev.skiff.node-address": "192.168.49.3",
        "dev.skiff.node-image": "a1b2",
        "dev.skiff.port.ssh": "22/tcp",
        "dev.skiff.mark.expires": "2026-01-01T00:00:00Z",
    });
    assert_eq!(request["Labels"], labels);
}

#[test]
fn a_container_keeps_to_its_limits_and_its_volume() {
    let host = &request(&facts(Privilege::Full))["HostConfig"];
    assert_eq!((&host["Memory"], &host["MemorySwap"]), (&json!(3_221_225_472_u64), &json!(3_221_225_472_u64)));
    assert_eq!(host["NanoCpus"], 1_500_000_000);
    assert_eq!(host["Mounts"][0]["Source"], "dev-m02");
    assert_eq!(host["Mounts"][1]["Source"], "/src");
    assert_eq!((&host["Mounts"][1]["Target"], &host["Mounts"][1]["ReadOnly"]), (&json!("/data"), &json!(true)));
    assert_eq!(host["Mounts"][0]["VolumeOptions"]["Labels"]["dev.skiff.cluster"], "dev");
    assert_eq!(host["Tmpfs"], json!({"/run": "", "/tmp": ""}));
    assert_eq!(host["Binds"], json!(["/lib/modules:/lib/modules:ro"]));
    assert_eq!(host["CgroupnsMode"], "private");
    assert_eq!(host["Init"], false);
    assert_eq!(host["RestartPolicy"]["Name"], "unless-stopped");
    let bound = json!([{"HostIp": "127.0.0.1", "HostPort": "32001"}]);
    assert_eq!(host["PortBindings"]["22/tcp"], bound);
}

#[test]
fn a_node_without_limits_gets_none() {
    let unlimited = NodeSpec { resources: Resources::default(), ..spec() };
    let host = container(&unlimited, "image", &facts(Privilege::Full)).host_config.unwrap();
    assert_eq!((host.memory, host.memory_swap, host.nano_cpus), (None, None, None));
}

#[test]
fn a_privileged_container_asks_for_nothing_else() {
    let host = &request(&facts(Privilege::Full))["HostConfig"];
    assert_eq!(host["Privileged"], true);
    for key in ["CapAdd", "CapDrop", "Devices", "DeviceCgroupRules", "MaskedPaths", "ReadonlyPaths"] {
        assert!(host.get(key).is_none(), "{key} is {}", host[key]);
    }
}

#[test]
fn an_unprivileged_container_gets_all_the_host_can_give() {
    let host = &request(&facts(Privilege::Without(vec!["SYS_RESOURCE"])))["HostConfig"];
    assert_eq!(host["Privileged"], false);
    assert_eq!((&host["CapAdd"], &host["CapDrop"]), (&json!(["ALL"]), &json!(["SYS_RESOURCE"])));
    assert_eq!(host["SecurityOpt"], json!(["seccomp=unconfined", "apparmor=unconfined", "label=disable"]));
    assert_eq!(host["DeviceCgroupRules"], json!(["a *:* rwm"]));
    assert_eq!(host["Devices"].as_array().unwrap().len(), 1);
    assert_eq!(host["Devices"][0]["PathOnHost"], "/dev/kmsg");
    assert_eq!((&host["MaskedPaths"], &host["ReadonlyPaths"]), (&json!([]), &json!([])));
}

#[test]
fn what_the_host_lacks_is_not_asked_for() {
    let facts = HostFacts { privilege: Privilege::Without(Vec::new()), devices: Vec::new(), modules: false };
    let host = &request(&facts)["HostConfig"];
    assert_eq!(host["Devices"], json!([]));
    assert!(host.get("Binds").is_none());
}

#[test]
fn a_port_published_twice_keeps_both_bindings() {
    let twice = [published(Purpose::User, 8080, 80), published(Purpose::User, 8081, 80)];
    assert_eq!(port_bindings(&twice)["80/tcp"].as_ref().unwrap().len(), 2);
}
