//! The concrete parts behind the use cases: the only place that names them.

use std::{path::PathBuf, sync::Arc};

use skiff_artifacts::{
    Agent, AnySource, ArtifactError, ArtifactSource, DebianOptions, DebianSource, NodeImageOptions, NodeImageSpec,
    NodeImageStore, Stamp, node_image_key,
};
use skiff_cluster::{ClusterError, Host, ImageSource, KubeConnector};
use skiff_config::KubeVersion;
use skiff_driver::NodeImage;
use skiff_drivers::{AUTO, AnyDriver, Opened, Providers, open};
use skiff_report::{ExitCode, Reporter};
use skiff_ssh::SshConnector;

use crate::{cli, context::Context, environment::Environment, failure::Failure};

/// The host every command works with.
pub(crate) type SkiffHost = Host<AnyDriver, SshConnector, KubeConnector>;

impl Context {
    /// The host with the driver the cluster runs on; `command` is what others are told who wait for it.
    pub(crate) async fn host(&self, command: &str) -> Result<SkiffHost, Failure> {
        self.host_with(command, AUTO, Arc::clone(&self.ui) as Arc<dyn Reporter>).await
    }

    /// The host of a cluster that exists. Whether it does is asked before the driver: a name that is
    /// misspelt shall not be answered with trouble of Docker's.
    pub(crate) async fn host_of_cluster(&self, command: &str) -> Result<SkiffHost, Failure> {
        let file = self.store()?.load(&self.cluster)?;
        file.ok_or_else(|| ClusterError::NotFound(self.cluster.clone()))?;
        self.host(command).await
    }

    /// A host with the driver to take for a cluster that is not made yet, and another reporter.
    pub(crate) async fn host_with(
        &self,
        command: &str,
        driver: &str,
        reporter: Arc<dyn Reporter>,
    ) -> Result<SkiffHost, Failure> {
        // A damaged profile is the use case's to tell; here it only means that nothing is known.
        let stored = self.store()?.load(&self.cluster).ok().flatten().and_then(|file| file.status.driver);
        self.host_on(command, stored.as_deref().unwrap_or(driver), reporter).await
    }

    /// A host with a certain driver, for what is not about one cluster.
    pub(crate) async fn host_on(
        &self,
        command: &str,
        driver: &str,
        reporter: Arc<dyn Reporter>,
    ) -> Result<SkiffHost, Failure> {
        let store = self.store()?;
        let Opened { driver, capabilities, passed_over } = open(driver, &self.providers()).await?;
        for finding in passed_over {
            reporter.info(&format!("Passed over {finding}"));
        }
        Ok(Host {
            driver,
            capabilities,
            connect: SshConnector,
            api: KubeConnector,
            store,
            kubeconfig: self.environment.kubeconfig.clone(),
            command: command.to_owned(),
            catalog: Arc::new(cli::catalog(self)?),
            reporter,
        })
    }

    /// Where drivers find what they stand on.
    pub(crate) fn providers(&self) -> Providers {
        let Environment { docker_host, home, cache, .. } = self.environment.clone();
        Providers { docker_host, home, cache }
    }

    /// Where Kubernetes comes from.
    pub(crate) fn artifacts(&self, choice: Artifacts, mirror: Option<String>) -> AnySource {
        let options = DebianOptions { cache: self.cache(), mirror, keyring: None, stamp: Stamp::Exact };
        let debian = DebianSource::new(options);
        match choice {
            Artifacts::Auto => AnySource::Auto(debian),
            Artifacts::Debian => AnySource::Debian(debian),
        }
    }

    /// Where node images come from.
    pub(crate) fn images(&self, choice: Artifacts, mirror: Option<String>) -> Result<Images, Failure> {
        let path = self.environment.agent.clone();
        let agent = Agent::from_file(&path).map_err(|error| {
            Failure::new(
                "HOST_AGENT_MISSING",
                ExitCode::HOST_NOT_FOUND,
                format!("cannot read {}, which every node needs: {error}", path.display()),
                "Put skiff-agent into the folder of skiff, or its path into SKIFF_AGENT.",
            )
        })?;
        let options = NodeImageOptions { cache: self.cache(), mirror: mirror.clone(), keyring: None };
        Ok(Images { source: self.artifacts(choice, mirror), store: NodeImageStore::new(options), agent })
    }

    fn cache(&self) -> PathBuf {
        self.environment.cache.clone()
    }
}

/// `--artifacts`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Artifacts {
    // The first source that works.
    Auto,
    // Built from Debian's source packages.
    Debian,
}

/// Node images, made from artifacts and kept in the cache.
pub(crate) struct Images {
    source: AnySource,
    store: NodeImageStore,
    agent: Agent,
}

impl Images {
    fn spec(&self, version: &KubeVersion) -> Result<NodeImageSpec, ArtifactError> {
        let artifacts = self.source.key(version)?;
        Ok(NodeImageSpec { version: version.clone(), artifacts, agent: self.agent.clone() })
    }

    /// True if the image is in the cache, for a driver to take in.
    pub(crate) fn is_cached(&self, version: &KubeVersion) -> Result<bool, ArtifactError> {
        Ok(self.store.cached(&self.spec(version)?).is_some())
    }

    /// Removes the archive of an image that a driver has taken in: it is only a second copy.
    pub(crate) fn discard(&self, version: &KubeVersion) -> Result<(), ArtifactError> {
        self.store.discard(&node_image_key(&self.spec(version)?))
    }
}

impl ImageSource for Images {
    type Error = ArtifactError;

    async fn key(&self, version: &KubeVersion) -> Result<String, ArtifactError> {
        Ok(node_image_key(&self.spec(version)?))
    }

    async fn build(&self, version: &KubeVersion, reporter: &dyn Reporter) -> Result<NodeImage, ArtifactError> {
        let spec = self.spec(version)?;
        let rootfs = match self.store.cached(&spec) {
            Some(rootfs) => rootfs,
            None => self.store.build(&spec, &self.source.fetch(version, reporter).await?, reporter).await?,
        };
        Ok(NodeImage { key: rootfs.key, rootfs: rootfs.tar, labels: rootfs.labels })
    }

    fn agent_image(&self) -> Result<String, ArtifactError> {
        Ok(self.agent.image())
    }
}
