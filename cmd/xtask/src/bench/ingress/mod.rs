//! The ingress against Debian's nginx as a reverse proxy: same host, same backend, in turn.
//!
//! The agent runs beside the cluster as a plain process, so that both proxies are reached in the same way; its routes
//! come from the cluster, a thousand of them, of which one is asked for.

mod load;

use std::{
    fmt::Write as _,
    fs,
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use self::load::Seen;
use super::{docker::output, processes, samples::median_ratio};

/// Connections that ask at the same time.
const CONNECTIONS: usize = 64;
/// How long each turn lasts, and how long it is warmed up before.
const TURN: Duration = Duration::from_secs(5);
const WARM: Duration = Duration::from_secs(1);
/// Ingresses beside the one that is asked for.
const OTHERS: usize = 1000;
const HOST: &str = "bench.test";

/// The agent and the cluster that it takes its routes from.
pub(crate) struct Ingress<'a> {
    /// The agent's binary.
    pub(crate) agent: &'a Path,
    /// How to reach the cluster.
    pub(crate) kubeconfig: &'a Path,
    /// Any address of the cluster's network but this host's.
    pub(crate) node: IpAddr,
    /// A place for files.
    pub(crate) folder: &'a Path,
    /// kubectl and its first arguments.
    pub(crate) kubectl: &'a [String],
}

/// What came out, turn by turn.
#[derive(Debug, Default)]
pub(crate) struct Compared {
    /// Of the ingress.
    pub(crate) ours: Turns,
    /// Of nginx.
    pub(crate) nginx: Turns,
    /// Resident bytes of the ingress before it was asked for anything.
    pub(crate) memory: u64,
}

/// The figures of all turns of one proxy.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    /// Answers a second.
    pub(crate) per_second: Vec<f64>,
    /// 99th percentile, in milliseconds.
    pub(crate) p99: Vec<f64>,
}

impl Turns {
    fn add(&mut self, seen: Seen) {
        self.per_second.push(seen.per_second);
        self.p99.push(seen.p99);
    }
}

impl Compared {
    /// Throughput and 99th percentile as shares of nginx's, turn by turn.
    pub(crate) fn ratios(&self) -> Option<(f64, f64)> {
        let throughput = median_ratio(&self.ours.per_second, &self.nginx.per_second)?;
        Some((throughput, median_ratio(&self.ours.p99, &self.nginx.p99)?))
    }
}

/// `xtask bench-ingress AGENT KUBECONFIG NODE KUBECTL…`: only this comparison, in a cluster that is there.
pub(crate) fn alone(arguments: impl Iterator<Item = String>) -> Result<String, String> {
    let arguments: Vec<String> = arguments.collect();
    let [agent, kubeconfig, node, kubectl @ ..] = arguments.as_slice() else {
        return Err("usage: xtask bench-ingress AGENT KUBECONFIG NODE-ADDRESS KUBECTL [ARGUMENT…]".to_owned());
    };
    let folder = tempfile::Builder::new().prefix("skiff-bench-").tempdir().map_err(|error| error.to_string())?;
    let ingress = Ingress {
        agent: Path::new(agent),
        kubeconfig: Path::new(kubeconfig),
        node: node.parse().map_err(|_| format!("{node} is no address"))?,
        folder: folder.path(),
        kubectl,
    };
    let compared = compare(&ingress, 4)?;
    let (throughput, p99) = compared.ratios().ok_or("nothing was measured")?;
    Ok(format!("{compared:#?}\nthroughput {throughput:.2} x, p99 {p99:.2} x"))
}

/// A process that ends with this value.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // nginx ends its workers when it is told to, not when it is killed.
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

/// Measures both, `turns` times each.
pub(crate) fn compare(ingress: &Ingress<'_>, turns: usize) -> Result<Compared, String> {
    let own = own_address(ingress.node).map_err(|error| format!("no way to {}: {error}", ingress.node))?;
    let backend_at = free(own)?;
    let body = "x".repeat(1024);
    let backend_conf = include_str!("backend.conf").replace("BODY", &body);
    let _backend = nginx(&ingress.folder.join("backend"), &backend_conf, backend_at, backend_at)?;
    let nginx_at = free([127, 0, 0, 1].into())?;
    let _nginx = nginx(&ingress.folder.join("nginx"), include_str!("nginx.conf"), nginx_at, backend_at)?;
    apply(ingress, backend_at)?;
    let (ours_at, health_at) = (free([127, 0, 0, 1].into())?, free([127, 0, 0, 1].into())?);
    let agent = agent(ingress, ours_at, health_at)?;
    wait_for(ours_at)?;
    // Routes are in force once it takes connections.
    thread::sleep(Duration::from_secs(2));
    let memory = processes::resident_memory(agent.0.id()).unwrap_or(0);
    let mut compared = Compared { memory, ..Compared::default() };
    for at in [nginx_at, ours_at] {
        load::run(at, HOST, "/", CONNECTIONS, WARM)?;
    }
    for _ in 0..turns {
        compared.nginx.add(load::run(nginx_at, HOST, "/", CONNECTIONS, TURN)?);
        compared.ours.add(load::run(ours_at, HOST, "/", CONNECTIONS, TURN)?);
    }
    Ok(compared)
}

