//! Nodes: their pod addresses and what `status` tells about them.

use std::time::Duration;

use ipnet::IpNet;
use k8s_openapi::api::{
    core::v1::{Node, NodeCondition},
    storage::v1::CSINode,
};
use kube::core::{
    Request,
    params::{Patch, PatchParams},
};
use serde_json::json;

use crate::{
    Cause, Client, KubeError, Trouble,
    deadline::{Deadline, Rests},
    follow::{Collection, Objects},
    trouble::Again,
};

/// Where nodes are.
pub(crate) const NODES: &str = "/api/v1/nodes";
/// Where kubelets write down which storage drivers their nodes have.
const CSI_NODES: &str = "/apis/storage.k8s.io/v1/csinodes";
/// How long a kubelet may take to write that down; it does so within two seconds.
const CSI_PATIENCE: Duration = Duration::from_secs(5);
/// A server that takes longer over one request is asked anew.
const ONE_REQUEST: Duration = Duration::from_secs(5);

/// A node as the API server knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeInfo {
    /// Its name.
    pub name: String,
    /// Whether its kubelet says that it can run pods.
    pub ready: bool,
    /// Its internal address.
    pub address: Option<String>,
    /// Its kubelet's version, e.g. `v1.20.2`.
    pub version: String,
    /// The addresses of its pods.
    pub pod_cidr: Option<String>,
    /// What its kubelet says while it is not ready.
    pub trouble: Option<String>,
}

impl Client {
    /// The nodes of the cluster.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn nodes(&self) -> Result<Vec<NodeInfo>, KubeError> {
        let listed = Deadline::after(ONE_REQUEST).limit(ONE_REQUEST, self.list(&Collection::all(NODES))).await;
        let nodes: Vec<Node> = listed.map_err(|trouble| self.unavailable(trouble))?;
        Ok(nodes.iter().map(info).collect())
    }

    /// Gives a node its pod addresses, of one family or of both, as soon as it is registered. Nothing happens if it has them.
    ///
    /// A kubelet reports once more when it gets them, and then (before 1.26) every ten seconds. Until its
    /// CSINode is there it reports that it is not ready, so that is waited for, but not for ever.
    ///
    /// # Errors
    /// When the node has others, or is not registered in time.
    pub async fn assign_pod_cidr(&self, node: &str, cidrs: &[IpNet], patience: Duration) -> Result<(), KubeError> {
        let deadline = Deadline::after(patience);
        let wanted: Vec<String> = cidrs.iter().map(IpNet::to_string).collect();
        let mut rests = Rests::new();
        loop {
            let found = self.follow(Collection::named(NODES, node), &deadline, |nodes| nodes.get(node).map(pod_cidrs));
            let has = found.await.map_err(|unmet| {
                let absent = || Cause::Absent { what: format!("node {node}") };
                let cause = unmet.trouble.map_or_else(absent, Cause::Api);
                KubeError::not_in_time(format!("registration of node {node}"), patience, Some(cause))
            })?;
            match has {
                has if has == wanted => return Ok(()),
                has if has.is_empty() => self.csi_node(node).await,
                has => {
                    let (has, wanted) = (has.join(","), wanted.join(","));
                    return Err(KubeError::PodCidrTaken { node: node.to_owned(), has, wanted });
                }
            }
            let trouble = match deadline.limit(ONE_REQUEST, self.set_pod_cidr(node, &wanted)).await {
                Ok(()) => return Ok(()),
                Err(trouble) => trouble,
            };
            // 422: somebody else was quicker, and set addresses cannot be changed. The next look tells.
            let hopeless = trouble.again() == Again::No && trouble.code() != Some(422);
            if hopeless || deadline.is_over() {
                return Err(KubeError::Refused { object: format!("Node {node}"), source: trouble });
            }
            deadline.rest(rests.next()).await;
        }
    }

    /// Waits for a node's CSINode; one that does not come costs the node its early report, and no more.
    async fn csi_node(&self, node: &str) {
        let there = |nodes: &Objects<CSINode>| nodes.contains_key(node).then_some(());
        let _ = self.follow(Collection::named(CSI_NODES, node), &Deadline::after(CSI_PATIENCE), there).await;
    }

    async fn set_pod_cidr(&self, node: &str, cidrs: &[String]) -> Result<(), Trouble> {
        let patch = Patch::Merge(json!({ "spec": { "podCIDR": cidrs.first(), "podCIDRs": cidrs } }));
        let request = Request::new(NODES).patch(node, &PatchParams::default(), &patch);
        self.send(request.map_err(|error| Trouble::Garbled { detail: error.to_string() })?).await.map(drop)
    }
}

/// The node's condition `Ready`.
pub(crate) fn ready_condition(node: &Node) -> Option<&NodeCondition> {
    node.status.as_ref()?.conditions.as_ref()?.iter().find(|condition| condition.type_ == "Ready")
}

fn pod_cidr(node: &Node) -> Option<String> {
    node.spec.as_ref()?.pod_cidr.clone().filter(|cidr| !cidr.is_empty())
}

/// All of a node's pod addresses; servers that know one family only tell of that.
fn pod_cidrs(node: &Node) -> Vec<String> {
    let all = node.spec.as_ref().and_then(|spec| spec.pod_cidrs.clone()).filter(|all| !all.is_empty());
    all.unwrap_or_else(|| pod_cidr(node).into_iter().collect())
}

fn info(node: &Node) -> NodeInfo {
    let status = node.status.as_ref();
    let condition = ready_condition(node);
    let ready = condition.is_some_and(|condition| condition.status == "True");
    let addresses = status.and_then(|status| status.addresses.as_deref()).unwrap_or_default();
    NodeInfo {
        name: node.metadata.name.clone().unwrap_or_default(),
        ready,
        address: addresses.iter().find(|entry| entry.type_ == "InternalIP").map(|entry| entry.address.clone()),
        version: status
            .and_then(|status| status.node_info.as_ref())
            .map(|info| info.kubelet_version.clone())
            .unwrap_or_default(),
        pod_cidr: pod_cidr(node),
        trouble: condition.filter(|_| !ready).and_then(|condition| condition.message.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_tells_its_address_version_and_trouble() {
        let node: Node = serde_json::from_value(json!({
            "metadata": { "name": "dev" },
            "spec": { "podCIDR": "10.244.0.0/24" },
            "status": {
                "addresses": [{ "type": "Hostname", "address": "dev" }, { "type": "InternalIP", "address": "10.0.0.2" }],
                "conditions": [{ "type": "Ready", "status": "False", "message": "no network" }],
                "nodeInfo": {
                    "kubeletVersion": "v1.20.2", "architecture": "", "bootID": "", "containerRuntimeVersion": "",
                    "kernelVersion": "", "kubeProxyVersion": "", "machineID": "", "operatingSystem": "",
                    "osImage": "", "systemUUID": ""
                }
            }
        }))
        .unwrap();
        let expected = NodeInfo {
            name: "dev".to_owned(),
            ready: false,
            address: Some("10.0.0.2".to_owned()),
            version: "v1.20.2".to_owned(),
            pod_cidr: Some("10.244.0.0/24".to_owned()),
            trouble: Some("no network".to_owned()),
        };
        assert_eq!(info(&node), expected);
    }

    #[test]
    fn a_bare_node_is_not_ready_and_has_no_pod_addresses() {
        let node: Node = serde_json::from_value(json!({ "metadata": { "name": "dev" }, "spec": {} })).unwrap();
        let info = info(&node);
        assert!(!info.ready);
        assert_eq!((info.pod_cidr, info.trouble), (None, None));
    }
}
