//! Asks the kubelets of all nodes, over TLS with the cluster's authority and our own credentials.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use futures_util::future::join_all;
use http::Uri;
use kube::{Client, Config};
use serde::Deserialize;

use super::summary::Summary;

/// The page that is read.
const PAGE: &str = "/stats/summary?only_cpu_and_memory=true";
/// All nodes; the state of a moment ago is good enough.
const NODES: &str = "/api/v1/nodes?resourceVersion=0";
/// A kubelet that takes longer than this to answer is left out.
const PATIENCE: Duration = Duration::from_secs(5);
/// The usual port of kubelets.
const KUBELET_PORT: u16 = 10250;

/// Why a kubelet could not be asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum ScrapeError {
    /// There is no way to make a client for it.
    #[error("cannot make a client for the kubelet")]
    Client(#[source] kube::Error),
    /// It did not answer, or not with success.
    #[error("cannot read the kubelet's summary")]
    Request(#[source] kube::Error),
    /// It takes too long.
    #[error("no answer from the kubelet within {} s", PATIENCE.as_secs())]
    Slow,
}

/// The kubelets of a cluster.
pub(super) struct Kubelets {
    api: Client,
    /// The way to the API server; that to a kubelet differs in the address alone.
    config: Config,
    clients: Mutex<HashMap<SocketAddr, Client>>,
}

#[derive(Debug, Default, Deserialize)]
struct List<T> {
    items: Vec<T>,
}

#[derive(Debug, Default, Deserialize)]
struct Node {
    metadata: Metadata,
    #[serde(default)]
    status: Status,
}

#[derive(Debug, Default, Deserialize)]
struct Metadata {
    name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    addresses: Vec<Address>,
    conditions: Vec<Condition>,
    daemon_endpoints: Endpoints,
}

#[derive(Debug, Default, Deserialize)]
struct Address {
    #[serde(rename = "type")]
    kind: String,
    address: String,
}

#[derive(Debug, Default, Deserialize)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Endpoints {
    kubelet_endpoint: Port,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Port {
    #[serde(rename = "Port")]
    port: u16,
}

impl Node {
    /// Where its kubelet listens, unless nobody has heard of it for a while.
    fn kubelet(&self) -> Option<SocketAddr> {
        let status = &self.status;
        if status.conditions.iter().any(|condition| condition.kind == "Ready" && condition.status == "Unknown") {
            return None;
        }
        let of_kind = |kind: &str| {
            let mut found = status.addresses.iter().filter(|address| address.kind == kind);
            found.find_map(|address| address.address.parse::<IpAddr>().ok())
        };
        let port = Some(status.daemon_endpoints.kubelet_endpoint.port).filter(|port| *port != 0);
        Some(SocketAddr::new(of_kind("InternalIP").or_else(|| of_kind("ExternalIP"))?, port.unwrap_or(KUBELET_PORT)))
    }
}

impl Kubelets {
    /// Kubelets that are found and asked with the credentials of `config`.
    pub(super) fn new(api: Client, mut config: Config) -> Self {
        config.connect_timeout = Some(PATIENCE / 2);
        // The next question comes soon enough; a repeated one would only come late.
        config.default_retry = false;
        // What proxies and names of the API server's certificate there may be, kubelets have none of them.
        config.proxy_url = None;
        config.tls_server_name = None;
        Self { api, config, clients: Mutex::default() }
    }

    /// Asks all kubelets at the same time. Each node has its own result; an error is the API server's.
    pub(super) async fn ask(&self) -> Result<Vec<(String, Result<Summary, ScrapeError>)>, kube::Error> {
        let request = http::Request::get(NODES).body(Vec::new()).map_err(kube::Error::HttpError)?;
        let nodes: List<Node> = self.api.request(request).await?;
        let kubelets: Vec<(String, SocketAddr)> =
            nodes.items.into_iter().filter_map(|node| Some((node.metadata.name.clone(), node.kubelet()?))).collect();
        self.clients().retain(|known, _| kubelets.iter().any(|(_, address)| address == known));
        let all = kubelets.into_iter().map(async |(name, address)| (name, self.ask_one(address).await));
        Ok(join_all(all).await)
    }

    async fn ask_one(&self, address: SocketAddr) -> Result<Summary, ScrapeError> {
        let client = self.client(address).map_err(ScrapeError::Client)?;
        let request = http::Request::get(PAGE).body(Vec::new()).map_err(kube::Error::HttpError);
        let exchange = client.request(request.map_err(ScrapeError::Request)?);
        let answer = tokio::time::timeout(PATIENCE, exchange).await.map_err(|_| ScrapeError::Slow)?;
        answer.map_err(ScrapeError::Request)
    }

    fn client(&self, address: SocketAddr) -> Result<Client, kube::Error> {
        if let Some(client) = self.clients().get(&address) {
            return Ok(client.clone());
        }
        let url = Uri::builder().scheme("https").authority(address.to_string()).path_and_query("/").build();
        let mut config = self.config.clone();
        config.cluster_url = url.map_err(kube::Error::HttpError)?;
        let client = Client::try_from(config)?;
        self.clients().insert(address, client.clone());
        Ok(client)
    }

    fn clients(&self) -> std::sync::MutexGuard<'_, HashMap<SocketAddr, Client>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn kubelet(status: Value) -> Option<String> {
        let node: Node = serde_json::from_value(json!({"metadata": {"name": "a"}, "status": status})).unwrap();
        node.kubelet().map(|address| address.to_string())
    }

    #[test]
    fn a_kubelet_is_where_its_node_says() {
        let addresses = json!([{"type": "Hostname", "address": "a"}, {"type": "ExternalIP", "address": "203.0.113.1"},
                   {"type": "InternalIP", "address": "192.0.2.1"}]);
        assert_eq!(kubelet(json!({"addresses": addresses})).unwrap(), "192.0.2.1:10250");
        let endpoints = json!({"kubeletEndpoint": {"Port": 10999}});
        let told = json!({"addresses": addresses, "daemonEndpoints": endpoints});
        assert_eq!(kubelet(told).unwrap(), "192.0.2.1:10999");
        let six = json!([{"type": "InternalIP", "address": "fd00::1"}]);
        assert_eq!(kubelet(json!({"addresses": six})).unwrap(), "[fd00::1]:10250");
    }

    #[test]
    fn a_node_that_is_lost_or_has_no_address_is_not_asked() {
        let addresses = json!([{"type": "InternalIP", "address": "192.0.2.1"}]);
        let ready = |status: &str| {
            kubelet(json!({"addresses": addresses, "conditions": [{"type": "Ready", "status": status}]}))
        };
        assert!(ready("True").is_some() && ready("False").is_some());
        assert_eq!(ready("Unknown"), None);
        assert_eq!(kubelet(json!({})), None);
    }
}
