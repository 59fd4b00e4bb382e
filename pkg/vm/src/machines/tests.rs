use std::collections::BTreeMap;

use skiff_driver::{NetworkRequest, NodeRole, Resources};

use super::*;

fn machines(folder: &Path) -> Machines {
    Machines::at(folder, DiskTool::raw(), None)
}

async fn spec(machines: &Machines, cluster: &str) -> NodeSpec {
    let cluster: ClusterName = cluster.parse().unwrap();
    let network = machines
        .networks
        .ensure(&NetworkRequest { cluster: cluster.clone(), subnet: None, ipv6: false, marks: BTreeMap::new() })
        .await
        .unwrap();
    NodeSpec {
        name: cluster.node(0),
        role: NodeRole::ControlPlane,
        image: "key".to_owned(),
        address: network.subnet.hosts().nth(1).unwrap(),
        network,
        resources: Resources { cpus: Some(1.5), memory: None, disk: Some(1 << 30) },
        published: Vec::new(),
        mounts: Vec::new(),
        seed: Vec::new(),
        marks: [("made".to_owned(), "here".to_owned())].into(),
        cluster,
    }
}

/// An image as an import leaves it.
fn add_image(machines: &Machines) {
    let folder = machines.folder().join("images/key");
    fs::create_dir_all(&folder).unwrap();
    for name in ["disk.raw", "vmlinuz", "initrd"] {
        fs::write(folder.join(name), name).unwrap();
    }
    let data = fs::metadata(folder.join("disk.raw")).unwrap();
    let (seconds, nanoseconds) = {
        use std::os::unix::fs::MetadataExt;
        (data.mtime(), data.mtime_nsec())
    };
    let facts = format!(
        r#"{{"labels":{{}},"sha256":"","stamp":{{"size":{},"seconds":{seconds},"nanoseconds":{nanoseconds}}}}}"#,
        data.len()
    );
    fs::write(folder.join("image.json"), facts).unwrap();
}

#[tokio::test]
async fn a_nodes_data_outlives_its_machine() {
    let dir = tempfile::tempdir().unwrap();
    let machines = machines(dir.path());
    let spec = spec(&machines, "dev").await;
    let missing = machines.create(&spec, Egress::Dhcp, |_| {}).await.unwrap_err();
    assert!(matches!(missing, VmError::ImageMissing { .. }), "{missing}");
    add_image(&machines);
    let mut machine = machines.create(&spec, Egress::Dhcp, |record| record.extra_disks = 1).await.unwrap();
    assert_eq!(machine.resting_state(), MachineState::Created);
    assert_eq!(machine.record.processors(8), 2);
    machine.record.started = true;
    machine.save().unwrap();
    let again = machines.create(&spec, Egress::Dhcp, |_| {}).await.unwrap_err();
    assert!(matches!(again, VmError::NodeExists { .. }), "{again}");
    fs::write(machine.data_disk(), "precious").unwrap();
    let used = machines.remove_image("key").await.unwrap_err();
    assert_eq!(used.to_string(), "the node image key is used by dev");

    machines.remove(&machine, true).unwrap();
    let kept = machines.find(&spec.cluster, &spec.name).unwrap().unwrap();
    assert_eq!((kept.resting_state(), &kept.record.marks), (MachineState::Missing, &spec.marks));
    assert!(!machine.root_disk().exists() && machine.data_disk().exists() && machine.extra_disks()[0].exists());
    let machine = machines.create(&spec, Egress::Dhcp, |_| {}).await.unwrap();
    assert!(fs::read(machine.data_disk()).unwrap().starts_with(b"precious"));
    machines.remove(&machine, false).unwrap();
    machines.remove_remains(&spec.cluster).unwrap();
    assert_eq!(machines.list(None).unwrap(), []);
    machines.remove_image("key").await.unwrap();
}

#[tokio::test]
async fn a_machine_without_its_image_or_root_is_broken() {
    let dir = tempfile::tempdir().unwrap();
    let machines = machines(dir.path());
    add_image(&machines);
    let mut machine = machines.create(&spec(&machines, "dev").await, Egress::Dhcp, |_| {}).await.unwrap();
    machine.record.started = true;
    assert_eq!(machines.resting_state(&machine).await.unwrap(), MachineState::Stopped);
    assert_eq!(machines.ready(&machine).await.unwrap().key, "key");
    fs::remove_file(machine.root_disk()).unwrap();
    assert_eq!(machines.resting_state(&machine).await.unwrap(), MachineState::Broken);
    assert!(matches!(machines.ready(&machine).await, Err(VmError::RootDamaged { .. })));
    fs::write(machine.root_disk(), "").unwrap();
    fs::write(machines.folder().join("images/key/disk.raw"), "changed").unwrap();
    assert_eq!(machines.resting_state(&machine).await.unwrap(), MachineState::Broken);
}

#[tokio::test]
async fn logs_are_what_there_is() {
    let dir = tempfile::tempdir().unwrap();
    let machines = machines(dir.path());
    add_image(&machines);
    let machine = machines.create(&spec(&machines, "dev").await, Egress::Dhcp, |_| {}).await.unwrap();
    fs::write(machine.serial_log(), "hello").unwrap();
    let written = machines.collect_logs(&machine, &dir.path().join("out")).unwrap();
    assert_eq!(written.len(), 2);
}
