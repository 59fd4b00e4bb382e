//! A port of this host that leads to the pods of a service.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use skiff_kubeapi::{Backend, PodConnection};
use skiff_report::{Reporter, chain};
use tokio::{
    io::{AsyncWriteExt, copy, split},
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
};

use super::{
    Protocol, ServiceApi,
    bind::{Bound, Socket},
    datagrams,
    listeners::Wanted,
};

/// How many pods are tried for one connection.
const TRIES: usize = 3;
/// How long the answer may take after the client has said all it had to say: the way to the pod cannot be
/// half closed, and a client that went away looks the same.
const LAST_WORDS: Duration = Duration::from_secs(60);

/// What a listener leads to.
#[derive(Debug, Clone)]
pub(super) struct Target {
    /// The port of a service.
    pub(super) wanted: Wanted,
    /// The addresses of the nodes: what is there has no pod's network of its own.
    pub(super) nodes: Arc<[IpAddr]>,
}

/// A listener that leads to a service's pods. Dropping it closes it with all its connections.
#[derive(Debug)]
pub struct Forward {
    /// Where it listens.
    pub local: SocketAddr,
    task: AbortHandle,
}

impl Drop for Forward {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Forward {
    /// Serves a listener.
    pub(super) fn serve<A: ServiceApi>(bound: Bound, target: Target, api: A, reporter: Arc<dyn Reporter>) -> Self {
        let carrier = Arc::new(Carrier { target, api, reporter, turn: AtomicUsize::new(0), told: Mutex::default() });
        let task = match bound.socket {
            Socket::Tcp(listener) => tokio::spawn(accept(listener, carrier)),
            Socket::Udp(socket) => tokio::spawn(datagrams::carry(socket, carrier)),
        };
        let task = task.abort_handle();
        Self { local: bound.local, task }
    }
}

async fn accept<A: ServiceApi>(listener: TcpListener, carrier: Arc<Carrier<A>>) {
    // Dropped with this future, and with it every connection.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((client, _)) => {
                    let carrier = Arc::clone(&carrier);
                    connections.spawn(async move { carrier.carry(client).await });
                }
                // Out of file descriptors: accepting again at once would spin.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// What it takes to reach a service.
pub(super) struct Carrier<A> {
    target: Target,
    api: A,
    reporter: Arc<dyn Reporter>,
    /// Which pod is next.
    turn: AtomicUsize,
    /// The last trouble, so that it is told once and not for each connection.
    told: Mutex<Option<String>>,
}

impl<A: ServiceApi> Carrier<A> {
    async fn carry(&self, client: TcpStream) {
        let (connection, backend) = match self.connect().await {
            Ok(connected) => connected,
            Err(trouble) => {
                self.tell(Some(trouble));
                // "Connection reset" is nearer to the truth than an empty answer.
                let _ = client.set_zero_linger();
                return;
            }
        };
        let _ = client.set_nodelay(true);
        let trouble = pump(client, connection).await;
        self.tell(trouble.map(|trouble| format!("{}: {}", self.name(), in_short(&trouble, &backend))));
    }

    /// A connection to one of the backends, each in its turn.
    async fn connect(&self) -> Result<(PodConnection, Backend), String> {
        let backends = self.backends().await?;
        let mut last = self.nobody();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        for offset in 0..backends.len().min(TRIES) {
            let backend = &backends[(turn + offset) % backends.len()];
            match self.connect_to(backend).await {
                Ok(connection) => return Ok((connection, backend.clone())),
                Err(error) => last = chain(&error),
            }
        }
        Err(last)
    }

