use std::net::Ipv4Addr;

use skiff_config::Protocol;
use skiff_driver::{Published, Purpose};

use super::*;

fn port(host_ip: IpAddr, host_port: u16, node_port: u16, protocol: Protocol) -> PortForward {
    PortForward::from(&Published { purpose: Purpose::User, host_ip, host_port, node_port, protocol })
}

fn start() -> Start {
    let disk = |name: &str, format| Disk { name: name.to_owned(), path: format!("/n/{name}, 1").into(), format };
    Start {
        arch: Arch::X86,
        accelerator: Accelerator::Kvm,
        name: "dev".to_owned(),
        processors: 2,
        memory: 3 << 30,
        firmware: None,
        kernel: "/i/vmlinuz".into(),
        initrd: "/i/initrd".into(),
        disks: vec![disk("root", "qcow2"), disk("seed", "raw")],
        ports: vec![
            port(Ipv4Addr::LOCALHOST.into(), 20_001, 22, Protocol::Tcp),
            port(Ipv4Addr::UNSPECIFIED.into(), 20_002, 53, Protocol::Udp),
        ],
        address: "192.168.105.2".parse().unwrap(),
        segment: Segment::of(Path::new("/home"), "dev"),
        folders: Vec::new(),
        serial: "/n/serial.log".into(),
        monitors: ["/n/a,b.sock".into(), "/n/q.sock".into()],
        halted: false,
        pid_file: "/n/qemu.pid".into(),
    }
}

/// The values of an argument, in order.
fn values<'a>(arguments: &'a [String], name: &str) -> Vec<&'a str> {
    arguments.windows(2).filter(|pair| pair[0] == name).map(|pair| pair[1].as_str()).collect()
}

#[test]
fn a_machine_for_each_processor() {
    let x86 = start().arguments().unwrap();
    assert_eq!(
        (values(&x86, "-machine"), values(&x86, "-accel"), values(&x86, "-cpu")),
        (vec!["q35"], vec!["kvm"], vec!["host"])
    );
    assert!(values(&x86, "-append")[0].starts_with("console=ttyS0 "));
    let arm = Start { arch: Arch::Arm, accelerator: Accelerator::Hvf, ..start() }.arguments().unwrap();
    assert_eq!(
        (values(&arm, "-machine"), values(&arm, "-accel"), values(&arm, "-cpu")),
        (vec!["virt,gic-version=max"], vec!["hvf"], vec!["host"])
    );
    assert!(values(&arm, "-append")[0].starts_with("console=ttyAMA0 "));
    let emulated = Start { accelerator: Accelerator::Tcg, ..start() }.arguments().unwrap();
    assert_eq!(
        (values(&emulated, "-accel"), values(&emulated, "-cpu")),
        (vec!["tcg,thread=multi"], vec!["max,la57=off,erms=off"])
    );
    assert!(values(&emulated, "-append")[0].contains(" tsc=reliable "), "its clock would be slow");
    assert!(values(&emulated, "-append")[0].contains(" highres=off "), "each short sleep would stop both processors");
    assert!(values(&emulated, "-append")[0].contains(" no_timer_check "), "a busy host would make it panic");
    assert!(!values(&x86, "-append")[0].contains("tsc="), "the processor's own clock is as good as it says");
}

#[test]
fn a_machine_without_acpi_has_a_keyboard_for_its_power_button() {
    let keyboard = |start: Start| values(&start.arguments().unwrap(), "-device").contains(&"virtio-keyboard-pci");
    let arm = |firmware: Option<&str>| Start { arch: Arch::Arm, firmware: firmware.map(Into::into), ..start() };
    assert!(keyboard(arm(None)));
    assert!(!keyboard(arm(Some("/fw.fd"))), "UEFI brings ACPI");
    assert!(!keyboard(start()));
}

#[test]
fn size_and_firmware_are_as_asked() {
    let plain = start().arguments().unwrap();
    assert_eq!(
        (values(&plain, "-smp"), values(&plain, "-m"), values(&plain, "-bios")),
        (vec!["2"], vec!["3072M"], vec![])
    );
    let other = Start { firmware: Some("/fw.fd".into()), ..start() }.arguments().unwrap();
    assert_eq!(values(&other, "-bios"), ["/fw.fd"]);
}

