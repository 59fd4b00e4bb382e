//! What a cluster may leave behind: nothing.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::Finished;

/// Docker's label of everything that belongs to a cluster.
const LABEL: &str = "dev.skiff.cluster";
/// How the names of files begin that skiff writes or removes just now.
const UNFINISHED: &str = ".unfinished-";

/// Everything Docker still has of a cluster, one line each.
pub(crate) fn remains(cluster: &str) -> Vec<String> {
    let filter = format!("label={LABEL}={cluster}");
    let listings: [&[&str]; 3] = [&["ps", "-aq"], &["volume", "ls", "-q"], &["network", "ls", "-q"]];
    let mut remains = Vec::new();
    for listing in listings {
        let listed = Finished::of(Command::new("docker").args(listing).args(["--filter", &filter])).ok();
        remains.extend(listed.stdout.lines().map(|line| format!("docker {}: {line}", listing[0])));
    }
    remains
}

/// The bridges of this host that a cluster's networks have. Once the cluster is gone nobody can tell.
pub(crate) fn bridges(cluster: &str) -> Vec<String> {
    let filter = format!("label={LABEL}={cluster}");
    let listed = Finished::of(Command::new("docker").args(["network", "ls", "-q", "--filter", &filter]));
    listed.stdout.lines().map(|id| format!("br-{id}")).collect()
}

/// The rules of this host's packet filter that still speak of bridges. Nobody but root may look.
pub(crate) fn rules(bridges: &[String]) -> Vec<String> {
    let saved = Command::new("iptables-save").output().map(|output| output.stdout).unwrap_or_default();
    let saved = String::from_utf8_lossy(&saved).into_owned();
    let rules = saved.lines().filter(|rule| bridges.iter().any(|bridge| rule.contains(bridge.as_str())));
    rules.map(|rule| format!("iptables {rule}")).collect()
}

/// The processes that work in a skiff home, and those that they have begun.
pub(crate) fn processes(home: &Path) -> Vec<String> {
    let home = format!("SKIFF_HOME={}", home.display()).into_bytes();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path());
    let works_there = |process: &PathBuf| {
        let environment = fs::read(process.join("environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == home)
    };
    let line = |process: PathBuf| {
        let line = fs::read(process.join("cmdline")).unwrap_or_default();
        format!("process {}: {}", process.display(), String::from_utf8_lossy(&line).replace('\0', " "))
    };
    entries.filter(works_there).map(line).collect()
}

/// Files in a folder for temporary ones, and those in a skiff home that were not finished. A name
/// tells of that.
pub(crate) fn forgotten_files(temporary: &Path, home: &Path) -> Vec<PathBuf> {
    let unfinished =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(UNFINISHED));
    let mut forgotten = below(temporary);
    forgotten.extend(below(home).into_iter().filter(unfinished));
    forgotten
}

/// All that is in a folder and in those below it.
fn below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(below(&entry.path()));
        }
        found.push(entry.path());
    }
    found
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        process::Stdio,
    };

    use super::*;

    #[test]
    fn whatever_works_on_in_a_home_is_found() {
        let home = tempfile::tempdir().unwrap();
        let mut program = Command::new("cat");
        let program = program.env("SKIFF_HOME", home.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut program = program.spawn().unwrap();
        // spawn() returns while the kernel still lays out the new program: until it has, its
        // environment reads as empty. A program that answers is past that.
        program.stdin.as_mut().unwrap().write_all(b"!").unwrap();
        program.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        let found = processes(home.path());
        program.kill().unwrap();
        program.wait().unwrap();
        assert!(matches!(&found[..], [line] if line.ends_with(": cat ")), "{found:?}");
        assert_eq!(processes(home.path()), Vec::<String>::new());
    }

    #[test]
    fn temporary_and_unfinished_files_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let (temporary, home) = (folder.path().join("tmp"), folder.path().join("home"));
        fs::create_dir_all(temporary.join("below")).unwrap();
        fs::create_dir_all(home.join("profiles")).unwrap();
        fs::write(home.join("profiles/cluster.yaml"), "").unwrap();
        fs::write(home.join("profiles/.unfinished-1"), "").unwrap();
        let found = forgotten_files(&temporary, &home);
        assert_eq!(found, [temporary.join("below"), home.join("profiles/.unfinished-1")]);
    }
}
