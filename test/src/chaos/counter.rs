//! Two counters, one on a volume and one in the API, and what they have acknowledged.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    process::Command,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::Duration,
};

use crate::{Cluster, Finished, busybox_archive, eventually};

const IMAGE: &str = "skiff-test/counter:1";
const MANIFESTS: &str = include_str!("counter.yaml");
/// The node port of the counting pod.
const PORT: u16 = 30090;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// Between two counts. The rest of the processors is for the cluster.
const PAUSE: Duration = Duration::from_millis(300);

/// The counters of a cluster.
pub(super) struct Counter {
    address: SocketAddr,
    kubectl: Vec<String>,
    volume: AtomicU64,
    api: AtomicU64,
}

impl Counter {
    /// Puts them into a cluster; they go on where they are if they were there before.
    pub(super) fn deploy(cluster: &Cluster<'_>) -> Self {
        let archive = cluster.sandbox().path().join("image.tar");
        if !archive.exists() {
            let _ = busybox_archive(cluster.sandbox().path(), IMAGE);
        }
        let _ = cluster.run("image", &["load", &archive.to_string_lossy()]).ok();
        cluster.apply(&MANIFESTS.replace("IMAGE", IMAGE).replace("NODE", &cluster.name));
        let address = cluster.run("ip", &[]).ok().text().parse().expect("the node's address");
        let program = cluster.sandbox().cached_kubectl().expect("a kubectl in the cache");
        let kubeconfig = cluster.sandbox().home().join("profiles").join(&cluster.name).join("kubeconfig");
        let kubectl =
            [&program.to_string_lossy(), "--request-timeout=3s", "--kubeconfig", &kubeconfig.to_string_lossy()];
        let counter = Self {
            address: SocketAddr::new(address, PORT),
            kubectl: kubectl.map(str::to_owned).to_vec(),
            volume: AtomicU64::new(0),
            api: AtomicU64::new(0),
        };
        counter.is_whole(cluster);
        counter
    }

    /// Counts while something else happens.
    pub(super) fn during<T>(&self, happens: impl FnOnce() -> T) -> T {
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let until_over = |count: &dyn Fn()| {
                while !over.load(Ordering::Relaxed) {
                    count();
                    thread::sleep(PAUSE);
                }
            };
            scope.spawn(move || until_over(&|| drop(self.add_to_volume())));
            scope.spawn(move || until_over(&|| drop(self.add_to_api())));
            // A thread that goes on for ever would hide why the other one panicked.
            let _end = Ending(&over);
            happens()
        })
    }

    /// Asserts that all that was acknowledged is there, and tells how far both have come.
    pub(super) fn is_whole(&self, cluster: &Cluster<'_>) -> String {
        let acknowledged = (self.volume.load(Ordering::Relaxed), self.api.load(Ordering::Relaxed));
        let volume = eventually("a count on the volume", || self.add_to_volume().map_err(|error| error.to_string()));
        assert!(volume > acknowledged.0, "the volume has {volume} lines, {} were acknowledged", acknowledged.0);
        let read = cluster.kubectl(&["get", "configmap", "counter", "-o", "jsonpath={.data.count}"]).ok();
        let api: u64 = read.text().parse().expect("a number");
        assert!(api >= acknowledged.1, "the API has {api}, {} was acknowledged", acknowledged.1);
        format!("volume {volume}, API {api}")
    }

    fn add_to_volume(&self) -> io::Result<u64> {
        let mut stream = TcpStream::connect_timeout(&self.address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"GET /cgi-bin/add HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let count = answer.split_once("count ").and_then(|(_, rest)| rest.split_once('.')?.0.parse().ok());
        let count = count.ok_or_else(|| io::Error::other(answer))?;
        self.volume.fetch_max(count, Ordering::Relaxed);
        Ok(count)
    }

    fn add_to_api(&self) -> Result<(), String> {
        let next = self.api.load(Ordering::Relaxed) + 1;
        let patch = format!("{{\"data\":{{\"count\":\"{next}\"}}}}");
        let mut kubectl = Command::new(&self.kubectl[0]);
        kubectl.args(&self.kubectl[1..]).args(["patch", "configmap", "counter", "--type=merge", "-p", &patch]);
        let patched = Finished::of(&mut kubectl);
        if patched.code != 0 {
            return Err(patched.stderr);
        }
        self.api.store(next, Ordering::Relaxed);
        Ok(())
    }
}

/// Ends the counting however what happens meanwhile ends.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
