//! A world of fakes: a driver in memory, nodes that answer every command, an API that is always ready.

mod objects;

use std::{
    convert::Infallible,
    fs,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use ipnet::IpNet;
use skiff_cluster::{
    AddonSettings, Api, ConnectApi, Host, ImageSource, Protocol, ServiceApi, StartOptions, StartRequest, WaitFor, start,
};
use skiff_config::{ClusterName, KubeVersion, SpecFile};
use skiff_driver::{FakeDriver, NodeImage};
use skiff_kubeapi::{Access, Backend, Condition, KubeError, Manifest, PodConnection, ServiceInfo};
use skiff_report::{Event, Recorder, Reporter};
use skiff_runner::{Command, Connect, Output, RunError, Runner, SshTarget};
use skiff_store::Store;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;

pub(crate) struct World {
    pub(crate) host: Host<FakeDriver, FakeConnect, FakeApi>,
    pub(crate) images: FakeImages,
    recorder: Arc<Recorder>,
    folder: TempDir,
}

/// A world with a cluster that runs.
pub(crate) async fn started() -> World {
    let world = World::new();
    start(&world.host, &world.images, request()).await.unwrap();
    world
}

pub(crate) fn name() -> ClusterName {
    "dev".parse().unwrap()
}

pub(crate) fn options() -> StartOptions {
    StartOptions {
        wait: vec![WaitFor::NodeReady, WaitFor::Dns, WaitFor::DefaultServiceAccount],
        wait_timeout: Duration::from_secs(1),
        keep: false,
        delete_on_failure: false,
        force: false,
        download_only: false,
        embed_certs: false,
        keep_context: false,
        addons: Vec::new(),
        addon_settings: AddonSettings::default(),
        pod_network: None,
        ttl: None,
        owner: None,
    }
}

pub(crate) fn request() -> StartRequest {
    StartRequest { name: name(), given: SpecFile::default(), defaults: SpecFile::default(), options: options() }
}

impl World {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let recorder = Arc::new(Recorder::default());
        let rootfs = folder.path().join("rootfs.tar");
        fs::write(&rootfs, b"").unwrap();
        let host = Host {
            driver: FakeDriver::default(),
            capabilities: None,
            connect: FakeConnect::default(),
            api: FakeApi::default(),
            store: Store::open(folder.path().join("home")).unwrap(),
            kubeconfig: vec![folder.path().join("kubeconfig")],
            command: "test".to_owned(),
            catalog: Arc::new(skiff_addons::Catalog::built_in().unwrap()),
            reporter: Arc::clone(&recorder) as Arc<dyn Reporter>,
        };
        Self { host, images: FakeImages { rootfs, agent: "example.test/agent:1".to_owned() }, recorder, folder }
    }

    pub(crate) fn kubeconfig(&self) -> String {
        fs::read_to_string(self.folder.path().join("kubeconfig")).unwrap_or_default()
    }

    pub(crate) fn write_kubeconfig(&self, text: &str) {
        fs::write(self.folder.path().join("kubeconfig"), text).unwrap();
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        self.recorder.events()
    }

    /// The manifests that were applied, oldest first.
    pub(crate) fn applied(&self) -> Vec<String> {
        self.host.api.applied.lock().unwrap().clone()
    }

    /// How many commands with this word ran on nodes.
    pub(crate) fn ran(&self, word: &str) -> usize {
        self.host.connect.lines.lock().unwrap().iter().filter(|line| line.contains(word)).count()
    }

    /// True if the control plane was set up this many times.
    pub(crate) fn kubeadm_ran(&self, times: usize) -> bool {
        self.ran("kubelet-start") == times
    }
}

/// Nodes on which every command succeeds, but for those with a word that a test names.
#[derive(Default, Clone)]
pub(crate) struct FakeConnect {
    lines: Arc<Mutex<Vec<String>>>,
    failing: Arc<Mutex<Option<&'static str>>>,
    failing_once: Arc<Mutex<Vec<&'static str>>>,
    hanging: Arc<Mutex<Vec<&'static str>>>,
    printed: Arc<Mutex<String>>,
}

