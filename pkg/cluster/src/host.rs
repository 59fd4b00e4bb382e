//! What the use cases need from outside.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

use skiff_addons::Catalog;
use skiff_config::{ClusterFile, ClusterName, ClusterSpec, KubeVersion, NodeName};
use skiff_driver::{Capabilities, DriverFailure, NodeImage};
use skiff_report::{Diagnose, Reporter};
use skiff_store::{Lock, Owner, Store};

use crate::{ClusterError, error::Outside};

/// Where node images come from.
pub trait ImageSource: Send + Sync {
    /// What can go wrong.
    type Error: Diagnose;

    /// Content hash of the node image for a version, computed without building anything.
    ///
    /// # Errors
    /// When no artifact source can deliver that version.
    fn key(&self, version: &KubeVersion) -> impl Future<Output = Result<String, Self::Error>> + Send;

    /// Builds the image, or returns the one in the cache.
    ///
    /// # Errors
    /// When an artifact cannot be obtained or assembled.
    fn build(
        &self,
        version: &KubeVersion,
        reporter: &dyn Reporter,
    ) -> impl Future<Output = Result<NodeImage, Self::Error>> + Send;

    /// Reference of the image of skiff-agent that lies in the node image.
    ///
    /// # Errors
    /// When the agent's program is missing.
    fn agent_image(&self) -> Result<String, Self::Error>;
}

/// What every use case gets: the driver, the ways to its nodes and their API, skiff's files and the
/// user's.
pub struct Host<D, C, K> {
    /// The machines.
    pub driver: D,
    /// What the driver can do, where somebody has asked it already.
    pub capabilities: Option<Capabilities>,
    /// The way to run commands on them.
    pub connect: C,
    /// The way to a cluster's API.
    pub api: K,
    /// Files under the skiff home.
    pub store: Store,
    /// The user's kubeconfig files, as in `$KUBECONFIG`; the first that exists is edited.
    pub kubeconfig: Vec<PathBuf>,
    /// What this process does, as its user would say it (`skiff start`): shown to those who wait for it.
    pub command: String,
    /// The addons there are.
    pub catalog: Arc<Catalog>,
    /// Where events go.
    pub reporter: Arc<dyn Reporter>,
}

impl<D, C, K> Host<D, C, K> {
    /// Takes the cluster's lock; tells for whom it waits.
    pub(crate) async fn lock(&self, name: &ClusterName) -> Result<Lock, ClusterError> {
        let waiting = |owner: &Owner| {
            self.reporter
                .info(&format!("Waiting for `{}` (process {}), which works on this cluster", owner.command, owner.pid));
        };
        Ok(self.store.lock(name, &self.command, waiting).await?)
    }

    /// The stored cluster.
    pub(crate) fn load(&self, name: &ClusterName) -> Result<ClusterFile, ClusterError> {
        self.store.load(name)?.ok_or_else(|| ClusterError::NotFound(name.clone()))
    }

    /// Refuses a name that is a node of another cluster: both would want the same machine.
    pub(crate) fn check_name(&self, name: &ClusterName) -> Result<(), ClusterError> {
        for file in self.readable_profiles()? {
            let other = &file.metadata.name;
            let taken = machines(&file).any(|machine| machine.as_str() == name.as_str());
            if other != name && taken {
                return Err(ClusterError::NameTaken { name: name.clone(), other: other.clone() });
            }
        }
        Ok(())
    }

    /// Refuses a node whose name is another cluster's, or a node's of one.
    pub(crate) fn check_node_name(&self, name: &ClusterName, node: &NodeName) -> Result<(), ClusterError> {
        for file in self.readable_profiles()?.iter().filter(|file| file.metadata.name != *name) {
            if file.metadata.name.as_str() == node.as_str() || machines(file).any(|machine| machine == *node) {
                return Err(ClusterError::NodeNameTaken { node: node.clone() });
            }
        }
        Ok(())
    }

    /// Ports of the host that clusters have been given, running or not, and those that one is being given.
    pub(crate) fn reserved_ports(&self, file: &ClusterFile, spec: &ClusterSpec) -> Result<BTreeSet<u16>, ClusterError> {
        let mut files = self.readable_profiles()?;
        files.push(file.clone());
        // A home that cannot be read gives no ports away either.
        let theirs = self.store.neighbours().into_iter().flat_map(|home| home.list().unwrap_or_default());
        files.extend(theirs.filter_map(|entry| entry.cluster.ok()));
        let nodes = files.iter().flat_map(|file| &file.status.nodes);
        let entrances = files.iter().filter_map(|file| Some(file.status.entrance?.port));
        let asked = spec.ports.iter().map(|port| port.value.host_port);
        let own = nodes.flat_map(|node| [Some(node.ssh_port), node.apiserver_port]).flatten();
        Ok(own.chain(entrances).chain(asked).collect())
    }

    /// Every profile but the damaged ones, which must not keep others from working.
    pub(crate) fn readable_profiles(&self) -> Result<Vec<ClusterFile>, ClusterError> {
        Ok(self.store.list()?.into_iter().filter_map(|entry| entry.cluster.ok()).collect())
    }
}

/// Names of a cluster's machines.
fn machines(file: &ClusterFile) -> impl Iterator<Item = NodeName> {
    let entrance = file.status.entrance.map(|_| file.metadata.name.entrance());
    file.status.nodes.iter().map(|record| record.name.clone()).chain(entrance)
}

/// Wraps an error of the driver.
pub(crate) fn driver_error(error: impl DriverFailure) -> ClusterError {
    ClusterError::Driver(Outside::of_driver(error))
}

/// Wraps an error of the Kubernetes API.
pub(crate) fn api_error(error: impl Diagnose) -> ClusterError {
    ClusterError::Api(Outside::new(error))
}

/// Wraps an error of the image source.
pub(crate) fn image_error(error: impl Diagnose) -> ClusterError {
    ClusterError::Image(Outside::new(error))
}
