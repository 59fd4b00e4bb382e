//! The user's kubeconfig: whatever happens, other people's entries survive.

use std::{
    fs::{self, File, OpenOptions},
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    thread,
    time::{Duration, SystemTime},
};

use serde_yaml::Value;
use skiff_kubeapi::{
    KubeError,
    kubeconfig::{Credentials, Entry, Merged, current_context, endpoint_of, merge, remove, unset_context, use_context},
};
use tempfile::TempDir;

/// Somebody's file, with everything that likes to get lost.
const OTHERS: &str = r##"apiVersion: v1
kind: Config
preferences:
  colors: true
future-field: {a: [1, 2.5, null, yes, "yes", 0644, "0644", 1e3, "1e3", ~, "null", 2001-01-01]}
clusters:
- name: prod
  cluster:
    server: https://prod.example:6443
    certificate-authority-data: LS0tLS1CRUdJTg==
    proxy-url: "socks5://localhost:1080"
    tls-server-name: kubernetes.default
    extensions:
    - name: theirs
      extension: {provider: minikube.sigs.k8s.io, nested: {deep: "no"}}
contexts:
- name: prod
  context: {cluster: prod, user: prod-admin, namespace: "on"}
users:
- name: prod-admin
  user:
    exec:
      apiVersion: client.authentication.k8s.io/v1
      command: aws
      args: [eks, get-token, --cluster-name, "007", "  padded  ", "#x", "a: b", "multi\nline\n"]
      env: [{name: "Y", value: "off"}]
      interactiveMode: IfAvailable
      provideClusterInfo: false
- name: token-user
  user: {token: "12345678901234567890123456789012345678901234567890", username: "true"}
current-context: prod
"##;

fn entry(name: &str) -> Entry {
    let credentials = Credentials::Embedded { ca: "CA".into(), certificate: "CERT".into(), key: "KEY".into() };
    Entry { name: name.to_owned(), server: "https://127.0.0.1:40001".to_owned(), credentials, version: "0.1.0".into() }
}

fn with_paths(name: &str) -> Entry {
    let path = |file: &str| Path::new("/profile").join(file);
    let credentials =
        Credentials::Files { ca: path("ca.crt"), certificate: path("client.crt"), key: path("client.key") };
    Entry { credentials, ..entry(name) }
}

/// A folder with a kubeconfig of that text in it.
fn folder_with(text: &str) -> (TempDir, Vec<PathBuf>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    fs::write(&path, text).unwrap();
    (folder, vec![path])
}

/// YAML as Go programs read it.
fn from_yaml(text: &str) -> Value {
    serde_saphyr::from_str_with_options(text, serde_saphyr::options! { legacy_octal_numbers: true }).unwrap()
}

fn tree(path: &Path) -> Value {
    from_yaml(&fs::read_to_string(path).unwrap())
}

/// The names in one of the lists.
fn names(path: &Path, list: &str) -> Vec<String> {
    let tree = tree(path);
    let entries = tree.get(list).and_then(Value::as_sequence).cloned().unwrap_or_default();
    entries.iter().map(|entry| entry["name"].as_str().unwrap().to_owned()).collect()
}

/// The file's text, with the time of the last update left out.
fn stable_text(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().map(|line| match line.split_once("last-update:") {
        Some((indent, _)) => format!("{indent}last-update: TIME"),
        None => line.to_owned(),
    });
    lines.map(|line| line + "\n").collect()
}

#[test]
fn a_new_file_is_complete_and_private() {
    let folder = tempfile::tempdir().unwrap();
    let paths = [folder.path().join("new/config")];
    let merged = merge(&paths, &entry("skiff"), true).unwrap();
    assert_eq!(merged, Merged { file: paths[0].clone(), changed: true, current: true });
    assert_eq!(fs::metadata(&paths[0]).unwrap().mode() & 0o777, 0o600);
    let expected = r#"apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: Q0E=
    extensions:
    - extension:
        last-update: TIME
        provider: skiff.dev
        version: "0.1.0"
      name: cluster_info
    server: https://127.0.0.1:40001
  name: skiff
contexts:
- context:
    cluster: skiff
    extensions:
    - extension:
        last-update: TIME
        provider: skiff.dev
        version: "0.1.0"
      name: context_info
    user: skiff
  name: skiff
current-context: skiff
kind: Config
preferences: {}
users:
- user:
    client-certificate-data: Q0VSVA==
    client-key-data: S0VZ
    extensions:
    - extension:
        last-update: TIME
        provider: skiff.dev
        version: "0.1.0"
      name: user_info
  name: skiff
"#;
    assert_eq!(stable_text(&paths[0]), expected);
    assert_eq!(fs::read_dir(paths[0].parent().unwrap()).unwrap().count(), 1);
}

