//! Why the agent gives up.

use std::{net::SocketAddr, path::PathBuf};

/// Why a role cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The asynchronous runtime did not start.
    #[error("cannot start the runtime")]
    Runtime(#[source] std::io::Error),
    /// A handler for a termination signal could not be set up.
    #[error("cannot listen for signals")]
    Signal(#[source] std::io::Error),
    /// An address could not be listened at.
    #[error("cannot listen at {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The cause.
        source: std::io::Error,
    },
    /// An address could not be spoken to.
    #[error("cannot speak to {address}")]
    Relay {
        /// The address.
        address: SocketAddr,
        /// The cause.
        source: std::io::Error,
    },
    /// A Unix socket could not be listened at.
    #[error("cannot listen at {}", path.display())]
    ListenUnix {
        /// The path of the socket.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A file could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The path.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The output could not be written.
    #[error("cannot write the output")]
    Output(#[source] std::io::Error),
    /// This is no pod and no kubeconfig file was named.
    #[error("cannot find the API server: not in a pod and no --kubeconfig")]
    NotInCluster(#[source] kube::config::InClusterError),
    /// The named kubeconfig file is of no use.
    #[error("cannot use the kubeconfig file {}", path.display())]
    Kubeconfig {
        /// The path.
        path: PathBuf,
        /// The cause.
        source: kube::config::KubeconfigError,
    },
    /// The API client could not be made.
    #[error("cannot make a client for the API server")]
    Client(#[source] kube::Error),
    /// The storage folder cannot be used.
    #[error("cannot use the storage folder {}", path.display())]
    StorageRoot {
        /// The path.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The kernel's network settings cannot be reached.
    #[error("cannot talk to the kernel about the network")]
    Netlink(#[source] std::io::Error),
    /// No interface of the node has its address.
    #[error("cannot find the network interface with the address {address}")]
    Interface {
        /// The address.
        address: std::net::Ipv4Addr,
        /// The cause, if it is not just that there is none.
        source: Option<rtnetlink::Error>,
    },
    /// A certificate of the role's own could not be made.
    #[error("cannot make a certificate")]
    Certificate(#[source] rcgen::Error),
    /// There is no certificate to begin with.
    #[error("cannot set up TLS")]
    DefaultCertificate(#[source] crate::ingress::TlsFault),
    /// A task that must run for ever has ended.
    #[error("a task ended unexpectedly")]
    TaskEnded,
}
