//! What the Engine's refusals mean: the one place that reads its messages.

use std::{error::Error as StdError, io, net::SocketAddr};

use bollard::errors::Error as EngineError;
use skiff_driver::NodeSpec;

use crate::Error;

/// The HTTP status of a refusal.
pub(crate) fn status(error: &EngineError) -> Option<u16> {
    match error {
        EngineError::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

/// What the Engine said, without bollard's words around it.
fn message(error: &EngineError) -> String {
    match error {
        EngineError::DockerResponseServerError { message, .. } => message.clone(),
        EngineError::DockerStreamError { error } => error.clone(),
        other => other.to_string(),
    }
}

/// What is at the bottom of a failure to talk to the Engine: the layers above it only say that there
/// was one.
pub(crate) fn innermost(error: &EngineError) -> io::Error {
    let mut last: &(dyn StdError + 'static) = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    match last.downcast_ref::<io::Error>() {
        Some(error) => error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error),
        None => io::Error::other(last.to_string()),
    }
}

/// True when what was asked for is not there.
pub(crate) fn is_absent(error: &EngineError) -> bool {
    status(error) == Some(404)
}

/// Leaves out a refusal whose meaning is `nothing to do`.
pub(crate) fn unless(result: Result<(), EngineError>, harmless: &[u16]) -> Result<(), EngineError> {
    result.or_else(|error| match status(&error) {
        Some(status) if harmless.contains(&status) => Ok(()),
        _ => Err(error),
    })
}

/// True when the Engine refuses a network because its addresses are in use.
pub(crate) fn is_overlap(error: &EngineError) -> bool {
    let message = message(error);
    // The second is the bridge driver's: another bridge has the addresses.
    message.contains("Pool overlaps") || message.contains("conflicts with network")
}

/// True when the Engine may not give a container all capabilities.
pub(crate) fn is_privilege(error: &EngineError) -> bool {
    let message = message(error);
    message.contains("operation not permitted") && (message.contains("apply caps") || message.contains("capabilit"))
}

/// True when the kernel gave up freezing a container: runc's words, of several versions.
pub(crate) fn is_half_frozen(error: &EngineError) -> bool {
    message(error).contains("unable to freeze")
}

/// Turns a refusal into an error; `doing` completes the sentence `docker failed while`.
pub(crate) fn engine(doing: impl Into<String>) -> impl FnOnce(EngineError) -> Error {
    move |source| {
        let doing = doing.into();
        match &source {
            EngineError::HyperLegacyError { err } if err.is_connect() => {
                Error::Gone { doing, source: innermost(&source) }
            }
            _ if message(&source).contains("no space left on device") => {
                Error::StorageFull { doing, source: Box::new(source) }
            }
            _ => Error::Engine { doing, source: Box::new(source) },
        }
    }
}

/// Turns a refusal to make a node's container into an error.
pub(crate) fn create(spec: &NodeSpec, source: EngineError) -> Error {
    let text = message(&source);
    if text.contains("Range of CPUs") {
        Error::TooFewCores { source: Box::new(source) }
    } else {
        engine(format!("creating the container {}", spec.name))(source)
    }
}

/// What a refusal to start a container means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum StartFailure {
    /// A published port is in use: which one, where the Engine tells.
    Port(Option<SocketAddr>),
    /// Another container has the node's address.
    Address,
    /// The network was removed.
    Network,
    /// Not all capabilities can be given.
    Privilege,
    /// The Engine does not know what an earlier start has left.
    Leftover,
    /// The container is frozen.
    Paused,
    /// Something else.
    Other,
}

/// Words about a task, a container or a folder of a container that should not be there: containerd's, the
/// Engine's and runc's, of several versions.
const LEFTOVER: [&str; 5] =
    [": already exists", "id already in use", "with id exists", "with given id already exists", ": file exists"];

/// Reads a refusal to start a container.
pub(crate) fn start(error: &EngineError) -> StartFailure {
    let text = message(error);
    let lower = text.to_ascii_lowercase();
    let port = ["port is already allocated", "ports are not available", "failed to bind host port", "proxy: listen "];
    if port.iter().any(|sign| lower.contains(sign)) {
        StartFailure::Port(socket_address(&text))
    } else if lower.contains("address already in use") {
        StartFailure::Address
    } else if lower.contains("network") && lower.contains("not found") {
        StartFailure::Network
    } else if is_privilege(error) {
        StartFailure::Privilege
    } else if LEFTOVER.iter().any(|sign| lower.contains(sign)) {
        StartFailure::Leftover
    } else if lower.contains("cannot start a paused container") {
        StartFailure::Paused
    } else {
        StartFailure::Other
    }
}