#[test]
fn disks_keep_their_order_and_halt_the_machine_when_they_fail() {
    let arguments = start().arguments().unwrap();
    let nodes: Vec<serde_json::Value> =
        values(&arguments, "-blockdev").iter().map(|text| serde_json::from_str(text).unwrap()).collect();
    assert_eq!((&nodes[0]["node-name"], &nodes[0]["read-only"]), (&json!("root"), &json!(false)));
    assert_eq!((&nodes[1]["node-name"], &nodes[1]["read-only"]), (&json!("seed"), &json!(true)));
    assert_eq!(nodes[0]["file"]["filename"], "/n/root, 1");
    let devices = values(&arguments, "-device");
    assert_eq!(devices[0], "virtio-blk-pci,drive=root,werror=stop,rerror=report");
}

#[test]
fn ports_are_forwarded_from_the_hosts_addresses() {
    let arguments = start().arguments().unwrap();
    let egress = values(&arguments, "-netdev")[0];
    assert!(egress.contains("net=198.18.0.0/24"), "{egress}");
    assert!(egress.contains(",hostfwd=tcp:127.0.0.1:20001-198.18.0.15:22"), "{egress}");
    assert!(egress.ends_with(",hostfwd=udp:0.0.0.0:20002-198.18.0.15:53"), "{egress}");
    let six = Start { ports: vec![port(std::net::Ipv6Addr::LOCALHOST.into(), 1, 1, Protocol::Tcp)], ..start() };
    assert!(matches!(six.arguments(), Err(Error::AddressUnsupported { .. })));
}

#[test]
fn clusters_do_not_meet_and_nodes_of_one_do() {
    let segment = |folder: &str, cluster: &str| Segment::of(Path::new(folder), cluster);
    assert_eq!(segment("/a", "dev"), segment("/a", "dev"));
    assert_ne!(segment("/a", "dev"), segment("/a", "other"));
    assert_ne!(segment("/a", "dev"), segment("/b", "dev"));
    let mac = |address: &str| {
        let arguments = Start { address: address.parse().unwrap(), ..start() }.arguments().unwrap();
        values(&arguments, "-device")[3].to_owned()
    };
    assert!(mac("192.168.105.2").contains("mac=52:54:01:a8:69:02"), "{}", mac("192.168.105.2"));
    assert_ne!(mac("192.168.105.2"), mac("192.168.105.3"));
}

#[test]
fn folders_of_the_host_share_the_machines_memory_with_who_serves_them() {
    assert_eq!(values(&start().arguments().unwrap(), "-object"), ["rng-random,id=rng,filename=/dev/urandom"]);
    let arguments = Start { folders: vec!["/n/folder,0".into()], ..start() }.arguments().unwrap();
    assert_eq!(values(&arguments, "-object")[0], "memory-backend-memfd,id=ram,size=3072M,share=on");
    assert_eq!(values(&arguments, "-machine"), ["q35,memory-backend=ram"]);
    assert_eq!(values(&arguments, "-chardev")[0], "socket,id=folder0,path=/n/folder,,0");
    assert!(values(&arguments, "-device").contains(&"vhost-user-fs-pci,chardev=folder0,tag=skiff0"));
}

#[test]
fn commas_in_paths_are_doubled() {
    let arguments = start().arguments().unwrap();
    assert!(values(&arguments, "-chardev").iter().any(|value| value.ends_with("path=/n/a,,b.sock")), "{arguments:?}");
}

#[test]
fn a_probe_is_small_and_ends_by_itself() {
    let arguments = probe(Arch::X86, Accelerator::Kvm, Path::new("/k"), Path::new("/i"));
    assert_eq!(values(&arguments, "-m"), ["256M"]);
    assert!(values(&arguments, "-append")[0].ends_with(" skiff.probe"));
    assert!(arguments.contains(&"-no-reboot".to_owned()));
}