#[test]
fn adding_and_removing_leaves_everything_of_others_as_it_was() {
    let (_folder, paths) = folder_with(OTHERS);
    let before = tree(&paths[0]);
    merge(&paths, &entry("skiff"), false).unwrap();
    assert_eq!(names(&paths[0], "clusters"), ["prod", "skiff"]);
    assert_eq!(tree(&paths[0])["future-field"], before["future-field"]);
    assert_eq!(current_context(&paths).unwrap().as_deref(), Some("prod"));
    assert!(remove(&paths, "skiff").unwrap());
    assert!(!remove(&paths, "skiff").unwrap());
    assert_eq!(tree(&paths[0]), before);
}

#[test]
fn values_keep_the_meaning_they_have_for_go_programs() {
    let (_folder, paths) = folder_with(OTHERS);
    merge(&paths, &entry("skiff"), false).unwrap();
    let values = &tree(&paths[0])["future-field"]["a"];
    assert_eq!(values[3], Value::Bool(true));
    assert_eq!(values[4], Value::from("yes"));
    assert_eq!(values[5], Value::from(420));
    assert_eq!(values[6], Value::from("0644"));
    let text = fs::read_to_string(&paths[0]).unwrap();
    for quoted in ["\"yes\"", "\"0644\"", "\"on\"", "\"off\"", "\"no\"", "\"007\"", "\"null\"", "\"true\""] {
        assert!(text.contains(quoted) || text.contains(&quoted.replace('"', "'")), "{quoted} in\n{text}");
    }
}

#[test]
fn a_second_merge_writes_nothing_and_a_changed_one_keeps_what_people_added() {
    let (_folder, paths) = folder_with("");
    merge(&paths, &entry("skiff"), true).unwrap();
    let text = fs::read_to_string(&paths[0]).unwrap();
    assert!(!merge(&paths, &entry("skiff"), true).unwrap().changed);
    assert_eq!(fs::read_to_string(&paths[0]).unwrap(), text);
    fs::write(&paths[0], text.replace("    user: skiff\n", "    user: skiff\n    namespace: mine\n")).unwrap();
    let files = Credentials::Files { ca: "/s/ca.crt".into(), certificate: "/s/c.crt".into(), key: "/s/c.key".into() };
    let moved = Entry { server: "https://127.0.0.1:40002".into(), credentials: files, ..entry("skiff") };
    assert!(merge(&paths, &moved, false).unwrap().changed);
    let tree = tree(&paths[0]);
    assert_eq!(tree["contexts"][0]["context"]["namespace"], Value::from("mine"));
    assert_eq!(tree["clusters"][0]["cluster"]["certificate-authority"], Value::from("/s/ca.crt"));
    assert!(tree["clusters"][0]["cluster"].get("certificate-authority-data").is_none());
    assert_eq!(tree["users"][0]["user"]["client-key"], Value::from("/s/c.key"));
    assert!(tree["users"][0]["user"].get("client-key-data").is_none());
    assert_eq!(names(&paths[0], "users"), ["skiff"]);
    assert_eq!(endpoint_of(&paths, "skiff").unwrap().as_deref(), Some("https://127.0.0.1:40002"));
}

#[test]
fn somebody_elses_entry_of_the_same_name_is_neither_changed_nor_removed() {
    let (_folder, paths) = folder_with(OTHERS);
    for (name, taken) in [("prod", "cluster"), ("prod-admin", "user")] {
        let error = merge(&paths, &entry(name), true).unwrap_err();
        assert!(matches!(&error, KubeError::KubeconfigTaken { part, .. } if *part == taken), "{error}");
        assert!(!remove(&paths, name).unwrap());
    }
    assert_eq!(fs::read_to_string(&paths[0]).unwrap(), OTHERS);
}

#[test]
fn files_that_are_hardly_there_become_complete() {
    for text in
        ["", "\n\n", "# mine\n", "---\n", "null\n", "{}", "clusters: null\nusers: []\n", "\u{feff}kind: Config\n"]
    {
        let (_folder, paths) = folder_with(text);
        merge(&paths, &entry("skiff"), true).unwrap();
        assert_eq!(names(&paths[0], "contexts"), ["skiff"], "{text:?}");
        assert_eq!(tree(&paths[0])["kind"], Value::from("Config"), "{text:?}");
        assert_eq!(tree(&paths[0])["apiVersion"], Value::from("v1"), "{text:?}");
    }
}

