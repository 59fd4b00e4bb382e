//! The whole role but for the API server: real sockets on the loopback device, a zone filled by hand,
//! and upstream servers made up for the occasion.

mod forwarding;
mod serving;

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use hickory_proto::{
    op::{Message, Query, ResponseCode},
    rr::{Name, RData, Record, RecordType, rdata::A},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    time::timeout,
};

use super::{
    forward::{Forwarder, Source, Timing},
    metrics::DnsMetrics,
    respond::Responder,
    server::{self, Sockets},
    state::{Part, State},
    zone::{
        Zone, ZoneConfig,
        records::{Endpoint, Service, Slice, Target},
    },
};
use crate::wire;

/// Long enough for anything that is going to happen at all.
const PATIENCE: Duration = Duration::from_secs(20);
/// Short times, so that tests of failures end soon.
const TIMING: Timing = Timing {
    attempt: Duration::from_millis(400),
    hedge: Duration::from_millis(100),
    total: Duration::from_millis(900),
};

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

fn state() -> Arc<State> {
    let config = ZoneConfig {
        domain: name("cluster.local."),
        ttl: 5,
        dns_service: ("kube-system".to_owned(), "kube-dns".to_owned()),
        local_networks: Vec::new(),
        hosts: Vec::new(),
    };
    Arc::new(State::new(Zone::new(config, 1), Arc::default()))
}

fn service(name: &str, target: Target) -> Service {
    let (namespace, name) = ("default".to_owned(), name.to_owned());
    Service { namespace, name, target, ports: Vec::new(), publish_not_ready: false }
}

/// A state that is ready, with a service `web`, a service `many` of 100 endpoints and some aliases.
fn ready_state() -> Arc<State> {
    let state = state();
    let endpoints =
        (0..100).map(|i| Endpoint { addresses: vec![Ipv4Addr::new(10, 1, 0, i).into()], hostname: None, ready: true });
    let many = Slice {
        namespace: "default".to_owned(),
        name: "many-1".to_owned(),
        service: "many".to_owned(),
        endpoints: endpoints.collect(),
        ports: Vec::new(),
    };
    let alias = |name: &str, to: &str| service(name, Target::External(self::name(to)));
    state.change(Part::Services, |zone| {
        zone.replace_services(vec![
            service("web", Target::Addresses(vec![Ipv4Addr::new(10, 3, 0, 1).into()])),
            service("many", Target::Headless),
            alias("outside", "www.example.com."),
            alias("inside", "web.default.svc.cluster.local."),
            alias("ring", "ring.default.svc.cluster.local."),
        ]);
    });
    state.change(Part::Slices, |zone| zone.replace_slices(vec![many]));
    state.change(Part::Namespaces, |zone| zone.apply_namespace("default".to_owned()));
    state
}

/// A running server.
struct Running {
    address: SocketAddr,
    metrics: Arc<DnsMetrics>,
}

