use std::os::unix::fs::PermissionsExt;

use skiff_report::{Event, Recorder};

use super::*;

/// A program that stands for QEMU and counts its runs.
fn stand_in(dir: &Path, script: &str) -> String {
    let path = dir.join("qemu");
    fs::write(&path, format!("#!/bin/sh\necho run >>{}/runs\n{script}\n", dir.display())).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.display().to_string()
}

/// A probe on a host whose device can be opened, with something to boot.
fn probe<'a>(dir: &Path, program: &'a str) -> Probe<'a> {
    let (kernel, initrd, file) = (dir.join("k"), dir.join("i"), dir.join("verdict.json"));
    for path in [&kernel, &initrd, &dir.join("kvm")] {
        fs::write(path, "").unwrap();
    }
    let host = HostHelp { accelerator: Some(Accelerator::Kvm), device: Some(dir.join("kvm")) };
    Probe { program, version: "7.2.0".to_owned(), arch: Arch::X86, kernel, initrd, file, host }
}

fn runs(dir: &Path) -> usize {
    fs::read_to_string(dir.join("runs")).unwrap_or_default().lines().count()
}

#[tokio::test]
async fn what_starts_the_tiny_machine_works_and_what_only_ends_does_not() {
    for (script, expected) in [
        ("echo skiff: probe done", Ok(())),
        ("echo booting", Err("a tiny machine ended too early")),
        ("echo 'qemu: CPU model host is unknown' >&2; exit 1", Err("qemu: CPU model host is unknown")),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let program = stand_in(dir.path(), script);
        let works = probe(dir.path(), &program).works(Accelerator::Kvm).await;
        assert_eq!(works, expected.map_err(str::to_owned), "{script}");
    }
}

#[tokio::test]
async fn an_accelerator_that_hangs_counts_as_absent_and_is_told_once() {
    let dir = tempfile::tempdir().unwrap();
    let program = stand_in(dir.path(), "exec sleep 600");
    let (probe, reporter) = (probe(dir.path(), &program), Recorder::default());
    assert_eq!(probe.choose(&reporter).await, Accelerator::Tcg);
    assert_eq!(probe.choose(&reporter).await, Accelerator::Tcg);
    let why = "KVM does not work on this host (a tiny machine did not start within 10 s)";
    assert_eq!(warnings(&reporter), [format!("{why}: {SLOW}")]);
    assert_eq!(probe.emulation().await.as_deref(), Some(why));
    assert_eq!(runs(dir.path()), 1, "it is known from then on");
}

fn warnings(reporter: &Recorder) -> Vec<String> {
    let events = reporter.events().into_iter();
    events.filter_map(|event| if let Event::Warning(text) = event { Some(text) } else { None }).collect()
}

#[tokio::test]
async fn a_verdict_holds_for_one_boot_and_one_version() {
    let dir = tempfile::tempdir().unwrap();
    let program = stand_in(dir.path(), "echo skiff: probe done");
    let probe = probe(dir.path(), &program);
    assert_eq!(probe.choose(&Recorder::default()).await, Accelerator::Kvm);
    assert_eq!(probe.known(), Some(Ok(Accelerator::Kvm)));
    let newer = Probe { version: "8.0.0".to_owned(), ..self::probe(dir.path(), &program) };
    assert_eq!(newer.known(), None);
    let text = fs::read_to_string(&probe.file).unwrap();
    fs::write(&probe.file, text.replace(&boot(), "other")).unwrap();
    assert_eq!(probe.known(), None, "the host was started anew");
    // As skiffs wrote it that kept no reason.
    fs::write(&probe.file, format!(r#"{{"boot":"{}","qemu":"7.2.0","accelerator":"tcg"}}"#, boot())).unwrap();
    assert_eq!(probe.emulation().await.as_deref(), Some("no accelerator works on this host"));
}

#[tokio::test]
async fn what_is_not_known_is_tried_where_there_is_something_to_boot() {
    let dir = tempfile::tempdir().unwrap();
    let program = stand_in(dir.path(), "echo skiff: probe done");
    let probe = probe(dir.path(), &program);
    fs::remove_file(&probe.kernel).unwrap();
    assert_eq!((probe.emulation().await, runs(dir.path())), (None, 0));
    fs::write(&probe.kernel, "").unwrap();
    assert_eq!((probe.emulation().await, runs(dir.path())), (None, 1));
}

#[tokio::test]
async fn a_device_that_is_absent_forbidden_or_busy_is_told_with_the_way_out() {
    let dir = tempfile::tempdir().unwrap();
    let program = stand_in(dir.path(), "echo skiff: probe done");
    let (probe, reporter) = (probe(dir.path(), &program), Recorder::default());
    fs::remove_file(dir.path().join("kvm")).unwrap();
    assert_eq!(probe.choose(&reporter).await, Accelerator::Tcg);
    assert!(probe.emulation().await.unwrap().contains("is virtualization on in its firmware?"));
    assert_eq!((runs(dir.path()), warnings(&reporter).len()), (0, 1), "there is nothing to try");
    let told = |kind: io::ErrorKind| refused(Path::new(KVM), &kind.into());
    assert_eq!(
        told(io::ErrorKind::PermissionDenied),
        "this user may not use /dev/kvm (`sudo usermod -aG kvm $USER`, then log in again)"
    );
    assert!(told(io::ErrorKind::ResourceBusy).starts_with("/dev/kvm cannot be used ("));
}

#[tokio::test]
async fn a_system_without_help_emulates() {
    let dir = tempfile::tempdir().unwrap();
    let host = HostHelp { accelerator: None, device: None };
    let probe = Probe { host, ..probe(dir.path(), "no-such-qemu") };
    assert_eq!(probe.emulation().await.as_deref(), Some("this system runs no machines for QEMU"));
}
