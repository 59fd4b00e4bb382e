//! What can keep a service from being reached.

use std::{io, net::IpAddr};

use skiff_config::ClusterName;
use skiff_report::{Diagnose, ExitCode, Reason};
use thiserror::Error;

/// A service that cannot be reached, or a tunnel that cannot be.
#[derive(Debug, Error)]
pub enum ServiceError {
    /// No service of that name.
    #[error("there is no service `{name}` in namespace `{namespace}`")]
    NotFound {
        /// The cluster.
        cluster: ClusterName,
        /// The namespace.
        namespace: String,
        /// The name.
        name: String,
        /// Names in that namespace that look like it.
        nearest: Vec<String>,
        /// Other namespaces that have a service of that name.
        elsewhere: Vec<String>,
    },
    /// A namespace without services.
    #[error("namespace `{namespace}` has no services")]
    NoServices {
        /// The namespace.
        namespace: String,
    },
    /// Nobody would answer.
    #[error("service `{namespace}/{name}` is not available: {why}")]
    Unreachable {
        /// The cluster.
        cluster: ClusterName,
        /// The namespace.
        namespace: String,
        /// The name.
        name: String,
        /// What is missing.
        why: String,
    },
    /// No port of this host can be listened at.
    #[error("cannot listen at {address}")]
    Listen {
        /// The address.
        address: IpAddr,
        /// The system's answer.
        source: io::Error,
    },
    /// Another tunnel of the cluster runs.
    #[error("a tunnel of cluster `{cluster}` runs already{}", pid.map(|pid| format!(" (process {pid})")).unwrap_or_default())]
    TunnelRuns {
        /// The cluster.
        cluster: ClusterName,
        /// Its process, where that is known.
        pid: Option<u32>,
    },
}

impl Diagnose for ServiceError {
    fn reason(&self) -> Reason {
        match self {
            Self::NotFound { cluster, name, nearest, elsewhere, .. } => {
                Reason::new("SVC_NOT_FOUND", ExitCode::SERVICE_NOT_FOUND, not_found(cluster, name, nearest, elsewhere))
            }
            Self::NoServices { .. } => Reason::new(
                "SVC_NOT_FOUND",
                ExitCode::SERVICE_NOT_FOUND,
                "`skiff service list` shows the services of all namespaces; -n names one.",
            ),
            Self::Unreachable { cluster, namespace, name, .. } => Reason::new(
                "SVC_UNREACHABLE",
                ExitCode::SERVICE_NOT_FOUND,
                format!(
                    "`skiff -p {cluster} kubectl -- -n {namespace} describe service {name}` shows whom it looks for; \
                     --wait gives it more time."
                ),
            ),
            Self::Listen { source, .. } if source.kind() == io::ErrorKind::AddrNotAvailable => Reason::new(
                "IF_BIND_ADDRESS",
                ExitCode::PROGRAM_USAGE,
                "--bind-address must be an address of this host, or * for all of them.",
            ),
            Self::Listen { .. } => Reason::new("IF_BIND_ADDRESS", ExitCode::NETWORK_ERROR, ""),
            Self::TunnelRuns { .. } => Reason::new(
                "TUNNEL_ALREADY_RUNNING",
                ExitCode::SERVICE_CONFLICT,
                "It serves all services of the cluster; end it first if you want another.",
            ),
        }
    }
}

fn not_found(cluster: &ClusterName, name: &str, nearest: &[String], elsewhere: &[String]) -> String {
    let mut advice = Vec::new();
    if !nearest.is_empty() {
        advice.push(format!("Did you mean {}?", nearest.join(", ")));
    }
    if let Some(namespace) = elsewhere.first() {
        advice.push(format!("There is one in another namespace: `skiff service {name} -n {namespace} -p {cluster}`."));
    }
    advice.push(format!("`skiff service list -p {cluster}` shows all services."));
    advice.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_names_what_is_near_and_where_else_it_is() {
        let error = ServiceError::NotFound {
            cluster: "dev".parse().unwrap(),
            namespace: "default".to_owned(),
            name: "wep".to_owned(),
            nearest: vec!["web".to_owned()],
            elsewhere: vec!["shop".to_owned()],
        };
        let reason = error.reason();
        assert_eq!((reason.id, reason.exit.0), ("SVC_NOT_FOUND", 115));
        assert_eq!(
            reason.advice,
            "Did you mean web? There is one in another namespace: `skiff service wep -n shop -p dev`. \
             `skiff service list -p dev` shows all services."
        );
    }

    #[test]
    fn a_second_tunnel_has_minikubes_code() {
        let error = ServiceError::TunnelRuns { cluster: "dev".parse().unwrap(), pid: Some(7) };
        assert_eq!((error.reason().id, error.reason().exit.0), ("TUNNEL_ALREADY_RUNNING", 111));
        assert_eq!(error.to_string(), "a tunnel of cluster `dev` runs already (process 7)");
    }
}
