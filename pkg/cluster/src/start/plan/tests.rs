use super::*;

fn name() -> ClusterName {
    "dev".parse().unwrap()
}

fn spec(change: impl FnOnce(&mut SpecFile)) -> SpecFile {
    let mut spec = SpecFile::default();
    change(&mut spec);
    spec
}

fn created(change: impl FnOnce(&mut SpecFile)) -> ClusterFile {
    let mut file = ClusterFile::new(name(), spec(change));
    file.status.phase = Phase::Created;
    file.status.driver = Some("docker".to_owned());
    file
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn a_new_cluster_takes_flags_over_configured_defaults() {
    let given = spec(|spec| spec.memory = some("4g"));
    let defaults = spec(|spec| {
        spec.memory = some("3g");
        spec.cpus = some("1");
    });
    let wanted = resolve(&name(), None, given, defaults).unwrap();
    assert_eq!(wanted.spec.memory.to_string(), "4g");
    assert_eq!(wanted.spec.cpus.to_string(), "1");
}

#[test]
fn an_existing_cluster_keeps_its_settings_over_configured_defaults() {
    let stored = created(|spec| spec.memory = some("3g"));
    let defaults = spec(|spec| spec.memory = some("8g"));
    let wanted = resolve(&name(), Some(stored), SpecFile::default(), defaults).unwrap();
    assert_eq!(wanted.spec.memory.to_string(), "3g");
}

#[test]
fn a_cluster_that_was_never_usable_is_made_from_what_is_asked_now() {
    let mut stored = created(|spec| spec.subnet = some("192.168.77.0/24"));
    stored.status.phase = Phase::Creating;
    let wanted = resolve(&name(), Some(stored), SpecFile::default(), SpecFile::default()).unwrap();
    assert_eq!(wanted.spec.subnet, None);
}

#[test]
fn fixed_settings_stay_and_are_told() {
    let stored = created(|spec| spec.dns_domain = some("cluster.local"));
    let given = spec(|spec| {
        spec.dns_domain = some("example.test");
        spec.memory = some("4g");
    });
    let wanted = resolve(&name(), Some(stored), given, SpecFile::default()).unwrap();
    assert_eq!(wanted.spec.dns_domain, "cluster.local");
    assert_eq!(wanted.spec.memory.to_string(), "4g");
    let refused = Refused { setting: "dns-domain", wanted: "example.test".into(), kept: "cluster.local".into() };
    assert_eq!(wanted.refused, [refused]);
}

#[test]
fn the_same_value_for_a_fixed_setting_is_no_change() {
    let mut stored = created(|spec| spec.disk_size = some("20g"));
    stored.status.subnet = Some("192.168.77.0/24".parse().unwrap());
    let given = spec(|spec| {
        spec.subnet = some("192.168.77.0/24");
        spec.dns_domain = some("cluster.local");
        spec.disk_size = some("20480m");
    });
    let wanted = resolve(&name(), Some(stored.clone()), given, SpecFile::default()).unwrap();
    assert_eq!(wanted.refused, []);
    assert_eq!(wanted.file, stored);
}

#[test]
fn what_skiff_chose_is_told_when_it_stays() {
    let mut stored = created(|_| {});
    stored.status.subnet = Some("192.168.77.0/24".parse().unwrap());
    let given = spec(|spec| spec.subnet = some("192.168.78.0/24"));
    let wanted = resolve(&name(), Some(stored), given, SpecFile::default()).unwrap();
    assert_eq!(wanted.refused[0].kept, "192.168.77.0/24");
}

#[test]
fn another_driver_or_version_is_an_error() {
    let driver = resolve(&name(), Some(created(|_| {})), spec(|spec| spec.driver = some("qemu")), SpecFile::default());
    assert!(matches!(driver, Err(ClusterError::DriverMismatch { .. })), "{driver:?}");
    let same = resolve(&name(), Some(created(|_| {})), spec(|spec| spec.driver = some("docker")), SpecFile::default());
    assert!(same.is_ok());
    let given = spec(|spec| spec.kubernetes_version = some("1.20.1"));
    let version = resolve(&name(), Some(created(|_| {})), given, SpecFile::default());
    assert!(matches!(version, Err(ClusterError::Upgrade(_))), "{version:?}");
}

#[test]
fn each_machine_state_has_its_action() {
    use MachineState::{Broken, Created, Missing, Paused, Running, Stopped};
    let table = [
        (None, true, NodeAction::Create),
        (Some(Missing), true, NodeAction::Create),
        (Some(Running), true, NodeAction::Keep),
        (Some(Running), false, NodeAction::Replace),
        (Some(Stopped), true, NodeAction::Start),
        (Some(Paused), true, NodeAction::Start),
        (Some(Stopped), false, NodeAction::Replace),
        (Some(Created), true, NodeAction::Replace),
        (Some(Broken), true, NodeAction::Replace),
    ];
    for (state, applied, action) in table {
        assert_eq!(node_action(state, applied), action, "{state:?} {applied}");
    }
}
