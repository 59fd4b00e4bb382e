//! The role `docker-info`: just enough of a Docker daemon for the kubelet to stop looking for one.
//!
//! Kubelets up to 1.23 carry a cadvisor that asks `/var/run/docker.sock` for the daemon's root folder at
//! every start and gives up only after five tries, one second apart. One good answer ends that. The
//! answer names no storage driver and version zero, so that cadvisor then finds the daemon too old to
//! watch and leaves the containers to containerd. Plain threads and no runtime: this starts in no time.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::PathBuf,
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

use crate::Error;

/// A client that is slower than this is dropped.
const CLIENT_TIME: Duration = Duration::from_secs(2);
/// No request head is longer.
const MAX_HEAD: u64 = 16 * 1024;
/// The version of the Docker API that the answers claim to be of.
const API_VERSION: &str = "1.41";

/// Answer the few questions that old kubelets ask a Docker daemon.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct DockerInfoArgs {
    /// The socket to listen at, unless systemd hands one over.
    #[arg(long, value_name = "PATH", default_value = "/var/run/docker.sock")]
    socket: PathBuf,
    /// End after so many seconds without a request; for use with socket activation. 0 means never.
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    idle_exit: u64,
}

/// Serves until idle for too long, or for ever.
pub(crate) fn run(args: &DockerInfoArgs) -> Result<(), Error> {
    let listener = listener(args)?;
    let (served, activity) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            // One client at a time is plenty; what goes wrong with one is its own trouble.
            let _ = stream.and_then(|stream| answer(&stream));
            if served.send(()).is_err() {
                return;
            }
        }
    });
    let patience = match args.idle_exit {
        0 => Duration::MAX,
        seconds => Duration::from_secs(seconds),
    };
    loop {
        match activity.recv_timeout(patience) {
            Ok(()) => {}
            Err(RecvTimeoutError::Timeout) => return Ok(()),
            Err(RecvTimeoutError::Disconnected) => return Err(Error::TaskEnded),
        }
    }
}

fn listener(args: &DockerInfoArgs) -> Result<UnixListener, Error> {
    let failed = |source| Error::ListenUnix { path: args.socket.clone(), source };
    if let Some(listener) = listenfd::ListenFd::from_env().take_unix_listener(0).map_err(failed)? {
        return Ok(listener);
    }
    // A socket file that nobody answers at is what a killed predecessor left.
    if UnixStream::connect(&args.socket).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
        std::fs::remove_file(&args.socket).map_err(failed)?;
    }
    UnixListener::bind(&args.socket).map_err(failed)
}

fn answer(stream: &UnixStream) -> io::Result<()> {
    stream.set_read_timeout(Some(CLIENT_TIME))?;
    stream.set_write_timeout(Some(CLIENT_TIME))?;
    let mut head = BufReader::new(stream.take(MAX_HEAD));
    let mut request = String::new();
    head.read_line(&mut request)?;
    // The rest of the head has to be read, or closing the connection would cut off the answer.
    let mut line = String::new();
    while head.read_line(&mut line)? > 0 && !line.trim_end().is_empty() {
        line.clear();
    }
    let mut words = request.split_whitespace();
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut stream = stream;
    stream.write_all(response(method, target).as_bytes())
}

/// The whole response to a request, closing the connection after it.
fn response(method: &str, target: &str) -> String {
    let path = target.split('?').next().unwrap_or_default();
    let (status, kind, body) = match (method, unversioned(path)) {
        ("GET" | "HEAD", "/_ping") => ("200 OK", "text/plain; charset=utf-8", "OK".to_owned()),
        ("GET", "/info") => ("200 OK", "application/json", info()),
        ("GET", "/version") => ("200 OK", "application/json", version()),
        ("GET", "/containers/json" | "/images/json") => ("200 OK", "application/json", "[]".to_owned()),
        _ => ("404 Not Found", "application/json", r#"{"message":"page not found"}"#.to_owned()),
    };
    let length = body.len();
    let body = if method == "HEAD" { String::new() } else { body };
    format!(
        "HTTP/1.1 {status}\r\nApi-Version: {API_VERSION}\r\nContent-Type: {kind}\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

/// The path without a leading `/v1.41`.
fn unversioned(path: &str) -> &str {
    let versioned = path.strip_prefix("/v").and_then(|rest| rest.split_once('/').map(|(version, _)| version));
    match versioned {
        Some(version) if version.chars().all(|c| c.is_ascii_digit() || c == '.') => &path[version.len() + 2..],
        _ => path,
    }
}

fn info() -> String {
    serde_json::json!({
        "ID": "skiff-agent",
        "Containers": 0,
        "Images": 0,
        "Driver": "",
        "DriverStatus": [],
        "DockerRootDir": "/var/lib/docker",
        "OSType": "linux",
        "Architecture": std::env::consts::ARCH,
        "ServerVersion": "0.0.0",
    })
    .to_string()
}

fn version() -> String {
    serde_json::json!({
        "Version": "0.0.0",
        "ApiVersion": API_VERSION,
        "MinAPIVersion": "1.12",
        "Os": "linux",
        "Arch": std::env::consts::ARCH,
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(response: &str) -> &str {
        response.split_once("\r\n\r\n").unwrap().1
    }

    #[test]
    fn info_names_a_root_folder_but_no_storage_driver() {
        for path in ["/info", "/v1.40/info", "/v1.24/info?x=y"] {
            let response = response("GET", path);
            assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
            let info: serde_json::Value = serde_json::from_str(body(&response)).unwrap();
            assert_eq!(info["DockerRootDir"], "/var/lib/docker");
            assert_eq!(info["Driver"], "");
        }
    }

    #[test]
    fn other_paths_are_not_found() {
        for path in ["/", "/v1.40", "/vx/info", "/containers/abc/json", ""] {
            assert!(response("GET", path).starts_with("HTTP/1.1 404 "), "{path}");
        }
        assert!(response("POST", "/info").starts_with("HTTP/1.1 404 "));
    }

    #[test]
    fn a_head_request_gets_no_body() {
        let response = response("HEAD", "/_ping");
        assert!(response.contains("Content-Length: 2\r\n") && body(&response).is_empty(), "{response}");
    }

    #[test]
    fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let args = DockerInfoArgs { socket: folder.path().join("docker.sock"), idle_exit: 0 };
        drop(UnixListener::bind(&args.socket).unwrap());
        let live = listener(&args).unwrap();
        assert!(listener(&args).is_err());
        drop(live);
    }

    #[test]
    fn a_request_over_the_socket_is_answered() {
        let (mut client, server) = UnixStream::pair().unwrap();
        client.write_all(b"GET /v1.40/_ping HTTP/1.1\r\nHost: docker\r\n\r\n").unwrap();
        answer(&server).unwrap();
        drop(server);
        let mut text = String::new();
        client.read_to_string(&mut text).unwrap();
        assert!(text.ends_with("\r\n\r\nOK"), "{text}");
    }
}
