//! What the skiff home promises.

use std::{
    cell::RefCell,
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use skiff_config::{ClusterFile, ClusterName, SpecFile};
use skiff_report::{Diagnose, ExitCode};
use skiff_store::{Store, StoreError};
use tempfile::TempDir;

/// Tells this test program that it runs as the writer that gets killed.
const WRITER_HOME: &str = "SKIFF_STORE_TEST_WRITER";

fn name(text: &str) -> ClusterName {
    text.parse().unwrap()
}

fn cluster(text: &str) -> ClusterFile {
    ClusterFile::new(name(text), SpecFile::default())
}

fn open() -> (TempDir, Store) {
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(home.path().join("home")).unwrap();
    (home, store)
}

fn files_below(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else {
            found.push(path.display().to_string());
        }
    }
    found
}

#[test]
fn a_profile_is_read_back_as_written_and_removed_without_a_trace() {
    let (_home, store) = open();
    assert!(store.load(&name("dev")).unwrap().is_none());
    let mut file = cluster("dev");
    file.spec.cpus = Some("2".to_owned());
    store.save(&file).unwrap();
    store.write_file(&name("dev"), "pki/ca.key", b"secret").unwrap();
    store.write_files(&name("dev"), [("pki/a", &b"1"[..]), ("b", b"2")]).unwrap();
    assert_eq!(store.read_file(&name("dev"), "pki/a").unwrap().unwrap(), b"1");
    assert_eq!(store.read_file(&name("dev"), "b").unwrap().unwrap(), b"2");
    store.append_log(&name("dev"), "kubeadm.log", "one\n").unwrap();
    store.append_log(&name("dev"), "kubeadm.log", "two\n").unwrap();
    assert_eq!(store.read_file(&name("dev"), "logs/kubeadm.log").unwrap().unwrap(), b"one\ntwo\n");
    store.start_events(&name("dev")).unwrap();
    store.append_event(&name("dev"), "{}").unwrap();
    assert_eq!(store.load(&name("dev")).unwrap(), Some(file));
    for path in files_below(store.home()) {
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{path}");
    }
    store.remove(&name("dev")).unwrap();
    store.remove(&name("dev")).unwrap();
    assert_eq!(files_below(store.home()), Vec::<String>::new());
}

#[test]
fn a_damaged_profile_is_named_with_the_fix_and_hides_no_other() {
    let (_home, store) = open();
    for good in ["alpha", "omega"] {
        store.save(&cluster(good)).unwrap();
    }
    store.save(&cluster("broken")).unwrap();
    let path = store.profile_dir(&name("broken")).join("cluster.yaml");
    fs::write(&path, "apiVersion: skiff.dev/v1alpha1\nkind: [").unwrap();
    fs::create_dir_all(store.profile_dir(&name("moved"))).unwrap();
    fs::copy(
        store.profile_dir(&name("alpha")).join("cluster.yaml"),
        store.profile_dir(&name("moved")).join("cluster.yaml"),
    )
    .unwrap();
    fs::create_dir_all(store.profile_dir(&name("no-file"))).unwrap();
    let mut wrong = cluster("wrong");
    wrong.spec.memory = Some("lots".to_owned());
    store.save(&wrong).unwrap();
    let list = store.list().unwrap();
    let names: Vec<&str> = list.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, ["alpha", "broken", "moved", "omega", "wrong"]);
    let error = list[1].cluster.as_ref().unwrap_err();
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    assert_eq!(error.reason().exit, ExitCode::HOST_CONFIG);
    assert!(error.reason().advice.contains("skiff delete -p broken"), "{:?}", error.reason());
    assert!(matches!(list[2].cluster, Err(StoreError::ProfileName { .. })));
    let error = list[4].cluster.as_ref().unwrap_err();
    assert!(error.to_string().contains("lots") && error.reason().advice.contains("skiff delete -p wrong"), "{error}");
    assert!(list[0].cluster.is_ok() && list[3].cluster.is_ok());
    store.remove(&name("broken")).unwrap();
}

#[test]
fn files_cannot_leave_their_profile() {
    let (_home, store) = open();
    for bad in ["../x", "/etc/passwd", "a/../../x", "", "."] {
        let error = store.write_file(&name("dev"), bad, b"x").unwrap_err();
        assert!(matches!(error, StoreError::Outside(_)), "{bad}");
    }
}

#[test]
fn settings_are_kept_and_a_damaged_file_is_never_overwritten() {
    let (_home, store) = open();
    assert_eq!(store.active_profile().unwrap(), None);
    store.set_setting("memory", "4g").unwrap();
    store.set_active_profile(Some(&name("dev"))).unwrap();
    assert_eq!(store.settings().unwrap().get("memory"), Some("4g"));
    assert_eq!(store.active_profile().unwrap().as_deref(), Some("dev"));
    assert!(store.unset_setting("memory").unwrap());
    assert!(!store.unset_setting("memory").unwrap());
    let path = store.home().join("config/config.yaml");
    fs::write(&path, "memory: {").unwrap();
    let error = store.set_setting("cpus", "2").unwrap_err();
    assert!(matches!(error, StoreError::Settings { .. }), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "memory: {");
}

