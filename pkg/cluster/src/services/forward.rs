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

use super::{ServiceApi, ServiceError, bind::Bound};

/// How many pods are tried for one connection.
const TRIES: usize = 3;
/// How long the answer may take after the client has said all it had to say: the way to the pod cannot be
/// half closed, and a client that went away looks the same.
const LAST_WORDS: Duration = Duration::from_secs(60);

/// What a listener leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    /// The service's namespace.
    pub(super) namespace: String,
    /// Its name.
    pub(super) service: String,
    /// The name of the port, where it has one.
    pub(super) port_name: Option<String>,
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
    /// Listens at a free port of an address.
    pub(super) async fn open<A: ServiceApi>(
        address: IpAddr,
        target: Target,
        api: A,
        reporter: Arc<dyn Reporter>,
    ) -> Result<Self, ServiceError> {
        Ok(Self::serve(super::bind::bind(address, 0).await?, target, api, reporter))
    }

    /// Serves a listener.
    pub(super) fn serve<A: ServiceApi>(bound: Bound, target: Target, api: A, reporter: Arc<dyn Reporter>) -> Self {
        let carrier = Arc::new(Carrier { target, api, reporter, turn: AtomicUsize::new(0), told: Mutex::default() });
        let task = tokio::spawn(accept(bound.listener, carrier)).abort_handle();
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

struct Carrier<A> {
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
        let Target { namespace, service, .. } = &self.target;
        self.tell(trouble.map(|trouble| format!("{namespace}/{service}: {}", in_short(&trouble, &backend))));
    }

    /// A connection to one of the pods, each in its turn.
    async fn connect(&self) -> Result<(PodConnection, Backend), String> {
        let Target { namespace, service, .. } = &self.target;
        let all = self.api.backends(namespace, service).await.map_err(|error| chain(&error))?;
        let pods: Vec<&Backend> = all.iter().filter(|backend| self.leads_to(backend)).collect();
        let mut last = format!("{namespace}/{service}: no pod behind it is ready");
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        for offset in 0..pods.len().min(TRIES) {
            let backend = pods[(turn + offset) % pods.len()];
            let Some(pod) = &backend.pod else { continue };
            match self.api.connect(&backend.namespace, pod, backend.port).await {
                Ok(connection) => return Ok((connection, backend.clone())),
                Err(error) => last = chain(&error),
            }
        }
        Err(last)
    }

    fn leads_to(&self, backend: &Backend) -> bool {
        backend.ready && backend.pod.is_some() && backend.port_name == self.target.port_name
    }

    /// Tells trouble once, and again only after something went well.
    fn tell(&self, trouble: Option<String>) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(trouble) = &trouble
            && told.as_ref() != Some(trouble)
        {
            self.reporter.warn(trouble);
        }
        *told = trouble;
    }
}

/// What a node says about a connection that failed, without its inner names.
fn in_short(trouble: &str, backend: &Backend) -> String {
    let pod = backend.pod.as_deref().unwrap_or_default();
    if trouble.contains("connection refused") {
        return format!("nothing in pod {pod} listens at localhost:{}", backend.port);
    }
    format!("pod {pod}: {}", trouble.lines().next().unwrap_or_default().trim())
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
            port: 8080,
            ready: true,
        };
        let refused = "error forwarding port 8080 to pod 4f8b: dial tcp4 127.0.0.1:8080: connect: connection refused";
        assert_eq!(in_short(refused, &backend), "nothing in pod web-0 listens at localhost:8080");
        assert_eq!(in_short("no such sandbox \nmore", &backend), "pod web-0: no such sandbox");
    }
}