/// The first `address:port` in a message.
fn socket_address(text: &str) -> Option<SocketAddr> {
    text.split_whitespace().find_map(|word| {
        // Newer Engines write `127.0.0.1:80:172.18.0.2:80/tcp`; the host's part comes first.
        let word = word.trim_end_matches([':', ',', '.', ')']).split('/').next()?;
        word.parse().ok().or_else(|| {
            let mut parts = word.splitn(3, ':');
            format!("{}:{}", parts.next()?, parts.next()?).parse().ok()
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(message: &str) -> EngineError {
        EngineError::DockerResponseServerError { status_code: 500, message: message.to_owned() }
    }

    #[test]
    fn a_taken_port_is_named() {
        let told = [
            (
                "driver failed programming external connectivity on endpoint dev (1f2e): Bind for 127.0.0.1:8443 failed: port is already allocated",
                Some("127.0.0.1:8443"),
            ),
            (
                "driver failed programming external connectivity on endpoint dev (1f2e): Error starting userland proxy: listen tcp4 127.0.0.1:32775: bind: address already in use",
                Some("127.0.0.1:32775"),
            ),
            (
                "failed to set up container networking: driver failed programming external connectivity on endpoint dev (1f2e): failed to bind host port for 127.0.0.1:80:172.18.0.2:80/tcp: address already in use",
                Some("127.0.0.1:80"),
            ),
            (
                "Ports are not available: exposing port TCP 0.0.0.0:80 -> 127.0.0.1:0: listen tcp 0.0.0.0:80: bind: permission denied",
                Some("0.0.0.0:80"),
            ),
            ("Error starting userland proxy: listen tcp6 [::1]:80: bind: address already in use", Some("[::1]:80")),
            ("Ports are not available", None),
        ];
        for (message, address) in told {
            let address = address.map(|address| address.parse().unwrap());
            assert_eq!(start(&refusal(message)), StartFailure::Port(address), "{message}");
        }
    }

    #[test]
    fn other_refusals_to_start_are_told_apart() {
        let told = [
            ("Address already in use", StartFailure::Address),
            ("network 1f2e not found", StartFailure::Network),
            (
                "task 60f73f0976333b8b0bfbc1ead7d4d8cedbeb821ef96c3261a7a2f8517e8a9bb2: already exists",
                StartFailure::Leftover,
            ),
            ("id already in use", StartFailure::Leftover),
            (
                "failed to create task for container: failed to start shim: mkdir /run/containerd/io.containerd.runtime.v2.task/moby/60f7: file exists",
                StartFailure::Leftover,
            ),
            ("OCI runtime create failed: container with id exists: 60f7: unknown", StartFailure::Leftover),
            ("cannot start a paused container, try unpause instead", StartFailure::Paused),
            (
                "failed to create shim: OCI runtime create failed: container_linux.go:380: starting container process caused: apply caps: operation not permitted: unknown",
                StartFailure::Privilege,
            ),
            (
                "failed to create task for container: runc create failed: unable to start container process: unable to apply caps: operation not permitted: unknown",
                StartFailure::Privilege,
            ),
            ("exec: \"/usr/lib/skiff/entrypoint\": stat: no such file or directory", StartFailure::Other),
        ];
        for (message, meaning) in told {
            assert_eq!(start(&refusal(message)), meaning, "{message}");
        }
    }

    #[test]
    fn a_container_that_does_not_freeze_is_recognised() {
        assert!(is_half_frozen(&refusal(
            "Cannot pause container dev: OCI runtime pause failed: unable to freeze: unknown"
        )));
        assert!(!is_half_frozen(&refusal("Container dev is already paused")));
    }

    #[test]
    fn a_full_disk_is_a_matter_of_storage() {
        let error = engine("importing")(refusal("write /rootfs/x: no space left on device"));
        assert!(matches!(error, Error::StorageFull { .. }), "{error:?}");
        let stream = EngineError::DockerStreamError { error: "write: no space left on device".to_owned() };
        assert!(matches!(engine("importing")(stream), Error::StorageFull { .. }));
        assert!(matches!(engine("importing")(refusal("boom")), Error::Engine { .. }));
    }
}
