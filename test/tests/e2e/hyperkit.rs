//! The hyperkit driver with a guest: a stand-in takes hyperkit's command line, runs the guest in
//! QEMU, and enters it into a lease file as macOS' DHCP server would.

use std::{
    collections::BTreeMap,
    fs,
    net::Ipv4Addr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use skiff_config::{ClusterName, NodeName, Protocol};
use skiff_driver::{
    Driver, MachineState, NetworkRequest, NodeImages, NodeRole, NodeSpec, Published, Purpose, Resources, SeedFile,
};
use skiff_driver_hyperkit::{HyperkitDriver, Options, Platform};
use skiff_report::{Diagnose, Silent};
use skiff_test::{Finished, Sandbox, eventually, free_port};

/// What the test's machines have in common.
struct Place {
    sandbox: Sandbox,
    driver: HyperkitDriver,
    leases: PathBuf,
    cluster: ClusterName,
    node: NodeName,
    ssh_port: u16,
}

impl Place {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        let folder = sandbox.path();
        let (program, leases) = (folder.join("hyperkit"), folder.join("leases"));
        // A build that does not print hardware addresses: the name has to do.
        write_program(&program, &leases);
        // skiff gets kernel and node image, and hands both to the driver.
        let mut command = sandbox.skiff(&["start", "--driver", "hyperkit", "--download-only", "-p", "image"]);
        let _ = Finished::of(command.env("SKIFF_HYPERKIT", &program).env("SKIFF_DHCP_LEASES", &leases)).ok();
        let options = Options {
            program: Some(program),
            leases: leases.clone(),
            platform: Some(Platform::intel_mac()),
            lease_patience: Duration::from_secs(1200),
            // The image is there: no kernel has to be found any more.
            ..Options::new(
                sandbox.home().join("vm/hyperkit"),
                PathBuf::new(),
                vec![env!("CARGO_BIN_EXE_attendant").into()],
            )
        };
        let cluster: ClusterName = format!("hk{}", std::process::id()).parse().unwrap();
        let node = cluster.node(0);
        Self { driver: HyperkitDriver::new(options), sandbox, leases, cluster, node, ssh_port: free_port() }
    }

    /// Makes the node with keys of its own.
    async fn make(&self) -> Ipv4Addr {
        let image = self.driver.list_images().await.unwrap().remove(0).key;
        let request =
            NetworkRequest { cluster: self.cluster.clone(), subnet: None, ipv6: false, marks: BTreeMap::new() };
        let network = self.driver.ensure_network(&request).await.unwrap();
        for key in ["id", "host"] {
            let path = self.sandbox.path().join(key);
            let _ =
                Finished::of(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(path)).ok();
        }
        let seed = |path: &str, file: &str, mode| {
            let contents = fs::read(self.sandbox.path().join(file)).unwrap();
            SeedFile { path: path.to_owned(), mode, contents }
        };
        let spec = NodeSpec {
            cluster: self.cluster.clone(),
            name: self.node.clone(),
            role: NodeRole::ControlPlane,
            image,
            address: network.subnet.hosts().nth(1).unwrap(),
            network,
            resources: Resources { cpus: Some(2.0), memory: Some(1 << 30), disk: Some(4 << 30) },
            published: vec![Published {
                purpose: Purpose::Ssh,
                host_ip: Ipv4Addr::LOCALHOST.into(),
                host_port: self.ssh_port,
                node_port: 22,
                protocol: Protocol::Tcp,
            }],
            mounts: Vec::new(),
            seed: vec![
                seed("/etc/ssh/ssh_host_ed25519_key", "host", 0o600),
                seed("/root/.ssh/authorized_keys", "id.pub", 0o600),
            ],
            marks: Default::default(),
        };
        self.driver.create(&spec, &Silent).await.unwrap();
        spec.address
    }

    fn ssh(&self, words: &str) -> Finished {
        let key = self.sandbox.path().join("id");
        let options = ["BatchMode=yes", "ConnectTimeout=5", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null"];
        let mut command = Command::new("ssh");
        command.args(options.iter().flat_map(|option| ["-o", option])).arg("-i").arg(key);
        Finished::of(command.args(["-p", &self.ssh_port.to_string(), "root@127.0.0.1", words]))
    }

    /// What the node answers once it answers. An emulated machine on a busy host takes its time.
    fn answer(&self, words: &str) -> String {
        let end = Instant::now() + Duration::from_secs(1200);
        loop {
            let finished = self.ssh(words);
            if finished.code == 0 {
                return finished.text().to_owned();
            }
            assert!(Instant::now() < end, "no answer: {finished:?}");
            thread::sleep(Duration::from_millis(500));
        }
    }

    async fn state(&self) -> Option<MachineState> {
        let nodes = self.driver.list(Some(&self.cluster)).await.unwrap();
        nodes.first().map(|node| node.state)
    }

    /// What the machine said on its console.
    fn console(&self) -> String {
        let ring = self.sandbox.home().join("vm/hyperkit/nodes").join(self.node.as_str()).join("console-ring");
        String::from_utf8_lossy(&fs::read(ring).unwrap_or_default()).replace('\0', "")
    }

    /// Numbers of the processes that have the machine's folder on their command line.
    fn processes(&self) -> Vec<String> {
        let folder = self.sandbox.home().join("vm/hyperkit/nodes");
        let found = Finished::of(Command::new("pgrep").arg("-f").arg(folder));
        found.stdout.lines().map(str::to_owned).collect()
    }
}

impl Drop for Place {
    /// A test that failed leaves a machine running.
    fn drop(&mut self) {
        for process in self.processes() {
            let _ = Finished::of(Command::new("kill").args(["-KILL", &process]));
        }
    }
}

fn write_program(program: &Path, leases: &Path) {
    let text = format!(
        "#!/bin/sh\nexport STANDIN_PRINTS_NO_MAC=1 STANDIN_LEASES={}\nexec {} \"$@\"\n",
        leases.display(),
        env!("CARGO_BIN_EXE_hyperkit"),
    );
    fs::write(program, text).unwrap();
    fs::set_permissions(program, fs::Permissions::from_mode(0o755)).unwrap();
}

#[tokio::main(flavor = "current_thread")]
pub(crate) async fn a_machine_lives_from_its_first_boot_to_its_last() {
    let place = Place::new();
    let Place { driver, cluster, node, .. } = &place;
    let address = place.make().await;
    let started = driver.start(cluster, node).await;
    assert!(started.is_ok(), "{started:?}; its console: {}", place.console());
    let booted = place.answer("hostname && ip -br address show dev eth0");
    assert!(booted.starts_with(node.as_str()) && booted.contains(&format!("{address}/24")), "{booted}");
    place.answer("echo kept > /var/kept && sync");
    assert!(fs::read_to_string(&place.leases).unwrap().contains(&format!("name={node}\n")));

    // Frozen, it holds its ports and says nothing.
    driver.pause(cluster, node).await.unwrap();
    assert_eq!(place.state().await, Some(MachineState::Paused));
    assert_ne!(place.ssh("true").code, 0);
    driver.start(cluster, node).await.unwrap();
    place.answer("true");

    // Asked to stop, the guest shuts down by itself.
    driver.stop(cluster, node).await.unwrap();
    assert_eq!((place.state().await, place.processes()), (Some(MachineState::Stopped), Vec::new()));
    let logs = driver.collect_logs(cluster, node, place.sandbox.path()).await.unwrap();
    let console = logs.iter().find(|log| log.to_string_lossy().ends_with("serial.log")).unwrap();
    assert!(String::from_utf8_lossy(&fs::read(console).unwrap()).contains("reboot: Power down"));

    // Killed, it is off; started again, it is as before.
    driver.start(cluster, node).await.unwrap();
    place.answer("true");
    let hypervisor = place.processes();
    let _ = Finished::of(Command::new("kill").arg("-KILL").args(&hypervisor));
    eventually("the machine being off", || {
        if place.processes().is_empty() { Ok(()) } else { Err(format!("{:?}", place.processes())) }
    });
    assert_eq!(place.state().await, Some(MachineState::Stopped));
    driver.start(cluster, node).await.unwrap();
    assert_eq!(place.answer("cat /var/kept"), "kept");

    driver.delete(cluster, node, false).await.unwrap();
    driver.delete_remains(cluster).await.unwrap();
    assert_eq!((place.state().await, place.processes()), (None, Vec::new()));
    assert!(!place.sandbox.home().join("vm/hyperkit/nodes").join(node.as_str()).exists());
}

#[tokio::main(flavor = "current_thread")]
pub(crate) async fn apple_silicon_is_told_what_to_use() {
    let platform = Platform { apple_silicon: true, ..Platform::intel_mac() };
    let options = Options::new(PathBuf::from("/nonexistent"), PathBuf::new(), Vec::new());
    let error = HyperkitDriver::new(Options { platform: Some(platform), ..options }).check().await.unwrap_err();
    assert_eq!(error.reason().exit.0, 56);
    assert!(error.reason().advice.contains("--driver=qemu"), "{}", error.reason().advice);
}
