//! The hyperkit program.

use std::{
    fs, io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};

use tokio::{process::Command, time::timeout};

use crate::{Error, Mac, arguments::Machine};

/// Where an installed hyperkit is, Docker Desktop's own last.
pub(crate) const PLACES: [&str; 5] = [
    "/usr/local/bin/hyperkit",
    "/opt/local/bin/hyperkit",
    "/Applications/Docker.app/Contents/Resources/bin/hyperkit",
    "/Applications/Docker.app/Contents/Resources/bin/com.docker.hyperkit",
    "/Applications/Docker.app/Contents/MacOS/com.docker.hyperkit",
];

/// How long hyperkit may take to answer a question.
const DEADLINE: Duration = Duration::from_secs(20);

/// An installed hyperkit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Program {
    /// The program itself, links followed.
    pub(crate) path: PathBuf,
}

impl Program {
    /// Finds hyperkit: where the user says it is, or in one of the usual places.
    pub(crate) fn find(named: Option<&Path>) -> Result<Self, Error> {
        let places: Vec<PathBuf> = match named {
            Some(path) => vec![path.to_owned()],
            None => PLACES.iter().map(PathBuf::from).collect(),
        };
        // Rights count on the program, not on the link that Homebrew makes to it.
        let found = places.iter().find_map(|place| fs::canonicalize(place).ok().filter(|path| path.is_file()));
        found.map(|path| Self { path }).ok_or(Error::NotInstalled { places })
    }

    /// vmnet serves root only: hyperkit has to belong to root and take its rights on, unless
    /// everything runs as root already.
    pub(crate) fn check_rights(&self) -> Result<(), Error> {
        let metadata = fs::metadata(&self.path).map_err(|source| self.unusable(source))?;
        let rights = Rights { owner: metadata.uid(), mode: metadata.permissions().mode() };
        if rights.suffice(rustix::process::geteuid().is_root()) {
            return Ok(());
        }
        Err(Error::NotSetuid { program: self.path.clone(), owner: rights.owner, mode: rights.mode & 0o7777 })
    }

    /// The version it tells of itself. It is also the proof that it can be run.
    pub(crate) async fn version(&self) -> Result<String, Error> {
        let output = self.ask(&["-v".to_owned()]).await?;
        let text = String::from_utf8_lossy(&output.stdout);
        let version = text.lines().next().and_then(|line| line.split_once(": ")).map(|(_, version)| version.trim());
        match version {
            Some(version) if output.status.success() => Ok(version.to_owned()),
            _ => Err(Error::NotHyperkit { program: self.path.clone(), printed: last_line(&output) }),
        }
    }

    /// The hardware address that vmnet gives to a machine; `None` where this build cannot tell.
    pub(crate) async fn mac(&self, machine: &Machine) -> Result<Option<Mac>, Error> {
        let output = self.ask(&machine.asking_for_mac()?).await?;
        Ok(output.status.success().then(|| printed_mac(&String::from_utf8_lossy(&output.stdout))).flatten())
    }

    async fn ask(&self, arguments: &[String]) -> Result<Output, Error> {
        let mut command = Command::new(&self.path);
        command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
        match timeout(DEADLINE, command.output()).await {
            Ok(output) => output.map_err(|source| self.unusable(source)),
            Err(_) => Err(Error::Unresponsive { program: self.path.clone(), seconds: DEADLINE.as_secs() }),
        }
    }

    pub(crate) fn unusable(&self, source: io::Error) -> Error {
        Error::Unusable { program: self.path.clone(), source }
    }
}

/// Who a program belongs to, and what it may.
#[derive(Debug, Clone, Copy)]
struct Rights {
    owner: u32,
    mode: u32,
}

impl Rights {
    fn suffice(self, caller_is_root: bool) -> bool {
        caller_is_root || (self.owner == 0 && self.mode & 0o4000 != 0)
    }
}

/// The address in a line such as `MAC: 86:07:a2:00:0f:e1`.
fn printed_mac(text: &str) -> Option<Mac> {
    text.lines().find_map(|line| line.trim().strip_prefix("MAC:")?.parse().ok())
}

/// The last that a program printed, which is mostly the reason why it ended.
fn last_line(output: &Output) -> String {
    let text = [&output.stderr, &output.stdout].map(|bytes| String::from_utf8_lossy(bytes).trim().to_owned());
    let line = text.iter().find(|text| !text.is_empty()).and_then(|text| text.lines().last());
    line.unwrap_or("nothing").to_owned()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use skiff_report::{Diagnose, ExitCode};

    use super::*;

    fn script(folder: &Path, text: &str) -> Program {
        let path = folder.join("hyperkit");
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Program { path: fs::canonicalize(path).unwrap() }
    }

    #[test]
    fn a_link_is_followed_to_the_program() {
        let folder = tempfile::tempdir().unwrap();
        let program = script(folder.path(), "");
        let link = folder.path().join("link");
        symlink(&program.path, &link).unwrap();
        assert_eq!(Program::find(Some(&link)).unwrap(), program);
    }

    #[test]
    fn what_is_not_there_is_not_installed() {
        let error = Program::find(Some(Path::new("/nonexistent/hyperkit"))).unwrap_err();
        assert_eq!(error.reason().exit, ExitCode::PROVIDER_NOT_FOUND);
        assert!(error.reason().advice.contains("brew install hyperkit"));
        assert!(error.to_string().contains("/nonexistent/hyperkit"), "{error}");
    }

    #[test]
    fn without_roots_rights_there_is_no_network() {
        let rights = |owner, mode| Rights { owner, mode }.suffice(false);
        assert!(rights(0, 0o104_755));
        assert!(!rights(0, 0o100_755) && !rights(501, 0o104_755));
        assert!(Rights { owner: 501, mode: 0o755 }.suffice(true));
        let error = Error::NotSetuid { program: "/usr/local/bin/hyperkit".into(), owner: 501, mode: 0o755 };
        assert_eq!(error.reason().exit, ExitCode::PROVIDER_PERMISSION);
        assert!(error.reason().advice.contains("sudo chown root:wheel /usr/local/bin/hyperkit"));
    }

    #[tokio::test]
    async fn hyperkit_tells_its_version() {
        let folder = tempfile::tempdir().unwrap();
        let program = script(folder.path(), "printf 'hyperkit: 0.20210107\\n\\nHomepage: x\\nLicense: BSD\\n'");
        assert_eq!(program.version().await.unwrap(), "0.20210107");
        let other = script(folder.path(), "echo 'dyld: Library not loaded' >&2; exit 134");
        let error = other.version().await.unwrap_err();
        assert!(error.to_string().contains("dyld: Library not loaded"), "{error}");
    }

    #[test]
    fn the_hardware_address_is_found_in_what_hyperkit_prints() {
        assert_eq!(
            printed_mac("linkname x\nMAC: 86:7:a2:0:f:e1\n").map(|mac| mac.to_string()).as_deref(),
            Some("86:07:a2:00:0f:e1")
        );
        assert_eq!(printed_mac("Usage: hyperkit\n"), None);
    }
}
