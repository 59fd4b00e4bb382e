//! A change of a cluster's addons, from its beginning to its end.

use skiff_config::{AddonWish, ClusterFile, ClusterName, ClusterSpec};
use skiff_driver::Driver;
use skiff_store::Lock;

use super::{AddonReport, target, target::Target};
use crate::{ClusterError, ConnectApi, Host, living};

/// A change: while it lasts, nobody else makes one.
pub(super) struct Change<'a, D, C, K: ConnectApi> {
    pub(super) host: &'a Host<D, C, K>,
    /// The profile, with what is wanted of addons.
    pub(super) file: ClusterFile,
    pub(super) spec: ClusterSpec,
    /// The running cluster; `None` if it is off.
    pub(super) target: Option<Target<K::Api>>,
    _lock: Lock,
}

impl<'a, D: Driver, C, K: ConnectApi> Change<'a, D, C, K> {
    /// Takes the cluster's lock, reads its profile, and looks whether it runs.
    pub(super) async fn begin(host: &'a Host<D, C, K>, cluster: &ClusterName) -> Result<Self, ClusterError> {
        let lock = host.lock(cluster).await?;
        let (file, spec) = target::load(host, cluster)?;
        let target = target::reach(host, &file, &spec).await?;
        Ok(Self { host, file, spec, target, _lock: lock })
    }

    /// Does something with the running cluster, and gives up when the machine ends whose API is used: nothing
    /// would come of it, however long it is waited for.
    pub(super) async fn while_it_runs<T, E: Into<ClusterError>>(
        &self,
        target: &Target<K::Api>,
        does: impl Future<Output = Result<T, E>>,
    ) -> Result<T, ClusterError> {
        let cluster = &self.spec.name;
        let ended = living::one_ends(self.host, cluster, || [target.node.clone()].into());
        tokio::select! {
            biased;
            done = does => done.map_err(Into::into),
            node = ended => Err(ClusterError::NodeEnded { cluster: cluster.clone(), node }),
        }
    }

    /// Stores what is wanted from now on.
    pub(super) fn store(&mut self, wishes: Vec<(String, AddonWish)>) -> Result<AddonReport, ClusterError> {
        let changed = wishes.iter().map(|(name, _)| name.clone()).collect();
        self.file.addons.extend(wishes);
        self.host.store.save(&self.file)?;
        Ok(AddonReport { changed, stored: self.target.is_none() })
    }
}