async fn start(state: Arc<State>, upstreams: Vec<SocketAddr>) -> Running {
    let sockets = Sockets::bind((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
    start_on(sockets, state, upstreams)
}

fn start_on(sockets: Sockets, state: Arc<State>, upstreams: Vec<SocketAddr>) -> Running {
    let (address, metrics) = (sockets.address(), Arc::clone(&state.metrics));
    let forwarder = Forwarder::new(Source::Fixed(upstreams), 100, TIMING, Arc::clone(&metrics));
    let responder = Arc::new(Responder::new(state, forwarder));
    tokio::spawn(server::serve(sockets, responder, Arc::clone(&metrics.server)));
    Running { address, metrics }
}

impl Running {
    async fn udp(&self, request: &Message) -> Message {
        let bytes = self.udp_bytes(&request.to_vec().unwrap()).await;
        Message::from_vec(&bytes).unwrap()
    }

    async fn udp_bytes(&self, bytes: &[u8]) -> Vec<u8> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        socket.connect(self.address).await.unwrap();
        socket.send(bytes).await.unwrap();
        let mut buffer = vec![0; 65535];
        let length = timeout(PATIENCE, socket.recv(&mut buffer)).await.unwrap().unwrap();
        buffer.truncate(length);
        buffer
    }

    async fn tcp(&self, requests: &[Message]) -> Vec<Message> {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        for request in requests {
            write_frame(&mut stream, request).await;
        }
        let mut replies = Vec::new();
        for _ in requests {
            replies.push(timeout(PATIENCE, read_frame(&mut stream)).await.unwrap());
        }
        replies
    }

    /// The addresses of a name, or the code of the answer.
    async fn addresses(&self, name: &str) -> Result<Vec<String>, ResponseCode> {
        let reply = self.udp(&plain(name, RecordType::A)).await;
        match reply.metadata.response_code {
            ResponseCode::NoError => {
                Ok(reply.answers.iter().filter_map(|r| r.data.ip_addr()).map(|ip| ip.to_string()).collect())
            }
            code => Err(code),
        }
    }
}

/// A question without EDNS.
fn plain(text: &str, kind: RecordType) -> Message {
    let mut request = wire::question(Query::query(name(text), kind), false, false);
    request.edns = None;
    request
}

async fn write_frame(stream: &mut TcpStream, message: &Message) {
    let bytes = message.to_vec().unwrap();
    stream.write_u16(u16::try_from(bytes.len()).unwrap()).await.unwrap();
    stream.write_all(&bytes).await.unwrap();
}

async fn read_frame(stream: &mut TcpStream) -> Message {
    let mut buffer = vec![0; usize::from(stream.read_u16().await.unwrap())];
    stream.read_exact(&mut buffer).await.unwrap();
    Message::from_vec(&buffer).unwrap()
}

/// An upstream that answers as it is told and counts the questions; probes for loops are not counted.
struct FakeUpstream {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl FakeUpstream {
    /// `answer` fills in the response and says whether to send it; it is told whether TCP was used.
    async fn start(answer: impl Fn(&mut Message, bool) -> bool + Send + Sync + 'static) -> Self {
        let sockets = Sockets::bind((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
        let (address, asked) = (sockets.address(), Arc::new(AtomicUsize::new(0)));
        let (udp, tcp) = sockets.into_parts();
        let (counter, answer) = (Arc::clone(&asked), Arc::new(answer));
        let respond = move |request: &Message, tcp: bool| {
            if request.queries[0].name().to_string().ends_with("loop-check.invalid.") {
                return None;
            }
            counter.fetch_add(1, Ordering::SeqCst);
            let mut response = Message::response(request.metadata.id, request.metadata.op_code);
            response.queries.clone_from(&request.queries);
            answer(&mut response, tcp).then_some(response)
        };
        let over_tcp = respond.clone();
        tokio::spawn(async move {
            let mut buffer = vec![0; 65535];
            while let Ok((length, peer)) = udp.recv_from(&mut buffer).await {
                let request = Message::from_vec(&buffer[..length]).unwrap();
                if let Some(response) = respond(&request, false) {
                    udp.send_to(&response.to_vec().unwrap(), peer).await.unwrap();
                }
            }
        });
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = tcp.accept().await {
                let request = read_frame(&mut stream).await;
                if let Some(response) = over_tcp(&request, true) {
                    write_frame(&mut stream, &response).await;
                }
            }
        });
        Self { address, asked }
    }

    /// An upstream that knows one address for every name.
    async fn knowing(last: u8) -> Self {
        Self::start(move |response, _| {
            add_address(response, last);
            true
        })
        .await
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn add_address(response: &mut Message, last: u8) {
    let name = response.queries[0].name().clone();
    response.add_answer(Record::from_rdata(name, 60, RData::A(A(Ipv4Addr::new(192, 0, 2, last)))));
}