impl FakeConnect {
    pub(crate) fn fail(&self, word: &'static str) {
        *self.failing.lock().unwrap() = Some(word);
    }

    /// Lets the next command with this word fail, once.
    pub(crate) fn fail_once(&self, word: &'static str) {
        self.failing_once.lock().unwrap().push(word);
    }

    /// Lets the next command with this word never end, once: whoever waits for it may be dropped, as if
    /// it were killed.
    pub(crate) fn hang_once(&self, word: &'static str) {
        self.hanging.lock().unwrap().push(word);
    }

    /// True if that has not come about.
    pub(crate) fn is_yet_to_hang(&self) -> bool {
        !self.hanging.lock().unwrap().is_empty()
    }

    /// What each command prints from now on.
    pub(crate) fn print(&self, text: &str) {
        text.clone_into(&mut self.printed.lock().unwrap());
    }
}

impl Connect for FakeConnect {
    type Runner = Self;

    async fn connect(&self, _: &SshTarget, _: Duration) -> Result<Self, RunError> {
        Ok(self.clone())
    }
}

impl Runner for FakeConnect {
    async fn output(&self, command: Command) -> Result<Output, RunError> {
        let line = command.to_shell();
        let taken = |words: &Mutex<Vec<&'static str>>| {
            let mut words = words.lock().unwrap();
            let at = words.iter().position(|word| line.contains(word));
            at.map(|at| words.remove(at)).is_some()
        };
        let fails = self.failing.lock().unwrap().is_some_and(|word| line.contains(word)) || taken(&self.failing_once);
        if taken(&self.hanging) {
            std::future::pending::<()>().await;
        }
        self.lines.lock().unwrap().push(line);
        let stdout = self.printed.lock().unwrap().clone().into_bytes();
        Ok(Output { status: i32::from(fails), stdout, stderr: Vec::new() })
    }
}

/// An API that has everything already.
#[derive(Default, Clone)]
pub(crate) struct FakeApi {
    applied: Arc<Mutex<Vec<String>>>,
    /// Objects of addons.
    pub(crate) objects: Arc<Mutex<Vec<Manifest>>>,
    /// Conditions with this word in them do not come about.
    pub(crate) broken: Arc<Mutex<Option<String>>>,
    /// Objects with this word in their names are refused.
    pub(crate) refused: Arc<Mutex<Option<String>>>,
    /// Objects with this word in their names do not go away.
    pub(crate) stuck: Arc<Mutex<Option<String>>>,
    pub(crate) services: Arc<Mutex<Vec<ServiceInfo>>>,
    pub(crate) backends: Arc<Mutex<Vec<Backend>>>,
    /// It never answers.
    pub(crate) silent: Arc<Mutex<bool>>,
    /// So many waits for it are over before it is ready.
    pub(crate) late: Arc<Mutex<u32>>,
    /// How long waits were given: the first and the last of a start.
    pub(crate) patience: Arc<Mutex<Vec<Duration>>>,
    /// Nobody is at this server, or knows of this node.
    pub(crate) deserted: Arc<Mutex<Option<String>>>,
    /// Where this client was led to.
    server: String,
}

impl ConnectApi for FakeApi {
    type Api = Self;

    fn client(&self, access: &Access) -> Result<Self, KubeError> {
        Ok(Self { server: access.server.clone(), ..self.clone() })
    }
}

impl Api for FakeApi {
    type Error = KubeError;

    async fn serving(&self, _: Duration) -> bool {
        true
    }

    async fn ready(&self, patience: Duration) -> Result<(), KubeError> {
        self.patience.lock().unwrap().push(patience);
        let late = self.late.lock().unwrap().checked_sub(1);
        if let Some(left) = late {
            *self.late.lock().unwrap() = left;
            return Err(KubeError::NotInTime { what: "readiness".to_owned(), waited: patience, cause: None });
        }
        let silent = *self.silent.lock().unwrap();
        if silent { std::future::pending().await } else { Ok(()) }
    }

