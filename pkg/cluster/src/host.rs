//! What the use cases need from outside.

use std::{path::PathBuf, sync::Arc};

use skiff_config::{ClusterSpec, KubeVersion};
use skiff_driver::NodeImage;
use skiff_report::{Diagnose, Reporter};
use skiff_store::Store;

/// Where node images come from.
pub trait ImageSource: Send + Sync {
    /// What can go wrong.
    type Error: Diagnose;

    /// Content hash of the node image for a version, computed without building anything.
    ///
    /// # Errors
    /// When no artifact source can deliver that version.
    fn key(&self, version: &KubeVersion) -> Result<String, Self::Error>;

    /// Builds the image, or returns the one in the cache.
    ///
    /// # Errors
    /// When an artifact cannot be obtained or assembled.
    fn build(
        &self,
        spec: &ClusterSpec,
        reporter: &dyn Reporter,
    ) -> impl Future<Output = Result<NodeImage, Self::Error>> + Send;
}

/// What every use case gets: the driver, the way to its nodes, skiff's files and the user's.
pub struct Host<D, C> {
    /// The machines.
    pub driver: D,
    /// The way to run commands on them.
    pub connect: C,
    /// Files under the skiff home.
    pub store: Store,
    /// The user's kubeconfig files, as in `$KUBECONFIG`; the first that exists is edited.
    pub kubeconfig: Vec<PathBuf>,
    /// Where events go.
    pub reporter: Arc<dyn Reporter>,
}
