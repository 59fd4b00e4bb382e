//! The docker command line: the naive way uses it, and it shows what skiff has made.

use std::{net::IpAddr, path::Path, process::Command};

use serde_json::Value;

/// Runs a command to its end and gives its output; a failure carries what it said.
pub(crate) fn output(command: &mut Command) -> Result<String, String> {
    let line = format!("{command:?}");
    let output = command.output().map_err(|error| format!("{line}: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() {
        Ok(text)
    } else {
        let problem = String::from_utf8_lossy(&output.stderr);
        Err(format!("{line}: {}\n{}", output.status, [&text, problem.trim()].join("\n").trim()))
    }
}

/// Runs the docker client.
pub(crate) fn docker<A: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = A>) -> Result<String, String> {
    output(Command::new("docker").args(arguments))
}

/// Argument of `-v` for a folder or file that the container may only read.
pub(crate) fn read_only(path: &Path, target: &str) -> String {
    format!("{}:{target}:ro", path.display())
}

/// The first processes of a cluster's running nodes, as this host counts.
pub(crate) fn first_processes(cluster: &str) -> Result<Vec<u32>, String> {
    let ids = docker(["ps", "-q", "--no-trunc", "--filter", &format!("label=dev.skiff.cluster={cluster}")])?;
    let format = ["inspect", "--format", "{{.State.Pid}}"];
    let told = docker(format.into_iter().chain(ids.split_whitespace()))?;
    told.split_whitespace().map(|pid| pid.parse().map_err(|_| format!("docker gave the process {pid:?}"))).collect()
}

/// A running node of skiff, as docker sees it.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// Container id.
    pub(crate) id: String,
    /// Id of the node image.
    pub(crate) image: String,
    /// Its PID 1, as this host counts.
    pub(crate) pid: u32,
    /// Whether the host allows `--privileged`.
    pub(crate) privileged: bool,
    /// Kubernetes version in the node image.
    pub(crate) kubernetes: String,
    /// Bytes of the node image.
    pub(crate) image_size: u64,
}

impl Node {
    /// The one node of a cluster, found by its label.
    pub(crate) fn of(cluster: &str) -> Result<Self, String> {
        let id = docker(["ps", "-q", "--no-trunc", "--filter", &format!("label=dev.skiff.cluster={cluster}")])?;
        let container = inspect(&id)?;
        let image = container["Image"].as_str().unwrap_or_default().to_owned();
        let inspected = inspect(&image)?;
        let label = |name: &str| inspected["Config"]["Labels"][name].as_str().map(str::to_owned);
        Ok(Self {
            pid: container["State"]["Pid"].as_u64().and_then(|pid| pid.try_into().ok()).unwrap_or_default(),
            privileged: container["HostConfig"]["Privileged"].as_bool().unwrap_or_default(),
            kubernetes: label("dev.skiff.node-image.kubernetes")
                .ok_or_else(|| format!("image {image} has no label dev.skiff.node-image.kubernetes"))?,
            image_size: inspected["Size"].as_u64().unwrap_or_default(),
            image,
            id,
        })
    }

    /// Its address in the cluster's network.
    pub(crate) fn address(&self) -> Result<IpAddr, String> {
        let networks = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}";
        let told = docker(["inspect", "--format", networks, &self.id])?;
        let mut addresses = told.split_whitespace().filter_map(|address| address.parse().ok());
        addresses.next().ok_or_else(|| format!("the node has no address: {told:?}"))
    }

    /// Runs a shell script in the node.
    pub(crate) fn shell(&self, script: &str) -> Result<String, String> {
        docker(["exec", &self.id, "sh", "-euc", script])
    }
}

fn inspect(what: &str) -> Result<Value, String> {
    let text = docker(["inspect", what])?;
    let mut found: Vec<Value> =
        serde_json::from_str(&text).map_err(|error| format!("docker inspect {what}: {error}"))?;
    found.pop().ok_or_else(|| format!("docker inspect {what} found nothing"))
}
