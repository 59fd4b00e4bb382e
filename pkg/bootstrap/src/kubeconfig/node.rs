//! The kubeconfigs in a node's `/etc/kubernetes`.

use std::time::SystemTime;

use super::Kubeconfig;
use crate::{
    BootstrapError, ClusterConfig, Endpoint, NodeConfig, Role,
    pki::{ClusterPki, Group, privileged_group},
};

/// File names below `/etc/kubernetes`, with their YAML.
#[derive(Clone, PartialEq, Eq)]
pub struct NodeKubeconfigs {
    files: Vec<(&'static str, String)>,
}

impl NodeKubeconfigs {
    /// Issues certificates and writes the kubeconfigs that this node needs: kubelet.conf for any
    /// node, those of administrator, controller manager and scheduler for a control plane.
    ///
    /// # Errors
    /// [`BootstrapError::Issue`].
    pub fn issue(
        cluster: &ClusterConfig,
        node: &NodeConfig,
        pki: &ClusterPki,
        now: SystemTime,
    ) -> Result<Self, BootstrapError> {
        let (local, shared) = (node.local_endpoint(cluster), &cluster.endpoint);
        let kubelet_user = format!("system:node:{}", node.name);
        let mut wanted: Vec<(&str, &str, Option<&str>, &Endpoint)> = Vec::new();
        // A control plane's kubelet starts the API server from a file, without asking one before.
        let kubelet_endpoint = if node.role.is_control_plane() { &local } else { shared };
        wanted.push(("kubelet.conf", &kubelet_user, Some(Group::NODES), kubelet_endpoint));
        if node.role.is_control_plane() {
            let admins = Some(privileged_group(cluster.version()));
            wanted.push(("admin.conf", "kubernetes-admin", admins, shared));
            // Its own parts must work while the others, or a load balancer, are away.
            wanted.push(("controller-manager.conf", "system:kube-controller-manager", None, &local));
            wanted.push(("scheduler.conf", "system:kube-scheduler", None, &local));
        }
        if node.role == Role::FirstControlPlane && privileged_group(cluster.version()) != Group::MASTERS {
            // With it kubeadm makes the rule that gives admin.conf its power.
            wanted.push(("super-admin.conf", "kubernetes-super-admin", Some(Group::MASTERS), shared));
        }
        let files = wanted.into_iter().map(|(file, user, group, endpoint)| {
            let client = pki.issue_client(cluster, user, group, now)?;
            let kubeconfig = Kubeconfig {
                cluster: cluster.spec.name.as_str(),
                server: &endpoint.url(),
                ca: pki.ca.certificate(),
                user,
                client: &client,
            };
            Ok((file, kubeconfig.to_yaml()?))
        });
        Ok(Self { files: files.collect::<Result<_, BootstrapError>>()? })
    }

    /// Each file's name and text.
    pub fn files(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.files.iter().map(|(name, text)| (*name, text.as_str()))
    }
}

impl std::fmt::Debug for NodeKubeconfigs {
    /// The texts hold keys.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.files.iter().map(|(name, _)| name)).finish()
    }
}