#[test]
fn settings_changed_at_the_same_time_are_all_kept() {
    let (_home, store) = open();
    thread::scope(|scope| {
        for writer in 0..4 {
            let store = &store;
            scope.spawn(move || {
                for i in 0..5 {
                    store.set_setting(&format!("key-{writer}-{i}"), "x").unwrap();
                }
            });
        }
    });
    assert_eq!(store.settings().unwrap().0.len(), 20);
}

#[test]
fn an_event_cut_off_by_a_kill_is_left_out() {
    let (_home, store) = open();
    store.start_events(&name("dev")).unwrap();
    store.append_event(&name("dev"), r#"{"a":1}"#).unwrap();
    let path = store.profile_dir(&name("dev")).join("events.json");
    fs::write(&path, "{\"a\":1}\n{\"b\"").unwrap();
    assert_eq!(store.events(&name("dev")).unwrap(), [r#"{"a":1}"#]);
    store.start_events(&name("dev")).unwrap();
    assert!(store.events(&name("dev")).unwrap().is_empty());
}

#[tokio::test]
async fn work_on_a_cluster_can_be_seen_without_waiting_for_it() {
    let (_home, store) = open();
    assert!(!store.is_locked(&name("dev")));
    let lock = store.lock(&name("dev"), "skiff start", |_| {}).await.unwrap();
    assert!(store.is_locked(&name("dev")) && !store.is_locked(&name("other")));
    drop(lock);
    assert!(!store.is_locked(&name("dev")));
}

#[tokio::test]
async fn the_second_of_two_waits_and_knows_for_whom() {
    let (_home, store) = open();
    let first = store.lock(&name("dev"), "skiff start", |_| panic!("nobody holds it")).await.unwrap();
    // Another profile is another lock.
    drop(store.lock(&name("other"), "skiff start", |_| panic!("nobody holds it")).await.unwrap());
    let seen = RefCell::new(Vec::new());
    let first = RefCell::new(Some(first));
    let dev = name("dev");
    let second = store.lock(&dev, "skiff stop", |owner| {
        seen.borrow_mut().push((owner.pid, owner.command.clone()));
        first.borrow_mut().take();
    });
    let second = second.await.unwrap();
    assert_eq!(*seen.borrow(), [(std::process::id(), "skiff start".to_owned())]);
    drop(second);
    assert_eq!(files_below(store.home()), Vec::<String>::new());
}

#[tokio::test]
async fn a_wait_can_be_given_up() {
    let (_home, store) = open();
    let held = store.lock(&name("dev"), "skiff start", |_| {}).await.unwrap();
    let dev = name("dev");
    let waiting = store.lock(&dev, "skiff stop", |_| {});
    assert!(tokio::time::timeout(Duration::from_millis(60), waiting).await.is_err());
    drop(held);
    store.lock(&name("dev"), "skiff stop", |_| panic!("nobody holds it")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_is_held_by_one_at_a_time() {
    let (_home, store) = open();
    let inside = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let tasks = (0..8).map(|_| {
        let (store, inside) = (store.clone(), inside.clone());
        tokio::spawn(async move {
            for _ in 0..5 {
                let lock = store.lock(&name("dev"), "skiff start", |_| {}).await.unwrap();
                assert_eq!(inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                tokio::task::yield_now().await;
                inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                drop(lock);
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
}

/// Not a test of its own: the process that `a_kill_at_any_moment_…` kills.
#[test]
fn writer() {
    let Ok(home) = std::env::var(WRITER_HOME) else {
        return;
    };
    let store = Store::open(home).unwrap();
    let _lock = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
        .block_on(store.lock(&name("dev"), "skiff start", |_| {}))
        .unwrap();
    for round in 0_u64.. {
        let mut file = cluster("dev");
        // Large enough for a kill to hit the middle of a write.
        file.spec.ports = Some((0..2000).map(|i| format!("{}:{}", 1000 + i, 1 + round % 10_000)).collect());
        store.save(&file).unwrap();
        store.write_file(&name("dev"), "pki/ca.key", round.to_string().repeat(50_000).as_bytes()).unwrap();
    }
}

#[tokio::test]
async fn a_kill_at_any_moment_leaves_whole_files_and_no_lock() {
    let (_home, store) = open();
    store.save(&cluster("dev")).unwrap();
    for round in 0..12 {
        let mut writer = Command::new(std::env::current_exe().unwrap())
            .args(["writer", "--exact", "--nocapture"])
            .env(WRITER_HOME, store.home())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        thread::sleep(Duration::from_millis(60 + 7 * round));
        writer.kill().unwrap();
        writer.wait().unwrap();
        let store = Store::open(store.home()).unwrap();
        let lock = store.lock(&name("dev"), "skiff start", |_| {}).await.unwrap();
        let file = store.load(&name("dev")).unwrap().unwrap();
        if let Some(ports) = file.spec.ports {
            assert_eq!(ports.len(), 2000);
            let round = ports[0].split(':').nth(1);
            assert!(ports.iter().all(|port| port.split(':').nth(1) == round));
        }
        drop(lock);
        let left = files_below(store.home());
        assert!(left.iter().all(|path| !path.contains("unfinished") && !path.contains("locks/profile")), "{left:?}");
    }
}
