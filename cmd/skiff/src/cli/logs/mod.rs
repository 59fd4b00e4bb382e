//! `skiff logs`.

mod section;

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
};

use skiff_cluster::{ClusterError, login, runner};
use skiff_config::{ClusterFile, NodeName};
use skiff_driver::Driver;
use skiff_report::ExitCode;
use skiff_runner::Runner;

use self::section::{Section, is_problem, sections};
use super::node::{become_program, ssh};
use crate::{
    context::{Context, print},
    failure::Failure,
    wiring::SkiffHost,
};

/// Shows what a cluster's parts have logged.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Show new lines of kubelet and containerd as they come.
    #[arg(short, long)]
    follow: bool,
    /// Lines of each log.
    #[arg(short = 'n', long, value_name = "N", default_value = "60")]
    length: u32,
    /// Only lines that look like trouble.
    #[arg(long, conflicts_with = "follow")]
    problems: bool,
    /// Show this node only.
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    /// Write into this file, not to standard output.
    #[arg(long, value_name = "PATH", conflicts_with = "follow")]
    file: Option<PathBuf>,
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> Result<ExitCode, Failure> {
        let host = context.host_in_use("skiff logs").await?;
        if self.follow {
            return Err(self.follow(context, &host).await?);
        }
        let stored = host.store.load(&context.cluster)?;
        let file = stored.ok_or_else(|| ClusterError::NotFound(context.cluster.clone()))?;
        let mut sink = Sink::open(self.file)?;
        for (name, text) in own_logs(context, &host) {
            sink.section(&name, &text, self.length, self.problems)?;
        }
        for node in self::nodes(&file, self.node.as_deref())? {
            self::node(context, &host, &node, self.length, self.problems, &mut sink).await?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Becomes an ssh that follows the node's journal.
    async fn follow(&self, context: &Context, host: &SkiffHost) -> Result<Failure, Failure> {
        let target = login(host, &context.cluster, self.node.as_deref()).await?;
        let mut ssh = ssh(context, &target)?;
        ssh.arg(format!("{}@{}", target.user, target.address.ip()));
        ssh.args(["journalctl", "--follow", "--no-hostname", "--unit=kubelet", "--unit=containerd"]);
        ssh.arg(format!("--lines={}", self.length));
        Ok(become_program(&mut ssh))
    }
}

/// The nodes to show: all, or the one that was asked for.
fn nodes(file: &ClusterFile, wanted: Option<&str>) -> Result<Vec<NodeName>, Failure> {
    let cluster = &file.metadata.name;
    let names = file.status.nodes.iter().map(|node| node.name.clone());
    let Some(wanted) = wanted else { return Ok(names.collect()) };
    let found: Vec<NodeName> = names.filter(|name| cluster.calls(name.as_str(), wanted)).collect();
    if found.is_empty() {
        return Err(ClusterError::NoSuchNode { cluster: cluster.clone(), node: wanted.to_owned() }.into());
    }
    Ok(found)
}

/// skiff's own logs of the cluster, e.g. what kubeadm printed.
fn own_logs(context: &Context, host: &SkiffHost) -> Vec<(String, String)> {
    let Ok(entries) = fs::read_dir(host.store.profile_logs_dir(&context.cluster)) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    paths.sort();
    let read = |path: PathBuf| {
        let name = path.file_name()?.to_string_lossy().into_owned();
        Some((name, String::from_utf8_lossy(&fs::read(path).ok()?).into_owned()))
    };
    paths.into_iter().filter_map(read).collect()
}

/// A node's logs: from inside if it runs, from its driver if it does not.
async fn node(
    context: &Context,
    host: &SkiffHost,
    node: &NodeName,
    length: u32,
    problems: bool,
    sink: &mut Sink,
) -> Result<(), Failure> {
    match runner(host, &context.cluster, Some(node.as_str())).await {
        Ok(runner) => {
            for Section { name, command } in sections(length) {
                let title = format!("{node}: {name}");
                match runner.output(command).await {
                    Ok(output) => {
                        sink.section(&title, &(output.stdout_text() + &output.stderr_text()), u32::MAX, problems)?
                    }
                    Err(error) => context.ui.warn(&format!("{title}: {}", Failure::from(error).full_message())),
                }
            }
        }
        Err(error) => {
            context.ui.warn(&format!("{}: showing what the driver has", Failure::from(error).full_message()));
            let folder = tempfile::tempdir().map_err(|error| unwritable("the temporary folder", &error))?;
            for path in host.driver.collect_logs(&context.cluster, node, folder.path()).await? {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let text = fs::read(&path).map_err(|error| unwritable(&name, &error))?;
                sink.section(&name, &String::from_utf8_lossy(&text), length, problems)?;
            }
        }
    }
    Ok(())
}

/// Where the logs go.
enum Sink {
    Stdout,
    File(PathBuf, File),
}

impl Sink {
    fn open(path: Option<PathBuf>) -> Result<Self, Failure> {
        let Some(path) = path else { return Ok(Self::Stdout) };
        // Logs may tell what is nobody else's business.
        let file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&path);
        let file = file.map_err(|error| unwritable(&path.display().to_string(), &error))?;
        Ok(Self::File(path, file))
    }

    /// Writes the end of one log under its name; nothing if there is nothing to show.
    fn section(&mut self, name: &str, text: &str, length: u32, problems: bool) -> Result<(), Failure> {
        let lines: Vec<&str> = text.lines().filter(|line| !problems || is_problem(line)).collect();
        let shown = &lines[lines.len().saturating_sub(usize::try_from(length).unwrap_or(usize::MAX))..];
        if shown.is_empty() {
            return Ok(());
        }
        let text = format!("==> {name} <==\n{}\n\n", shown.join("\n"));
        match self {
            Self::Stdout => print(&text),
            Self::File(path, file) => {
                file.write_all(text.as_bytes()).map_err(|error| unwritable(&path.display().to_string(), &error))
            }
        }
    }
}

fn unwritable(what: &str, error: &io::Error) -> Failure {
    Failure::new("HOST_FILE", ExitCode::HOST_ERROR, format!("cannot use {what}: {error}"), "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_shows_the_end_of_a_log() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("logs.txt");
        let mut sink = Sink::open(Some(path.clone())).unwrap();
        sink.section("kubelet", "one\ntwo\nE1122 error three\n", 2, false).unwrap();
        sink.section("empty", "\n", 0, false).unwrap();
        sink.section("kubelet", "fine\nfailed to pull image\nfine\n", 60, true).unwrap();
        let expected = "==> kubelet <==\ntwo\nE1122 error three\n\n==> kubelet <==\nfailed to pull image\n\n";
        assert_eq!(fs::read_to_string(path).unwrap(), expected);
    }
}
