//! Folders of the host that a machine sees. Each is served by a virtiofsd of its own, which waits for
//! QEMU, serves one run of one machine and ends with it: whatever hangs up on it ends it.

use std::{
    fs::{self, OpenOptions},
    io,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use skiff_vm::{Machine, VmError};
use tokio::process::{Child, Command};

use crate::{Error, life::socket};

/// Where distributions put the program: it is for QEMU, not for people, and so not on the path.
const PROGRAMS: [&str; 4] =
    ["/usr/libexec/virtiofsd", "/usr/lib/qemu/virtiofsd", "/usr/lib/virtiofsd", "/usr/local/libexec/virtiofsd"];

/// How long it may take until it waits for QEMU.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// What gives a user without root's rights a place for the program's own files, which it wants in /run.
const PRIVATE_RUN: &str = r#"mount -t tmpfs tmpfs /run && exec "$@""#;

/// Where the servers of a machine's folders listen, in the folders' order.
pub(crate) fn sockets(machine: &Machine) -> Vec<PathBuf> {
    (0..machine.record.folders.len()).map(|n| socket(machine.folder(), &format!("folder-{n}.sock"))).collect()
}

/// Fails if what a machine shall see is no folder.
pub(crate) fn require<'a>(folders: impl IntoIterator<Item = &'a Path>) -> Result<(), Error> {
    match folders.into_iter().find(|path| !path.is_dir()) {
        Some(path) => Err(Error::NoFolder { path: path.to_owned() }),
        None => Ok(()),
    }
}

/// Starts what serves a machine's folders.
pub(crate) async fn serve(machine: &Machine) -> Result<(), Error> {
    dismiss(machine);
    let folders = &machine.record.folders;
    require(folders.iter().map(|folder| folder.host.as_path()))?;
    if folders.is_empty() {
        return Ok(());
    }
    let found = PROGRAMS.iter().find(|path| Path::new(path).is_file());
    let program = found.ok_or(Error::FolderServerMissing)?;
    for (folder, socket) in folders.iter().zip(sockets(machine)) {
        let argv = words(rustix::process::geteuid().is_root(), program, &folder.host, &socket);
        if let Err(error) = serve_one(&argv, &folder.host, &socket, &machine.log()).await {
            dismiss(machine);
            return Err(error);
        }
    }
    Ok(())
}

/// Ends the servers that still wait for a machine, and removes what they leave behind.
pub(crate) fn dismiss(machine: &Machine) {
    for path in sockets(machine) {
        drop(UnixStream::connect(&path));
        // The server has removed it, unless it was killed.
        let _ = fs::remove_file(path);
    }
}

/// The server's command line. It sees the folder alone by chroot, which needs less of the host than a
/// namespace of mounts.
fn words(root: bool, program: &str, folder: &Path, socket: &Path) -> Vec<String> {
    let mut words = Vec::new();
    if !root {
        words.extend(["unshare", "--map-root-user", "--map-auto", "--mount", "sh", "-c", PRIVATE_RUN, "sh"]);
    }
    words.extend([program, "-o", "sandbox=chroot", "-o"]);
    // A comma would end the option.
    let source = folder.display().to_string().replace('\\', r"\\").replace(',', r"\,");
    let last = [format!("source={source}"), format!("--socket-path={}", socket.display())];
    words.into_iter().map(str::to_owned).chain(last).collect()
}

/// Starts one server and waits until it listens.
async fn serve_one(argv: &[String], folder: &Path, socket: &Path, log: &Path) -> Result<(), Error> {
    let failed = |detail: String| Error::FolderUnserved { path: folder.to_owned(), detail };
    let file = OpenOptions::new().append(true).create(true).open(log).map_err(VmError::file("write", log))?;
    let copy = file.try_clone().map_err(VmError::file("write", log))?;
    let mut command = Command::new(&argv[0]);
    // It goes on when skiff ends, and is no concern of the terminal's.
    command.args(&argv[1..]).stdin(Stdio::null()).stdout(file).stderr(copy);
    let mut child = command.process_group(0).kill_on_drop(false).spawn().map_err(|error| failed(error.to_string()))?;
    let end = Instant::now() + PATIENCE;
    while !socket.exists() {
        if let Some(status) = child.try_wait().map_err(|error| failed(error.to_string()))? {
            return Err(failed(last_line(log).unwrap_or_else(|_| status.to_string())));
        }
        if Instant::now() > end {
            return Err(failed(end_child(child).await));
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

/// Ends a server that nobody can hang up on.
async fn end_child(mut child: Child) -> String {
    // It is not needed any more, whether it ends or not.
    let _ = child.kill().await;
    format!("no word within {} s", PATIENCE.as_secs())
}

fn last_line(log: &Path) -> io::Result<String> {
    let text = fs::read_to_string(log)?;
    let line = text.lines().rfind(|line| !line.trim().is_empty());
    line.map(|line| line.trim().to_owned()).ok_or_else(|| io::ErrorKind::NotFound.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_are_shared() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        require([dir.path()]).unwrap();
        for path in [file, dir.path().join("absent")] {
            assert!(matches!(require([path.as_path()]), Err(Error::NoFolder { .. })));
        }
    }

    #[test]
    fn a_user_without_rights_gets_a_place_where_it_is_root() {
        let (folder, socket) = (Path::new(r"/a,b\c"), Path::new("/n/folder-0.sock"));
        let root = words(true, "virtiofsd", folder, socket);
        let expected =
            ["virtiofsd", "-o", "sandbox=chroot", "-o", r"source=/a\,b\\c", "--socket-path=/n/folder-0.sock"];
        assert_eq!(root, expected);
        let user = words(false, "virtiofsd", folder, socket);
        assert_eq!(user[0], "unshare");
        assert_eq!(user[user.len() - root.len()..], root);
    }

    #[tokio::test]
    async fn a_server_that_ends_at_once_is_told_with_its_words() {
        let dir = tempfile::tempdir().unwrap();
        let argv = ["sh", "-c", "echo no rights >&2; exit 1"].map(str::to_owned);
        let error = serve_one(&argv, dir.path(), &dir.path().join("s"), &dir.path().join("log")).await.unwrap_err();
        assert!(error.to_string().ends_with("no rights"), "{error}");
    }
}