    async fn node_ready(&self, node: &str, waited: Duration) -> Result<bool, KubeError> {
        if self.deserted.lock().unwrap().as_ref().is_some_and(|it| *it == self.server || it == node) {
            return Err(KubeError::NotInTime { what: "an answer".to_owned(), waited, cause: None });
        }
        Ok(true)
    }

    async fn apply(&self, manifests: &str, _: Duration) -> Result<(), KubeError> {
        self.applied.lock().unwrap().push(manifests.to_owned());
        Ok(())
    }

    async fn assign_pod_cidr(&self, _: &str, _: &[IpNet], _: Duration) -> Result<(), KubeError> {
        Ok(())
    }

    async fn wait(&self, _: &Condition, _: Option<SystemTime>, _: Duration) -> Result<(), KubeError> {
        Ok(())
    }

    async fn run_in_pod(&self, _: &str, _: &[&str], patience: Duration) -> Result<(i32, String), KubeError> {
        self.patience.lock().unwrap().push(patience);
        Ok((0, String::new()))
    }
}

impl ServiceApi for FakeApi {
    type Trouble = Infallible;

    async fn services(&self, _: Option<&str>) -> Result<Vec<ServiceInfo>, Infallible> {
        Ok(self.services.lock().unwrap().clone())
    }

    async fn watch_services(&self, mut tell: impl FnMut(Result<Vec<ServiceInfo>, Infallible>) -> bool + Send) {
        let mut told = None;
        loop {
            let now = self.services.lock().unwrap().clone();
            if told.as_ref() != Some(&now) && !tell(Ok(now.clone())) {
                return;
            }
            told = Some(now);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn backends(&self, _: &str, _: &str) -> Result<Vec<Backend>, Infallible> {
        Ok(self.backends.lock().unwrap().clone())
    }

    async fn connect(&self, _: &str, pod: &str, _: u16) -> Result<PodConnection, Infallible> {
        let (near, mut far) = tokio::io::duplex(1024);
        let hello = format!("this is {pod}");
        tokio::spawn(async move { far.write_all(hello.as_bytes()).await });
        Ok(PodConnection { stream: Box::new(near), refusal: Box::pin(std::future::ready(None)) })
    }

    async fn relay(&self, protocol: Protocol, to: SocketAddr) -> Result<PodConnection, Infallible> {
        let (near, mut far) = tokio::io::duplex(1024);
        tokio::spawn(async move {
            match protocol {
                Protocol::Tcp => drop(far.write_all(format!("this is {to}").as_bytes()).await),
                // Whoever sends something gets it back.
                Protocol::Udp => {
                    let (mut from, mut back) = tokio::io::split(far);
                    let _ = tokio::io::copy(&mut from, &mut back).await;
                }
            }
        });
        Ok(PodConnection { stream: Box::new(near), refusal: Box::pin(std::future::ready(None)) })
    }

    async fn set_address(&self, namespace: &str, name: &str, address: Option<&str>) -> Result<(), Infallible> {
        let mut services = self.services.lock().unwrap();
        for service in services.iter_mut().filter(|it| it.namespace == namespace && it.name == name) {
            service.addresses = address.map(str::to_owned).into_iter().collect();
        }
        Ok(())
    }
}

/// An image that is there at once.
pub(crate) struct FakeImages {
    rootfs: PathBuf,
    pub(crate) agent: String,
}

impl ImageSource for FakeImages {
    type Error = Infallible;

    async fn key(&self, version: &KubeVersion) -> Result<String, Infallible> {
        Ok(format!("image-{version}"))
    }

    async fn build(&self, version: &KubeVersion, _: &dyn Reporter) -> Result<NodeImage, Infallible> {
        let labels = [("kubernetes".to_owned(), version.to_string())].into();
        Ok(NodeImage { key: format!("image-{version}"), rootfs: self.rootfs.clone(), labels })
    }

    fn agent_image(&self) -> Result<String, Infallible> {
        Ok(self.agent.clone())
    }
}