/// The address by which others in the network of `other` see this host.
fn own_address(other: IpAddr) -> std::io::Result<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.connect((other, 9))?;
    Ok(socket.local_addr()?.ip())
}

fn free(ip: IpAddr) -> Result<SocketAddr, String> {
    let listener = TcpListener::bind((ip, 0)).and_then(|listener| listener.local_addr());
    listener.map_err(|error| format!("no free port at {ip}: {error}"))
}

fn nginx(folder: &Path, conf: &str, listen: SocketAddr, backend: SocketAddr) -> Result<Server, String> {
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let conf = conf.replace("FOLDER", &folder.display().to_string());
    let conf = conf.replace("LISTEN", &listen.to_string()).replace("BACKEND", &backend.to_string());
    let path = folder.join("nginx.conf");
    fs::write(&path, conf).map_err(|error| format!("{}: {error}", path.display()))?;
    let program = ["/usr/sbin/nginx", "/usr/bin/nginx"].into_iter().find(|path| Path::new(path).exists());
    let program = program.ok_or("nginx is not installed: deploy/host/prepare bench")?;
    let mut command = Command::new(program);
    command.arg("-c").arg(&path).args(["-g", "daemon off;"]).stdin(Stdio::null()).stdout(Stdio::null());
    let server = Server(command.spawn().map_err(|error| format!("{program}: {error}"))?);
    wait_for(listen)?;
    Ok(server)
}

fn agent(ingress: &Ingress<'_>, listen: SocketAddr, health: SocketAddr) -> Result<Server, String> {
    let log = ingress.folder.join("ingress.log");
    let file = || fs::File::create(&log).map_err(|error| format!("{}: {error}", log.display()));
    let mut command = Command::new(ingress.agent);
    command
        .args(["ingress", "--https-listen=127.0.0.1:0", "--publish-address=192.0.2.1"])
        .arg(format!("--http-listen={listen}"))
        .arg(format!("--health-listen={health}"))
        .arg("--kubeconfig")
        .arg(ingress.kubeconfig)
        .stdin(Stdio::null())
        .stdout(file()?)
        .stderr(Stdio::null());
    Ok(Server(command.spawn().map_err(|error| format!("{}: {error}", ingress.agent.display()))?))
}

/// Waits until somebody takes connections and answers them.
fn wait_for(at: SocketAddr) -> Result<(), String> {
    let end = Instant::now() + Duration::from_secs(30);
    while TcpStream::connect_timeout(&at, Duration::from_secs(1)).is_err() {
        if Instant::now() > end {
            return Err(format!("nobody listens at {at}"));
        }
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Writes the routes into the cluster.
fn apply(ingress: &Ingress<'_>, backend: SocketAddr) -> Result<(), String> {
    let file: PathBuf = ingress.folder.join("routes.yaml");
    fs::write(&file, manifests(backend)).map_err(|error| format!("{}: {error}", file.display()))?;
    let Some((program, first)) = ingress.kubectl.split_first() else { return Err("no kubectl".to_owned()) };
    output(Command::new(program).args(first).args(["apply", "--server-side", "-f"]).arg(file)).map(drop)
}

/// A service that leads to this host, and many ingresses.
fn manifests(backend: SocketAddr) -> String {
    let (ip, port) = (backend.ip(), backend.port());
    let mut yaml = format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: bench}}\nspec: {{ports: [{{port: 80, protocol: TCP, targetPort: {port}}}]}}\n\
         ---\napiVersion: v1\nkind: Endpoints\nmetadata: {{name: bench}}\nsubsets: [{{addresses: [{{ip: {ip}}}], ports: [{{port: {port}, protocol: TCP}}]}}]\n"
    );
    let others = (0..OTHERS).map(|index| (format!("bench-{index}"), format!("h{index}.test")));
    for (name, host) in others.chain([("bench".to_owned(), HOST.to_owned())]) {
        // Writing to a string cannot fail.
        let _ = write!(
            yaml,
            "---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{name: {name}}}\nspec:\n  ingressClassName: skiff\n  \
             rules: [{{host: {host}, http: {{paths: [{{path: /, pathType: Prefix, backend: {{service: {{name: bench, port: \
             {{number: 80}}}}}}}}]}}}}]\n"
        );
    }
    yaml
}
