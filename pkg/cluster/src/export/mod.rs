//! Export: everything there is to read about a cluster, as a tree of files.
//!
//! ```text
//! DIR/skiff/            cluster.yaml, events.json, logs/: what skiff itself knows
//! DIR/NODE/             what the driver knows, then from inside: kubelet.log, containerd.log,
//!                       journal.log, images.log, kernel.log, kubernetes-version.txt
//! DIR/NODE/pods/        NAMESPACE_POD_UID/CONTAINER/N.log
//! ```
//!
//! The tree is meant to be shown to others, so secrets are taken out of every file on its way.

mod redact;

use std::{
    fs,
    io::Write as _,
    os::unix::fs::OpenOptionsExt,
    path::{Component, Path, PathBuf},
};

use skiff_config::{ClusterName, NodeName};
use skiff_driver::Driver;
use skiff_runner::{Command, Connect, Runner};

use self::redact::Redactor;
use crate::{ClusterError, Host, host::driver_error, identity, nodes::runner};

/// What the driver cannot tell: file, and what prints it in the node.
const INSIDE: [(&str, &str); 7] = [
    ("kubernetes-version.txt", "kubelet --version"),
    ("kubelet.log", "journalctl --no-pager --no-hostname --unit=kubelet"),
    ("containerd.log", "journalctl --no-pager --no-hostname --unit=containerd"),
    ("journal.log", "journalctl --no-pager --no-hostname --lines=50000"),
    ("images.log", "ctr --namespace k8s.io images ls"),
    ("containers.log", "ctr --namespace k8s.io tasks ls"),
    ("kernel.log", "uname -a; uptime; cat /etc/os-release; dmesg"),
];
/// Where the kubelet keeps what containers print.
const PODS: &str = "/var/log/pods";
/// The end of a container's log that is kept, bytes.
const LEAST_LOG: u32 = 4 << 20;

/// What an export wrote.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExportReport {
    /// The files.
    pub files: Vec<PathBuf>,
    /// What could not be had, a sentence each; the rest was written all the same.
    pub missing: Vec<String>,
}

/// Writes everything there is to read about a cluster below a folder, which is made if need be.
/// Works on clusters that are off or damaged, so far as there is something.
///
/// # Errors
/// When there is no such cluster, or the folder cannot be written.
pub async fn export_logs<D: Driver, C: Connect, K>(
    host: &Host<D, C, K>,
    name: &ClusterName,
    folder: &Path,
) -> Result<ExportReport, ClusterError> {
    let live = host.driver.list(Some(name)).await.map_err(driver_error)?;
    let profile = host.store.profile_dir(name);
    if live.is_empty() && !profile.exists() {
        return Err(ClusterError::NotFound(name.clone()));
    }
    let token = identity::read(&host.store, name, "token").ok().flatten();
    let mut export =
        Export { redactor: Redactor::new(token.iter().map(|token| token.trim())), report: ExportReport::default() };
    for file in ["cluster.yaml", "events.json", "lease", "scheduled-stop"] {
        export.copy(&profile.join(file), &folder.join("skiff").join(file))?;
    }
    let logs = host.store.profile_logs_dir(name);
    for entry in fs::read_dir(&logs).into_iter().flatten().flatten().filter(|entry| entry.path().is_file()) {
        export.copy(&entry.path(), &folder.join("skiff/logs").join(entry.file_name()))?;
    }
    for node in &live {
        export.node(host, name, &node.name, &folder.join(node.name.as_str())).await?;
    }
    Ok(export.report)
}

struct Export {
    redactor: Redactor,
    report: ExportReport,
}

impl Export {
    async fn node<D: Driver, C: Connect, K>(
        &mut self,
        host: &Host<D, C, K>,
        cluster: &ClusterName,
        node: &NodeName,
        folder: &Path,
    ) -> Result<(), ClusterError> {
        make(folder)?;
        match host.driver.collect_logs(cluster, node, folder).await {
            Ok(files) => {
                for file in files {
                    self.copy(&file, &file)?;
                }
            }
            Err(error) => self.miss(format!("{node}: {error}")),
        }
        let runner = match runner(host, cluster, Some(node.as_str())).await {
            Ok(runner) => runner,
            Err(error) => {
                self.miss(format!("{node}: nothing from inside: {error}"));
                return Ok(());
            }
        };
        for (file, script) in INSIDE {
            self.printed(&runner, &Command::sh(script), node, &folder.join(file)).await?;
        }
        let list = Command::new(["find", PODS, "-type", "f", "-name", "*.log*"]);
        let found = runner.output(list).await.map(|output| output.stdout_text()).unwrap_or_default();
        for path in found.lines() {
            let Some(below) = plain(path.strip_prefix(PODS).unwrap_or_default()) else { continue };
            let tail = Command::new(["tail", "-c", &LEAST_LOG.to_string(), path]);
            self.printed(&runner, &tail, node, &folder.join("pods").join(below)).await?;
        }
        Ok(())
    }

    /// Keeps what a command prints; one that fails is told and leaves its words.
    async fn printed<R: Runner>(
        &mut self,
        runner: &R,
        command: &Command,
        node: &NodeName,
        to: &Path,
    ) -> Result<(), ClusterError> {
        match runner.output(command.clone()).await {
            Ok(output) => self.write(to, &(output.stdout_text() + &output.stderr_text())),
            Err(error) => {
                self.miss(format!("{node}: {}: {error}", to.file_name().unwrap_or_default().display()));
                Ok(())
            }
        }
    }

    /// Copies a file without its secrets; nothing happens if it is absent.
    fn copy(&mut self, from: &Path, to: &Path) -> Result<(), ClusterError> {
        match fs::read(from) {
            Ok(bytes) => self.write(to, &String::from_utf8_lossy(&bytes)),
            Err(_) => Ok(()),
        }
    }

    fn write(&mut self, to: &Path, text: &str) -> Result<(), ClusterError> {
        make(to.parent().unwrap_or(to))?;
        let file = fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(to);
        let written = file.and_then(|mut file| file.write_all(self.redactor.redact(text).as_bytes()));
        written.map_err(|source| ClusterError::Export { path: to.to_owned(), source })?;
        self.report.files.push(to.to_owned());
        Ok(())
    }

    fn miss(&mut self, sentence: String) {
        self.report.missing.push(sentence);
    }
}

fn make(folder: &Path) -> Result<(), ClusterError> {
    fs::create_dir_all(folder).map_err(|source| ClusterError::Export { path: folder.to_owned(), source })
}

/// A path below a folder, unless it leads out of it: nodes run what others wrote.
fn plain(path: &str) -> Option<&Path> {
    let path = Path::new(path.trim_start_matches('/'));
    let inside = path.components().all(|part| matches!(part, Component::Normal(_)));
    (inside && path.file_name().is_some()).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leads_out_of_the_folder_is_left_out() {
        assert_eq!(plain("/kube-system_etcd_1/etcd/0.log"), Some(Path::new("kube-system_etcd_1/etcd/0.log")));
        for bad in ["", "/", "/a/../../b", "../a"] {
            assert_eq!(plain(bad), None, "{bad}");
        }
    }
}