#[test]
fn json_windows_line_ends_and_anchors_are_read() {
    let json = r#"{"kind":"Config","clusters":[{"name":"j","cluster":{"server":"https://j"}}],"contexts":[{"name":"j","context":{"cluster":"j","user":"u"}}]}"#;
    let windows = "kind: Config\r\nclusters:\r\n- name: j\r\n  cluster: {server: \"https://j\"}\r\ncontexts:\r\n- {name: j, context: {cluster: j}}\r\n";
    let anchors = "x: &s {server: https://j}\nclusters:\n- name: j\n  cluster: *s\ncontexts:\n- name: j\n  context: {cluster: j}\n";
    let merged = "x: &s {server: https://j}\nclusters:\n- name: j\n  cluster: {<<: *s}\ncontexts:\n- {name: j, context: {cluster: j}}\n";
    for text in [json, windows, anchors, merged] {
        let (_folder, paths) = folder_with(text);
        merge(&paths, &entry("skiff"), true).unwrap();
        assert_eq!(endpoint_of(&paths, "j").unwrap().as_deref(), Some("https://j"), "{text}");
        assert_eq!(names(&paths[0], "clusters"), ["j", "skiff"]);
    }
}

#[test]
fn a_file_that_makes_no_sense_is_named_with_its_line_and_never_touched() {
    let cases: [(&[u8], u64); 10] = [
        (b"apiVersion: v1\nclusters: [\n", 2),
        (b"apiVersion: v1\nkind: Config\n\tclusters: []\n", 3),
        (b"a: 1\nb: 2\na: 3\n", 3),
        (b"- just\n- a list\n", 1),
        (b"just text\n", 1),
        (b"kind: Pod\n", 1),
        (b"clusters: nonsense\n", 1),
        (b"users:\n- just-a-name\n", 1),
        (b"a: 1\n\xff\xfe\n", 2),
        (b"kind: Config\n---\nkind: Config\n", 2),
    ];
    for (bytes, line) in cases {
        let folder = tempfile::tempdir().unwrap();
        let paths = [folder.path().join("config")];
        fs::write(&paths[0], bytes).unwrap();
        let text = String::from_utf8_lossy(bytes);
        for result in [
            merge(&paths, &entry("skiff"), true).map(drop),
            remove(&paths, "skiff").map(drop),
            endpoint_of(&paths, "skiff").map(drop),
            unset_context(&paths, "skiff").map(drop),
        ] {
            let error = result.expect_err(&text);
            let KubeError::KubeconfigSyntax { line: found, .. } = &error else { panic!("{text}: {error}") };
            assert!(found.abs_diff(line) <= 1, "{text}: {error}");
            assert!(error.to_string().contains("config, line"), "{error}");
        }
        assert_eq!(fs::read(&paths[0]).unwrap(), bytes);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}

#[test]
fn links_modes_and_the_link_itself_are_kept() {
    let (folder, paths) = folder_with(OTHERS);
    fs::set_permissions(&paths[0], fs::Permissions::from_mode(0o640)).unwrap();
    let link = folder.path().join("link");
    symlink("config", &link).unwrap();
    let far = tempfile::tempdir().unwrap();
    let far_link = far.path().join("far");
    symlink(&link, &far_link).unwrap();
    merge(std::slice::from_ref(&far_link), &with_paths("skiff"), false).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink() && fs::symlink_metadata(&far_link).unwrap().is_symlink());
    assert_eq!(fs::metadata(&paths[0]).unwrap().mode() & 0o777, 0o640);
    assert_eq!(names(&paths[0], "clusters"), ["prod", "skiff"]);
    let left = fs::read_dir(folder.path()).unwrap().count() + fs::read_dir(far.path()).unwrap().count();
    assert_eq!(left, 3);
    let circle = folder.path().join("circle");
    symlink("circle", &circle).unwrap();
    assert!(merge(&[circle], &entry("skiff"), false).is_err());
}

#[test]
fn a_file_that_a_key_is_put_into_becomes_private() {
    let (_folder, paths) = folder_with(OTHERS);
    let mode = || fs::metadata(&paths[0]).unwrap().mode() & 0o777;
    fs::set_permissions(&paths[0], fs::Permissions::from_mode(0o644)).unwrap();
    merge(&paths, &entry("skiff"), false).unwrap();
    assert_eq!(mode(), 0o600);
    // What its owner decides about it afterwards stays.
    fs::set_permissions(&paths[0], fs::Permissions::from_mode(0o640)).unwrap();
    merge(&paths, &entry("skiff"), true).unwrap();
    assert_eq!(mode(), 0o640);
}

