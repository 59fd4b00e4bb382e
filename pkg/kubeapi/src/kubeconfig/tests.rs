use std::{fs, os::unix::fs::MetadataExt};

use tempfile::TempDir;

use super::*;

struct Home {
    folder: TempDir,
}

impl Home {
    fn new() -> Self {
        Self { folder: TempDir::new().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn with(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// All names in the folder, to see that nothing is left behind.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn entry(name: &str, port: u16) -> Entry {
    let folder = PathBuf::from("/home/u/.skiff/profiles").join(name);
    Entry {
        name: name.to_owned(),
        server: format!("https://127.0.0.1:{port}"),
        credentials: Credentials::Files {
            ca: folder.join("ca.crt"),
            certificate: folder.join("client.crt"),
            key: folder.join("client.key"),
        },
        version: "v0.1.0".to_owned(),
    }
}

fn tree(text: &str) -> serde_yaml::Value {
    serde_saphyr::from_str_with_options(text, serde_saphyr::options! { legacy_octal_numbers: true }).unwrap()
}

#[test]
fn certificates_can_be_embedded_and_taken_out_again() {
    let home = Home::new();
    let path = home.path("config");
    let paths = [path.clone()];
    let files = entry("dev", 1);
    let (ca, certificate, key) = ("CA\n".to_owned(), "CERT\n".to_owned(), "KEY\n".repeat(90));
    let embedded = Entry { credentials: Credentials::Embedded { ca, certificate, key }, ..files.clone() };
    merge(&paths, &embedded, false).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains("client-key-data: S0VZ"), "{text}");
    assert!(!text.contains("client-key:"), "{text}");
    assert!(text.lines().any(|line| line.len() > 400), "a long key stays on one line: {text}");
    merge(&paths, &files, false).unwrap();
    assert!(!fs::read_to_string(&path).unwrap().contains("-data"));
}

#[test]
fn nothing_is_written_when_nothing_changes() {
    let home = Home::new();
    let paths = [home.path("config")];
    merge(&paths, &entry("dev", 1), true).unwrap();
    let before = fs::metadata(&paths[0]).unwrap();
    let again = merge(&paths, &entry("dev", 1), true).unwrap();
    assert_eq!(again, Merged { file: paths[0].clone(), changed: false, current: true });
    assert!(!remove(&paths, "other").unwrap());
    let after = fs::metadata(&paths[0]).unwrap();
    assert_eq!((after.ino(), after.mtime_nsec()), (before.ino(), before.mtime_nsec()));
}

#[test]
fn an_entry_that_lost_its_mark_is_known_by_its_authority() {
    let home = Home::new();
    let paths = [home.path("config")];
    merge(&paths, &entry("dev", 1), true).unwrap();
    let mut value = tree(&fs::read_to_string(&paths[0]).unwrap());
    for (list, body) in [("clusters", "cluster"), ("contexts", "context"), ("users", "user")] {
        value[list][0][body].as_mapping_mut().unwrap().remove("extensions");
    }
    fs::write(&paths[0], serde_saphyr::to_string(&value).unwrap()).unwrap();
    assert!(merge(&paths, &entry("dev", 2), true).unwrap().changed);
    assert!(remove(&paths, "dev").unwrap());
    assert_eq!(endpoint_of(&paths, "dev").unwrap(), None);
}

#[test]
fn a_current_context_that_somebody_wrote_back_is_reset() {
    let home = Home::new();
    let paths = [home.with("config", "kind: Config\ncurrent-context: dev\n")];
    assert!(remove(&paths, "dev").unwrap());
    assert!(!fs::read_to_string(&paths[0]).unwrap().contains("dev"));
    assert!(!remove(&paths, "dev").unwrap());
    // Not where it leads to something of somebody else's.
    let text = "kind: Config\ncurrent-context: dev\ncontexts: [{name: dev, context: {cluster: x, user: x}}]\n";
    let paths = [home.with("config", text)];
    assert!(!remove(&paths, "dev").unwrap());
    assert_eq!(fs::read_to_string(&paths[0]).unwrap(), text);
}

#[test]
fn a_link_to_nothing_is_filled() {
    let home = Home::new();
    std::os::unix::fs::symlink("later/file", home.path("config")).unwrap();
    merge(&[home.path("config")], &entry("dev", 1), true).unwrap();
    assert!(fs::symlink_metadata(home.path("config")).unwrap().is_symlink());
    assert!(home.path("later/file").exists());
}

#[test]
fn devices_are_not_replaced() {
    let paths = [PathBuf::from("/dev/null")];
    assert!(merge(&paths, &entry("dev", 1), true).unwrap().changed);
    assert!(!fs::metadata("/dev/null").unwrap().is_file());
}

#[test]
fn one_broken_file_does_not_keep_the_others_from_being_cleaned() {
    let home = Home::new();
    let paths = [home.with("broken", "a: ["), home.path("good")];
    merge(&paths[1..], &entry("dev", 1), true).unwrap();
    assert!(remove(&paths, "dev").is_err());
    assert_eq!(endpoint_of(&paths[1..], "dev").unwrap(), None);
}

#[test]
fn a_lock_left_by_a_dead_skiff_is_taken_over() {
    let home = Home::new();
    let paths = [home.with("config", "kind: Config\n")];
    home.with("config.lock", "skiff 1\n");
    merge(&paths, &entry("dev", 1), true).unwrap();
    assert_eq!(home.names(), ["config"]);
}
