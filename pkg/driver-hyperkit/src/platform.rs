//! Whether hyperkit can run on this kind of host.

use std::env::consts;

use tokio::process::Command;

use crate::Error;

/// The kind of host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Platform {
    /// The operating system, as Rust calls it.
    pub os: String,
    /// The processor is one of Apple's, even if this program was made for Intel's and is translated.
    pub apple_silicon: bool,
    /// The processor can run virtual machines, as far as the system tells.
    pub hypervisor: bool,
}

impl Platform {
    /// What this host is.
    pub async fn of_this_host() -> Self {
        let macos = consts::OS == "macos";
        Self {
            os: consts::OS.to_owned(),
            apple_silicon: macos
                && (consts::ARCH == "aarch64" || sysctl("hw.optional.arm64").await.as_deref() == Some("1")),
            hypervisor: !macos || sysctl("kern.hv_support").await.as_deref() != Some("0"),
        }
    }

    /// What hyperkit is made for.
    #[must_use]
    pub fn intel_mac() -> Self {
        Self { os: "macos".to_owned(), apple_silicon: false, hypervisor: true }
    }

    /// Refuses hosts on which no hyperkit can run, installed or not.
    ///
    /// # Errors
    /// What is wrong with the host.
    pub fn check(&self) -> Result<(), Error> {
        if self.apple_silicon {
            return Err(Error::AppleSilicon);
        }
        if self.os != "macos" {
            return Err(Error::NotMacOs { os: self.os.clone() });
        }
        if !self.hypervisor {
            return Err(Error::NoHypervisor);
        }
        Ok(())
    }
}

pub(crate) async fn sysctl(name: &str) -> Option<String> {
    let output = Command::new("/usr/sbin/sysctl").args(["-n", name]).output().await.ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use skiff_report::{Diagnose, ExitCode};

    use super::*;

    #[test]
    fn only_intel_macs_are_taken() {
        assert!(Platform::intel_mac().check().is_ok());
        let linux = Platform { os: "linux".to_owned(), ..Platform::intel_mac() };
        let apple = Platform { apple_silicon: true, ..Platform::intel_mac() };
        let nested = Platform { hypervisor: false, ..Platform::intel_mac() };
        for platform in [linux, apple, nested] {
            let reason = platform.check().unwrap_err().reason();
            assert_eq!(reason.exit, ExitCode::DRIVER_UNSUPPORTED, "{platform:?}");
            assert!(reason.advice.contains("--driver=docker"), "{reason:?}");
        }
    }

    #[test]
    fn apple_silicon_is_told_what_to_use() {
        let error = Platform { apple_silicon: true, ..Platform::intel_mac() }.check().unwrap_err();
        assert_eq!(error.to_string(), "hyperkit runs on Intel processors only, and this Mac has Apple silicon");
        assert!(error.reason().advice.contains("--driver=qemu"), "{}", error.reason().advice);
    }

    #[tokio::test]
    async fn this_host_is_told_apart() {
        let platform = Platform::of_this_host().await;
        assert_eq!(platform.os, consts::OS);
        assert_eq!(platform.check().is_ok(), consts::OS == "macos" && !platform.apple_silicon && platform.hypervisor);
    }
}
