//! What the QEMU driver promises beyond the contract, against a real QEMU.

mod support;

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use skiff_config::NodeName;
use skiff_driver::{
    Driver, MachineState, NodeSpec, SeedFile, Snapshots,
    contract::{Trial, run},
};
use skiff_driver_qemu::QemuDriver;
use skiff_report::{Diagnose, Silent};

/// Longer than a machine takes to boot when it is emulated on a busy host.
const PATIENCE: Duration = Duration::from_secs(120);

fn folder(trial: &Trial<QemuDriver>, node: &NodeName) -> PathBuf {
    trial.folder.join("qemu/nodes").join(node.as_str())
}

/// What the machine has written to its console.
fn console(trial: &Trial<QemuDriver>, node: &NodeName) -> String {
    String::from_utf8_lossy(&fs::read(folder(trial, node).join("serial.log")).unwrap_or_default()).into_owned()
}

/// Waits until the machine's console shows a word for the `count`th time.
async fn shows(trial: &Trial<QemuDriver>, node: &NodeName, word: &str, count: usize) {
    let end = Instant::now() + PATIENCE;
    while console(trial, node).matches(word).count() < count {
        assert!(Instant::now() < end, "no `{word}` on the console:\n{}", console(trial, node));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// The number of the process that a machine's pid file names.
fn pid(trial: &Trial<QemuDriver>, node: &NodeName) -> String {
    let text = fs::read_to_string(folder(trial, node).join("pid")).unwrap();
    text.split(':').next().unwrap().to_owned()
}

fn kill(pid: &str) {
    assert!(Command::new("kill").args(["-KILL", pid]).status().unwrap().success());
}

async fn until(trial: &Trial<QemuDriver>, spec: &NodeSpec, wanted: MachineState) {
    let end = Instant::now() + PATIENCE;
    loop {
        match trial.state(&spec.cluster, &spec.name).await {
            Some(state) if state == wanted => return,
            other => assert!(Instant::now() < end, "{other:?}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_machine_boots_shuts_down_when_asked_and_survives_being_killed() {
    run(support::subject().await, async |trial: &Trial<QemuDriver>| {
        let cluster = trial.cluster();
        let spec = trial.node(&cluster, true).await;
        shows(trial, &spec.name, "up\r\n", 1).await;
        let begun = Instant::now();
        trial.driver.stop(&cluster, &spec.name).await.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(30), "it was not asked but killed");
        shows(trial, &spec.name, "Power down", 1).await;

        // As the kernel does to a process when memory is short.
        trial.driver.start(&cluster, &spec.name).await.unwrap();
        shows(trial, &spec.name, "up\r\n", 2).await;
        kill(&pid(trial, &spec.name));
        until(trial, &spec, MachineState::Stopped).await;
        trial.driver.start(&cluster, &spec.name).await.unwrap();
        shows(trial, &spec.name, "up\r\n", 3).await;
    })
    .await;
}

#[tokio::test]
async fn a_machine_sees_folders_of_the_host_each_time_it_runs() {
    run(support::subject().await, async |trial: &Trial<QemuDriver>| {
        let (cluster, shared) = (trial.cluster(), trial.folder.join("a, b"));
        fs::create_dir(&shared).unwrap();
        let mount = |host: &PathBuf| format!("{}:/data", host.display()).parse().unwrap();
        let mut spec = trial.spec(&cluster).await;
        spec.mounts = vec![mount(&shared.join("asked"))];
        fs::write(shared.join("asked"), "who is there").unwrap();
        let file = trial.driver.create(&spec, &Silent).await.unwrap_err();
        assert_eq!(file.reason().id, "DRV_FOLDER", "{file}");

        spec.mounts = vec![mount(&shared)];
        trial.driver.create(&spec, &Silent).await.unwrap();
        for count in 1..=2 {
            trial.driver.start(&cluster, &spec.name).await.unwrap();
            let end = Instant::now() + PATIENCE;
            while fs::read_to_string(shared.join("said")).unwrap_or_default() != "who is there" {
                assert!(Instant::now() < end, "{}", console(trial, &spec.name));
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            fs::remove_file(shared.join("said")).unwrap();
            if count == 1 {
                trial.driver.pause(&cluster, &spec.name).await.unwrap();
                let kept = trial.driver.save_snapshot(&cluster, &spec.name, &"x".parse().unwrap(), &spec.marks).await;
                assert_eq!(kept.unwrap_err().reason().id, "GUEST_SNAPSHOT_FOLDERS");
            }
            kill(&pid(trial, &spec.name));
            until(trial, &spec, MachineState::Stopped).await;
        }
        // Who serves them ends with the machine.
        let serves = format!("virtiofsd.*{}", folder(trial, &spec.name).display());
        let end = Instant::now() + PATIENCE;
        while Command::new("pgrep").arg("-f").arg(&serves).status().unwrap().success() {
            assert!(Instant::now() < end, "{serves}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_process_is_found_and_never_mistaken() {
    run(support::subject().await, async |trial: &Trial<QemuDriver>| {
        let cluster = trial.cluster();
        let spec = trial.node(&cluster, true).await;
        let file = folder(trial, &spec.name).join("pid");

        // skiff was killed after it had started QEMU.
        let noted = pid(trial, &spec.name);
        fs::remove_file(&file).unwrap();
        assert_eq!(trial.state(&cluster, &spec.name).await, Some(MachineState::Running));
        assert_eq!(pid(trial, &spec.name), noted);

        // Two skiffs at once: one machine.
        let (one, two) = (trial.driver.start(&cluster, &spec.name), trial.driver.start(&cluster, &spec.name));
        let (one, two) = tokio::join!(one, two);
        one.and(two).unwrap();
        assert_eq!(pid(trial, &spec.name), noted);

        // Its number went to another process.
        let text = fs::read_to_string(&file).unwrap();
        kill(&noted);
        until(trial, &spec, MachineState::Stopped).await;
        let mut other = Command::new("sleep").arg("60").spawn().unwrap();
        fs::write(&file, text.replacen(&noted, &other.id().to_string(), 1)).unwrap();
        assert_eq!(trial.state(&cluster, &spec.name).await, Some(MachineState::Stopped));
        trial.driver.stop(&cluster, &spec.name).await.unwrap();
        assert!(other.try_wait().unwrap().is_none(), "somebody else's process is left alone");
        trial.driver.start(&cluster, &spec.name).await.unwrap();
        assert_eq!(trial.state(&cluster, &spec.name).await, Some(MachineState::Running));
        other.kill().unwrap();
        other.wait().unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_damaged_root_is_made_anew_and_damaged_data_is_told() {
    run(support::subject().await, async |trial: &Trial<QemuDriver>| {
        let cluster = trial.cluster();
        let spec = trial.node(&cluster, true).await;
        trial.driver.delete(&cluster, &spec.name, true).await.unwrap();
        trial.driver.create(&spec, &Silent).await.unwrap();
        trial.driver.start(&cluster, &spec.name).await.unwrap();
        kill(&pid(trial, &spec.name));
        until(trial, &spec, MachineState::Stopped).await;

        let disks = folder(trial, &spec.name);
        fs::write(disks.join("root.qcow2"), "nonsense").unwrap();
        assert_eq!(trial.state(&cluster, &spec.name).await, Some(MachineState::Broken));
        let error = trial.driver.start(&cluster, &spec.name).await.unwrap_err();
        assert_eq!(error.reason().id, "GUEST_DISK_DAMAGED");
        trial.driver.delete(&cluster, &spec.name, true).await.unwrap();
        trial.driver.create(&spec, &Silent).await.unwrap();
        assert_eq!(trial.state(&cluster, &spec.name).await, Some(MachineState::Created));

        fs::write(disks.join("data.qcow2"), "nonsense").unwrap();
        let error = trial.driver.start(&cluster, &spec.name).await.unwrap_err();
        assert!(error.to_string().starts_with("the data disk of "), "{error}");
    })
    .await;
}

/// A disk in memory, for a host that is full. Gone when it is dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Nothing where this user may not mount.
    fn at(path: &Path) -> Option<Self> {
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=2g", "skiff-test"]).arg(path).status();
        mounted.is_ok_and(|status| status.success()).then(|| Self(path.to_owned()))
    }

    /// Leaves so many MiB free.
    fn fill(&self, free: u64) -> PathBuf {
        let room = rustix::fs::statvfs(&self.0).expect("a disk");
        let path = self.0.join("filler");
        let size = (room.f_bavail * room.f_frsize).saturating_sub(free << 20);
        let mut file = File::create(&path).expect("a file");
        io::copy(&mut io::repeat(1).take(size), &mut file).expect("room");
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
        let _ = fs::remove_dir(&self.0);
    }
}

#[tokio::test]
async fn a_full_host_halts_a_machine_which_goes_on_when_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::at(folder.path()) else { return };
    run(support::subject_in(folder).await, async |trial: &Trial<QemuDriver>| {
        let cluster = trial.cluster();
        let mut spec = trial.spec(&cluster).await;
        spec.seed.push(SeedFile { path: "/etc/fill".to_owned(), mode: 0o644, contents: b"100\n".to_vec() });
        trial.driver.create(&spec, &Silent).await.unwrap();
        let filler = disk.fill(60);
        trial.driver.start(&cluster, &spec.name).await.unwrap();
        until(trial, &spec, MachineState::Paused).await;
        let why = trial.status(&cluster, &spec.name).await.unwrap().trouble.unwrap_or_default();
        assert!(why.contains("is full") && why.contains("`skiff start`"), "{why}");
        let error = trial.driver.start(&cluster, &spec.name).await.unwrap_err();
        assert_eq!(error.reason().id, "RSRC_QEMU_STORAGE", "nothing has changed");
        fs::remove_file(filler).unwrap();
        trial.driver.start(&cluster, &spec.name).await.unwrap();
        shows(trial, &spec.name, "filled\r\n", 1).await;
        assert_eq!(trial.state(&cluster, &spec.name).await, Some(MachineState::Running));
    })
    .await;
}

#[tokio::test]
async fn a_firmware_that_is_missing_is_named() {
    let mut subject = support::subject().await;
    let options = support::options(subject.folder.path(), &support::kit().await);
    subject.driver = QemuDriver::new(skiff_driver_qemu::QemuOptions { firmware: Some("/absent.fd".into()), ..options });
    let error = subject.driver.check().await.unwrap_err();
    assert_eq!((error.reason().id, error.to_string().contains("/absent.fd")), ("PROVIDER_QEMU_FIRMWARE", true));
}
