//! The concrete parts behind the use cases: the only place that names them.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use skiff_artifacts::{
    Agent, AnySource, ArtifactError, ArtifactSource, DebianOptions, DebianSource, Digest, InUse, NodeImageOptions,
    NodeImageSpec, NodeImageStore, Stamp, VmKitStore, node_image_key,
};
use skiff_cluster::{ClusterError, Host, ImageSource, KubeConnector};
use skiff_config::{ClusterName, KubeVersion};
use skiff_driver::NodeImage;
use skiff_drivers::{AUTO, AnyDriver, Finding, Opened, Providers, open, owner};
use skiff_report::{ExitCode, Reporter};
use skiff_ssh::SshConnector;

use crate::{cli, context::Context, environment::Environment, failure::Failure};

/// The verb that attends a machine of hyperkit's; only skiff itself calls it.
pub(crate) const ATTEND: &str = "attend-machine";

/// The host every command works with.
pub(crate) type SkiffHost = Host<AnyDriver, SshConnector, KubeConnector>;

impl Context {
    /// The host with the driver the cluster runs on; `command` is what others are told who wait for it.
    pub(crate) async fn host(&self, command: &str) -> Result<SkiffHost, Failure> {
        self.host_for(command, &self.cluster).await
    }

    /// The host with the driver that some cluster runs on.
    pub(crate) async fn host_for(&self, command: &str, cluster: &ClusterName) -> Result<SkiffHost, Failure> {
        let driver = match self.stored_driver(cluster)? {
            Some(driver) => Some(driver),
            // Machines that no file speaks of belong to a driver as well.
            None => owner(&self.providers(), cluster).await.map(str::to_owned),
        };
        let reporter = Arc::clone(&self.ui) as Arc<dyn Reporter>;
        self.host_on(command, driver.as_deref().unwrap_or(AUTO), reporter).await
    }

    fn stored_driver(&self, cluster: &ClusterName) -> Result<Option<String>, Failure> {
        // A damaged profile is the use case's to tell; here it only means that nothing is known.
        Ok(self.store()?.load(cluster).ok().flatten().and_then(|file| file.status.driver))
    }

    /// The host of a cluster that exists. Whether it does is asked before the driver: a name that is
    /// misspelt shall not be answered with trouble of Docker's.
    pub(crate) async fn host_of_cluster(&self, command: &str) -> Result<SkiffHost, Failure> {
        let file = self.store()?.load(&self.cluster)?;
        file.ok_or_else(|| ClusterError::NotFound(self.cluster.clone()))?;
        self.host(command).await
    }

    /// The host of a cluster that is about to be used: one that is paused only until then goes on.
    pub(crate) async fn host_in_use(&self, command: &str) -> Result<SkiffHost, Failure> {
        let host = self.host_of_cluster(command).await?;
        skiff_cluster::wake(&host, &self.cluster).await?;
        Ok(host)
    }

    /// A host with the driver to take for a cluster that is not made yet, and another reporter.
    pub(crate) async fn host_with(
        &self,
        command: &str,
        driver: &str,
        reporter: Arc<dyn Reporter>,
    ) -> Result<SkiffHost, Failure> {
        let stored = self.stored_driver(&self.cluster)?;
        let told = Arc::clone(&reporter);
        let (host, passed_over) = self.open(command, stored.as_deref().unwrap_or(driver), reporter).await?;
        for finding in passed_over {
            told.info(&format!("Passed over {finding}"));
        }
        Ok(host)
    }

    /// A host with a certain driver, for what is not about one cluster.
    pub(crate) async fn host_on(
        &self,
        command: &str,
        driver: &str,
        reporter: Arc<dyn Reporter>,
    ) -> Result<SkiffHost, Failure> {
        Ok(self.open(command, driver, reporter).await?.0)
    }

    /// The same with the drivers that `auto` would have preferred.
    async fn open(
        &self,
        command: &str,
        driver: &str,
        reporter: Arc<dyn Reporter>,
    ) -> Result<(SkiffHost, Vec<Finding>), Failure> {
        let store = self.store()?;
        let Opened { driver, capabilities, passed_over } = open(driver, &self.providers()).await?;
        let host = Host {
            driver,
            capabilities,
            connect: SshConnector,
            api: KubeConnector,
            store,
            kubeconfig: self.environment.kubeconfig.clone(),
            command: command.to_owned(),
            catalog: Arc::new(cli::catalog(self)?),
            reporter,
        };
        Ok((host, passed_over))
    }