    async fn connect_to(&self, backend: &Backend) -> Result<PodConnection, A::Trouble> {
        match (&backend.pod, backend.address) {
            // Something that listens at the node's address need not listen at its loopback device.
            (Some(pod), address) if address.is_none_or(|address| !self.target.nodes.contains(&address)) => {
                self.api.connect(&backend.namespace, pod, backend.port).await
            }
            (_, Some(address)) => self.api.relay(Protocol::Tcp, (address, backend.port).into()).await,
            (pod, None) => self.api.connect(&backend.namespace, pod.as_deref().unwrap_or_default(), backend.port).await,
        }
    }

    /// A program inside the cluster that passes datagrams on to the service.
    pub(super) async fn relay(&self) -> Result<PodConnection, String> {
        let Wanted { cluster_ip, port, protocol, .. } = self.target.wanted;
        let to = match cluster_ip {
            Some(address) => (address, port).into(),
            None => {
                let mut backends = self.backends().await?.into_iter();
                let found = backends.find_map(|backend| Some((backend.address?, backend.port).into()));
                found.ok_or_else(|| self.nobody())?
            }
        };
        self.api.relay(protocol, to).await.map_err(|error| chain(&error))
    }

    /// The backends that take traffic.
    async fn backends(&self) -> Result<Vec<Backend>, String> {
        let Wanted { namespace, service, port_name, .. } = &self.target.wanted;
        let mut all = self.api.backends(namespace, service).await.map_err(|error| chain(&error))?;
        all.retain(|backend| backend.ready && backend.port_name == *port_name);
        Ok(all)
    }

    fn nobody(&self) -> String {
        format!("{}: no pod behind it is ready", self.name())
    }

    /// The service's namespace and name.
    pub(super) fn name(&self) -> String {
        format!("{}/{}", self.target.wanted.namespace, self.target.wanted.service)
    }

    /// Tells trouble once, and again only after something went well.
    pub(super) fn tell(&self, trouble: Option<String>) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(trouble) = &trouble
            && told.as_ref() != Some(trouble)
        {
            self.reporter.warn(trouble);
        }
        *told = trouble;
    }
}

/// What a node or a relay says about a connection that failed, without its inner names.
fn in_short(trouble: &str, backend: &Backend) -> String {
    let refused = trouble.to_ascii_lowercase().contains("connection refused");
    match (&backend.pod, backend.address) {
        (Some(pod), _) if refused => format!("nothing in pod {pod} listens at port {}", backend.port),
        (None, Some(address)) if refused => format!("nothing listens at {address}, port {}", backend.port),
        (pod, _) => {
            let what = pod.as_ref().map(|pod| format!("pod {pod}: ")).unwrap_or_default();
            format!("{what}{}", trouble.lines().next().unwrap_or_default().trim())
        }
    }
}

/// Carries bytes both ways until one side is done. Returns what the node says, if it could not go on.
async fn pump(client: TcpStream, connection: PodConnection) -> Option<String> {
    let PodConnection { stream, refusal } = connection;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_pod, mut to_pod) = split(stream);
    {
        let mut up = std::pin::pin!(copy(&mut from_client, &mut to_pod));
        let mut down = std::pin::pin!(copy(&mut from_pod, &mut to_client));
        tokio::select! {
            _ = &mut down => {}
            sent = &mut up => {
                if sent.is_ok() {
                    let _ = tokio::time::timeout(LAST_WORDS, down).await;
                }
            }
        }
    }
    let _ = to_client.shutdown().await;
    drop((from_pod, to_pod));
    tokio::time::timeout(Duration::from_secs(1), refusal).await.ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_is_told_in_short() {
        let backend = Backend {
            port_name: None,
            namespace: "default".to_owned(),
            pod: Some("web-0".to_owned()),
            address: None,
            port: 8080,
            ready: true,
        };
        let refused = "error forwarding port 8080 to pod 4f8b: dial tcp4 127.0.0.1:8080: connect: connection refused";
        assert_eq!(in_short(refused, &backend), "nothing in pod web-0 listens at port 8080");
        assert_eq!(in_short("no such sandbox \nmore", &backend), "pod web-0: no such sandbox");
    }
}