#[test]
fn of_several_files_the_one_that_has_the_entry_is_changed() {
    let (folder, mut paths) = folder_with(OTHERS);
    let (second, absent) = (folder.path().join("second"), folder.path().join("absent"));
    fs::write(&second, "").unwrap();
    paths.insert(0, absent.clone());
    paths.push(second.clone());
    let merged = merge(&paths, &entry("one"), false).unwrap();
    assert_eq!(merged.file, paths[1]);
    merge(std::slice::from_ref(&second), &entry("two"), false).unwrap();
    assert_eq!(
        merge(&paths, &entry("two"), true).unwrap(),
        Merged { file: second.clone(), changed: true, current: true }
    );
    // The current context is set where it counts.
    assert_eq!(tree(&paths[1])["current-context"], Value::from("two"));
    assert_eq!(tree(&second)["current-context"], Value::from(""));
    assert!(remove(&paths, "two").unwrap());
    assert_eq!(current_context(&paths).unwrap(), None);
    assert!(!absent.exists());
    assert!(merge(&[], &entry("skiff"), false).is_err());
}

#[test]
fn contexts_are_switched_only_to_what_is_there() {
    let (_folder, paths) = folder_with(OTHERS);
    assert!(!use_context(&paths, "absent").unwrap());
    merge(&paths, &entry("skiff"), false).unwrap();
    assert!(use_context(&paths, "skiff").unwrap());
    assert_eq!(current_context(&paths).unwrap().as_deref(), Some("skiff"));
    assert!(!unset_context(&paths, "prod").unwrap());
    assert!(unset_context(&paths, "skiff").unwrap());
    assert_eq!(current_context(&paths).unwrap(), None);
    merge(&paths, &entry("skiff"), true).unwrap();
    remove(&paths, "skiff").unwrap();
    assert_eq!(current_context(&paths).unwrap(), None);
    assert_eq!(endpoint_of(&paths, "skiff").unwrap(), None);
}

#[test]
fn a_lock_left_by_a_killed_program_is_not_waited_for() {
    let (folder, paths) = folder_with(OTHERS);
    let lock = folder.path().join("config.lock");
    let old = SystemTime::now() - Duration::from_secs(60);
    File::create(&lock).unwrap().set_modified(old).unwrap();
    merge(&paths, &entry("skiff"), false).unwrap();
    assert!(!lock.exists());
}

#[test]
fn a_held_lock_is_waited_for() {
    let (folder, paths) = folder_with(OTHERS);
    let lock = folder.path().join("config.lock");
    File::create(&lock).unwrap();
    let merging = thread::spawn({
        let paths = paths.clone();
        move || merge(&paths, &entry("skiff"), false)
    });
    thread::sleep(Duration::from_millis(100));
    assert_eq!(fs::read_to_string(&paths[0]).unwrap(), OTHERS);
    fs::remove_file(&lock).unwrap();
    assert!(merging.join().unwrap().unwrap().changed);
}

/// Adds a context as kubectl does: lock file, read, write over, unlock.
fn like_kubectl(path: &Path, name: &str) {
    let mut lock = path.as_os_str().to_owned();
    lock.push(".lock");
    while OpenOptions::new().write(true).create_new(true).open(&lock).is_err() {
        thread::sleep(Duration::from_millis(1));
    }
    let mut tree = tree(path);
    let context = from_yaml(&format!("name: {name}\ncontext: {{cluster: prod, user: prod-admin}}"));
    tree["contexts"].as_sequence_mut().unwrap().push(context);
    fs::write(path, serde_saphyr::to_string(&tree).unwrap()).unwrap();
    fs::remove_file(&lock).unwrap();
}

#[test]
fn writers_at_the_same_time_lose_nothing_of_each_other() {
    const ROUNDS: usize = 4;
    let (folder, paths) = folder_with(OTHERS);
    thread::scope(|scope| {
        for writer in 0..4 {
            let paths = &paths;
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    merge(paths, &entry(&format!("keep-{writer}-{round}")), round % 2 == 0).unwrap();
                    merge(paths, &entry(&format!("drop-{writer}")), true).unwrap();
                    assert!(remove(paths, &format!("drop-{writer}")).unwrap());
                }
            });
        }
        scope.spawn(|| (0..ROUNDS).for_each(|round| like_kubectl(&paths[0], &format!("theirs-{round}"))));
    });
    let contexts = names(&paths[0], "contexts");
    assert_eq!(contexts.len(), 1 + 4 * ROUNDS + ROUNDS, "{contexts:?}");
    assert!(contexts.iter().all(|name| !name.starts_with("drop")));
    assert_eq!(names(&paths[0], "users").len(), 2 + 4 * ROUNDS);
    let others = from_yaml(OTHERS);
    assert_eq!(tree(&paths[0])["future-field"], others["future-field"]);
    assert_eq!(tree(&paths[0])["users"][0], others["users"][0]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}