    /// Where drivers find what they stand on.
    pub(crate) fn providers(&self) -> Providers {
        let Environment { docker_host, home, cache, hyperkit, leases, program, .. } = self.environment.clone();
        let attendant = vec![program.into(), ATTEND.into()];
        // Where no kernel can be had, the driver says so when it needs one.
        let vm_kit = self.vm_kits(None).folder().unwrap_or_default();
        let machines = self.machines.clone();
        Providers { docker_host, home, cache, vm_kit, machines, hyperkit, leases, attendant }
    }

    /// Where virtual machines' kernels come from.
    fn vm_kits(&self, mirror: Option<String>) -> VmKitStore {
        VmKitStore::new(NodeImageOptions { cache: self.cache(), mirror, keyring: None })
    }

    /// Where Kubernetes comes from.
    pub(crate) fn artifacts(&self, choice: Artifacts, mirror: Option<String>) -> AnySource {
        let stamp = match choice {
            Artifacts::DebianAnyPatch => Stamp::AnyPatch,
            Artifacts::Auto | Artifacts::Debian => Stamp::Exact,
        };
        let options = DebianOptions { cache: self.cache(), mirror, keyring: None, stamp };
        let debian = DebianSource::new(options);
        match choice {
            Artifacts::Auto => AnySource::Auto(debian),
            Artifacts::Debian | Artifacts::DebianAnyPatch => AnySource::Debian(debian),
        }
    }

    /// Where node images come from, as a driver takes them in.
    pub(crate) fn images(
        &self,
        choice: Artifacts,
        mirror: Option<String>,
        driver: &AnyDriver,
    ) -> Result<Images, Failure> {
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
        let kits = self.vm_kits(mirror.clone());
        Ok(Images {
            source: self.artifacts(choice, mirror),
            store: NodeImageStore::new(options),
            agent,
            kits,
            kernel: driver.needs_kernel(),
            in_use: Mutex::default(),
        })
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
    // The same under any patch version that is asked for: to try upgrades where no other version can be had.
    #[value(hide = true)]
    DebianAnyPatch,
}

/// Node images, made from artifacts and kept in the cache.
pub(crate) struct Images {
    source: AnySource,
    store: NodeImageStore,
    agent: Agent,
    kits: VmKitStore,
    /// Images are for machines with a kernel of their own.
    kernel: bool,
    /// Images that a driver may be taking in.
    in_use: Mutex<Vec<InUse>>,
}

impl Images {
    fn image_key(&self, spec: &NodeImageSpec) -> Result<String, ArtifactError> {
        let key = node_image_key(spec);
        // A disk is made of both, and is another one when either is.
        if self.kernel {
            Ok(Digest::of(format!("{key} {}", self.kits.key()?).as_bytes()).short(16).to_owned())
        } else {
            Ok(key)
        }
    }

    fn spec(&self, version: &KubeVersion) -> Result<NodeImageSpec, ArtifactError> {
        let artifacts = self.source.key(version)?;
        Ok(NodeImageSpec { version: version.clone(), artifacts, agent: self.agent.clone() })
    }

    /// True if the image is in the cache, for a driver to take in.
    pub(crate) fn is_cached(&self, version: &KubeVersion) -> Result<bool, ArtifactError> {
        Ok(self.store.cached(&self.spec(version)?).is_some())
    }

    /// Removes the archive of an image that a driver has taken in: it is only a second copy. Where
    /// another process is about to give it to a driver of its own, that one will.
    pub(crate) fn discard(&self, version: &KubeVersion) -> Result<(), ArtifactError> {
        self.in_use.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.store.discard(&node_image_key(&self.spec(version)?))
    }
}

impl ImageSource for Images {
    type Error = ArtifactError;

    async fn key(&self, version: &KubeVersion) -> Result<String, ArtifactError> {
        self.image_key(&self.spec(version)?)
    }

    async fn build(&self, version: &KubeVersion, reporter: &dyn Reporter) -> Result<NodeImage, ArtifactError> {
        let spec = self.spec(version)?;
        let in_use = self.store.in_use(&node_image_key(&spec)).await?;
        self.in_use.lock().unwrap_or_else(PoisonError::into_inner).push(in_use);
        let rootfs = match self.store.cached(&spec) {
            Some(rootfs) => rootfs,
            None => self.store.build(&spec, &self.source.fetch(version, reporter).await?, reporter).await?,
        };
        if self.kernel {
            self.kits.build(reporter).await?;
        }
        Ok(NodeImage { key: self.image_key(&spec)?, rootfs: rootfs.tar, labels: rootfs.labels })
    }

    fn agent_image(&self) -> Result<String, ArtifactError> {
        Ok(self.agent.image())
    }
}
