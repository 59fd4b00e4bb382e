//! Where Docker is, and a first contact with it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use bollard::{API_DEFAULT_VERSION, Docker};
use tokio::net::UnixStream;

use crate::Error;

/// Where Docker listens unless told otherwise.
pub(crate) const DEFAULT_HOST: &str = "unix:///var/run/docker.sock";

/// Seconds that an ordinary request may take. Stopping a container is the slowest.
const TIMEOUT: u64 = 120;

/// Where an installed Docker has its daemon or its client.
const PROGRAMS: [&str; 7] = [
    "/usr/bin/dockerd",
    "/usr/sbin/dockerd",
    "/usr/local/bin/dockerd",
    "/snap/bin/docker",
    "/usr/bin/docker",
    "/usr/local/bin/docker",
    "/Applications/Docker.app",
];

/// Names of processes that make an Engine's socket.
const ENGINES: [&str; 3] = ["dockerd", "systemd", "podman"];

/// A client and what the first contact told.
#[derive(Debug)]
pub(crate) struct Contact {
    /// The client.
    pub(crate) docker: Docker,
    /// The Engine was seen to run on this host, so files and routes of this host are the Engine's.
    pub(crate) local: bool,
    /// The Engine's process, where it can be told.
    pub(crate) engine_pid: Option<i32>,
}

/// Connects to a Docker named as in `DOCKER_HOST`. A socket is tried at once, since only a raw
/// attempt tells the reasons for a failure apart.
pub(crate) async fn connect(host: &str) -> Result<Contact, Error> {
    if let Some(path) = host.strip_prefix("unix://") {
        let socket = Path::new(path);
        let engine_pid = engine_pid(socket).await.map_err(|error| refused(socket, error))?;
        let docker = Docker::connect_with_unix(host, TIMEOUT, API_DEFAULT_VERSION)
            .map_err(|error| Error::NotRunning { host: host.to_owned(), source: Box::new(error) })?;
        Ok(Contact { docker, local: engine_pid.is_some(), engine_pid })
    } else if host.starts_with("tcp://") || host.starts_with("http://") {
        let docker = Docker::connect_with_http(host, TIMEOUT, API_DEFAULT_VERSION)
            .map_err(|_| Error::UnsupportedHost { host: host.to_owned() })?;
        Ok(Contact { docker, local: false, engine_pid: None })
    } else {
        Err(Error::UnsupportedHost { host: host.to_owned() })
    }
}

/// Connects to the socket and tells which process made it: the Engine, or the service manager that
/// starts the Engine and hands it the socket. `None` where that process is out of sight, or is
/// something in between, such as a tunnel.
async fn engine_pid(socket: &Path) -> io::Result<Option<i32>> {
    let peer = UnixStream::connect(socket).await?.peer_cred()?;
    let Some(pid) = peer.pid().filter(|pid| *pid > 0) else { return Ok(None) };
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Ok(ENGINES.contains(&name.trim_end()).then_some(pid))
}

/// Why the socket did not take the connection.
fn refused(socket: &Path, source: io::Error) -> Error {
    let path: PathBuf = socket.to_owned();
    match source.kind() {
        io::ErrorKind::PermissionDenied => Error::PermissionDenied { socket: path, source },
        io::ErrorKind::NotFound if !PROGRAMS.iter().any(|program| Path::new(program).exists()) => {
            Error::NotInstalled { socket: path }
        }
        _ => Error::NotRunning { host: path.display().to_string(), source: Box::new(source) },
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use skiff_report::Diagnose;

    use super::*;

    #[tokio::test]
    async fn an_unknown_kind_of_host_is_refused() {
        for host in ["ssh://me@host", "npipe:////./pipe/docker", "/var/run/docker.sock", "docker"] {
            assert!(matches!(connect(host).await, Err(Error::UnsupportedHost { .. })), "{host}");
        }
    }

    #[tokio::test]
    async fn a_socket_nobody_listens_on_means_not_running() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("docker.sock");
        drop(UnixListener::bind(&socket).unwrap());
        let error = connect(&format!("unix://{}", socket.display())).await.unwrap_err();
        assert_eq!(error.reason().id, "PROVIDER_DOCKER_NOT_RUNNING");
    }

    #[test]
    fn causes_of_a_refusal_are_told_apart() {
        let refuse = |kind| refused(Path::new("/s"), io::Error::from(kind)).reason().id;
        assert_eq!(refuse(io::ErrorKind::PermissionDenied), "PROVIDER_DOCKER_NEWGRP");
        assert_eq!(refuse(io::ErrorKind::ConnectionRefused), "PROVIDER_DOCKER_NOT_RUNNING");
    }
}
