//! Which QEMU there is.

use semver::Version;
use skiff_runner::{Command, LocalRunner, RunError, Runner};

use crate::Error;

/// The oldest QEMU with snapshots as jobs of the monitor.
const OLDEST: &str = "6.0.0";

/// Asks a QEMU for its version, and fails if it is none or too old.
pub(crate) async fn of(program: &str) -> Result<Version, Error> {
    match LocalRunner.run(Command::new([program, "--version"])).await {
        Ok(output) => {
            let found = parse(&output.stdout_text());
            let version = found.ok_or_else(|| Error::NotQemu { program: program.to_owned(), source: None })?;
            let oldest = Version::new(6, 0, 0);
            if version < oldest {
                return Err(Error::TooOld { found: version.to_string(), needed: OLDEST });
            }
            Ok(version)
        }
        Err(RunError::Spawn { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            Err(Error::NotInstalled { program: program.to_owned() })
        }
        Err(source) => Err(Error::NotQemu { program: program.to_owned(), source: Some(source) }),
    }
}

/// Reads `QEMU emulator version 7.2.22 (Debian ...)`.
fn parse(text: &str) -> Option<Version> {
    let word = text.split_once("emulator version ")?.1.split_whitespace().next()?;
    let mut numbers = word.split(['.', '-', '+']).map(|part| part.parse::<u64>().ok());
    let (major, minor) = (numbers.next()??, numbers.next()??);
    Some(Version::new(major, minor, numbers.next().flatten().unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use skiff_report::Diagnose;

    use super::*;

    #[test]
    fn versions_are_read_with_all_that_distributions_add() {
        let read = |text: &str| parse(&format!("QEMU emulator version {text}\nCopyright")).map(|v| v.to_string());
        assert_eq!(read("7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)").as_deref(), Some("7.2.22"));
        assert_eq!(read("10.1.0-rc2 (v10)").as_deref(), Some("10.1.0"));
        assert_eq!(read("6.2 (x)").as_deref(), Some("6.2.0"));
        assert_eq!(parse("GNU bash"), None);
    }

    #[tokio::test]
    async fn one_that_is_too_old_is_told_with_both_versions() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("qemu");
        fs::write(&program, "#!/bin/sh\necho 'QEMU emulator version 5.2.0 (Debian 1:5.2+dfsg-11)'\n").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let error = of(&program.display().to_string()).await.unwrap_err();
        assert_eq!(error.to_string(), "QEMU is 5.2.0, machines need 6.0.0 or newer");
        assert_eq!(error.reason().id, "PROVIDER_QEMU_OBSOLETE");
    }

    #[tokio::test]
    async fn what_is_no_qemu_is_told_apart() {
        assert!(matches!(of("no-such-qemu").await, Err(Error::NotInstalled { .. })));
        assert!(matches!(of("true").await, Err(Error::NotQemu { source: None, .. })));
        assert!(matches!(of("false").await, Err(Error::NotQemu { source: Some(_), .. })));
    }
}
