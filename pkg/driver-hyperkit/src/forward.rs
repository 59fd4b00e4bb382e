//! Ports of the host that lead into a machine.
//!
//! vmnet forwards nothing, and the address it gives to a machine may change. So a process of
//! skiff's listens on the ports that a node publishes for as long as its machine runs, and asks
//! anew for the machine's address whenever somebody connects: a lease that moved is followed.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use skiff_vm::PortForward;
use tokio::{
    net::{TcpListener, TcpStream, UdpSocket},
    task::JoinSet,
    time::{sleep, timeout},
};

/// How long a machine may take to answer a connection.
const CONNECT: Duration = Duration::from_secs(10);

/// How long to wait after the system refused a connection for want of files.
const RECOVER: Duration = Duration::from_millis(200);

/// How long a conversation over UDP may be silent.
const SILENCE: Duration = Duration::from_secs(60);

/// How many conversations over UDP a port may have.
const CONVERSATIONS: usize = 512;

/// Room for the longest datagram.
const DATAGRAM: usize = 65_536;

/// Tells the machine's address at the moment, as far as it is known.
pub(crate) type Target = Arc<dyn Fn() -> Option<Ipv4Addr> + Send + Sync>;

/// Ports that are listened on and lead nowhere yet.
#[derive(Debug)]
pub(crate) struct Bound {
    streams: Vec<(TcpListener, u16)>,
    datagrams: Vec<(UdpSocket, u16)>,
}

impl Bound {
    /// Takes all ports, or none: the first that is in use is told.
    pub(crate) async fn bind(ports: &[PortForward]) -> Result<Self, (SocketAddr, io::Error)> {
        let mut bound = Self { streams: Vec::new(), datagrams: Vec::new() };
        for port in ports {
            let address = port.address();
            let failed = |error| (address, error);
            if port.udp {
                bound.datagrams.push((UdpSocket::bind(address).await.map_err(failed)?, port.node_port));
            } else {
                bound.streams.push((TcpListener::bind(address).await.map_err(failed)?, port.node_port));
            }
        }
        Ok(bound)
    }

    /// Forwards for ever.
    pub(crate) async fn serve(self, target: Target) {
        let mut tasks = JoinSet::new();
        for (listener, port) in self.streams {
            tasks.spawn(streams(listener, port, Arc::clone(&target)));
        }
        for (socket, port) in self.datagrams {
            tasks.spawn(datagrams(Arc::new(socket), port, Arc::clone(&target)));
        }
        while tasks.join_next().await.is_some() {}
        std::future::pending().await
    }
}

async fn streams(listener: TcpListener, port: u16, target: Target) {
    loop {
        match listener.accept().await {
            Ok((client, _)) => drop(tokio::spawn(stream(client, port, target()))),
            Err(_) => sleep(RECOVER).await,
        }
    }
}

/// One connection. A machine that cannot be reached ends it, as a closed port would.
async fn stream(mut client: TcpStream, port: u16, address: Option<Ipv4Addr>) {
    let Some(address) = address else { return };
    let Ok(Ok(mut machine)) = timeout(CONNECT, TcpStream::connect((address, port))).await else { return };
    // What is typed into a shell shall not wait for more.
    let _ = (client.set_nodelay(true), machine.set_nodelay(true));
    let _ = tokio::io::copy_bidirectional(&mut client, &mut machine).await;
}

type Conversations = Arc<Mutex<HashMap<SocketAddr, Arc<UdpSocket>>>>;

async fn datagrams(socket: Arc<UdpSocket>, port: u16, target: Target) {
    let conversations = Conversations::default();
    let mut buffer = vec![0; DATAGRAM];
    loop {
        let Ok((length, client)) = socket.recv_from(&mut buffer).await else {
            sleep(RECOVER).await;
            continue;
        };
        let known = conversations.lock().unwrap_or_else(PoisonError::into_inner).get(&client).map(Arc::clone);
        let machine = match known {
            Some(machine) => machine,
            None => match conversation(client, port, &target, &socket, &conversations).await {
                Some(machine) => machine,
                None => continue,
            },
        };
        // A datagram may always get lost.
        let _ = machine.send(&buffer[..length]).await;
    }
}

/// Begins a conversation with a client: answers go back to it until there are none for a while.
async fn conversation(
    client: SocketAddr,
    port: u16,
    target: &Target,
    socket: &Arc<UdpSocket>,
    conversations: &Conversations,
) -> Option<Arc<UdpSocket>> {
    let address = target()?;
    let machine = UdpSocket::bind((IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0)).await.ok()?;
    machine.connect((address, port)).await.ok()?;
    let machine = Arc::new(machine);
    {
        let mut known = conversations.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= CONVERSATIONS {
            return None;
        }
        known.insert(client, Arc::clone(&machine));
    }
    let (socket, conversations, answers) = (Arc::clone(socket), Arc::clone(conversations), Arc::clone(&machine));
    tokio::spawn(async move {
        let mut buffer = vec![0; DATAGRAM];
        while let Ok(Ok(length)) = timeout(SILENCE, answers.recv(&mut buffer)).await {
            let _ = socket.send_to(&buffer[..length], client).await;
        }
        conversations.lock().unwrap_or_else(PoisonError::into_inner).remove(&client);
    });
    Some(machine)
}

#[cfg(test)]
mod tests {
    use skiff_config::Protocol;
    use skiff_driver::{Published, Purpose};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn published(protocol: Protocol, host_port: u16, node_port: u16) -> PortForward {
        let host_ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
        PortForward::from(&Published { purpose: Purpose::User, host_ip, host_port, node_port, protocol })
    }

    fn free_port() -> u16 {
        std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
    }

    fn at(address: &Arc<Mutex<Option<Ipv4Addr>>>) -> Target {
        let address = Arc::clone(address);
        Arc::new(move || *address.lock().unwrap())
    }

    #[tokio::test]
    async fn a_machine_that_moves_is_followed() {
        // The same port at two addresses: the machine before and after its lease moved.
        let first = TcpListener::bind("127.0.0.2:0").await.unwrap();
        let port = first.local_addr().unwrap().port();
        let second = TcpListener::bind(("127.0.0.3", port)).await.unwrap();
        for (listener, word) in [(first, "first"), (second, "second")] {
            tokio::spawn(async move {
                while let Ok((mut client, _)) = listener.accept().await {
                    let mut line = String::new();
                    client.read_to_string(&mut line).await.unwrap();
                    client.write_all(format!("{word} heard {line}").as_bytes()).await.unwrap();
                }
            });
        }
        let address = Arc::new(Mutex::new(None));
        let host_port = free_port();
        let bound = Bound::bind(&[published(Protocol::Tcp, host_port, port)]).await.unwrap();
        let serving = tokio::spawn(bound.serve(at(&address)));
        let ask = async || {
            let mut client = TcpStream::connect(("127.0.0.1", host_port)).await.unwrap();
            let mut answer = String::new();
            // The end of what is said goes through while the answer is still to come.
            let _ = client.write_all(b"hello").await;
            let _ = client.shutdown().await;
            let _ = client.read_to_string(&mut answer).await;
            answer
        };
        assert_eq!(ask().await, "");
        *address.lock().unwrap() = Some(Ipv4Addr::new(127, 0, 0, 2));
        assert_eq!(ask().await, "first heard hello");
        *address.lock().unwrap() = Some(Ipv4Addr::new(127, 0, 0, 3));
        assert_eq!(ask().await, "second heard hello");
        serving.abort();
    }

    #[tokio::test]
    async fn datagrams_are_answered_to_whom_they_came_from() {
        let machine = UdpSocket::bind("127.0.0.2:0").await.unwrap();
        let port = machine.local_addr().unwrap().port();
        tokio::spawn(async move {
            let mut buffer = [0; 64];
            while let Ok((length, from)) = machine.recv_from(&mut buffer).await {
                machine.send_to(&buffer[..length], from).await.unwrap();
            }
        });
        let host_port = free_port();
        let address = Arc::new(Mutex::new(Some(Ipv4Addr::new(127, 0, 0, 2))));
        let bound = Bound::bind(&[published(Protocol::Udp, host_port, port)]).await.unwrap();
        let serving = tokio::spawn(bound.serve(at(&address)));
        for word in ["one", "two"] {
            let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            client.send_to(word.as_bytes(), ("127.0.0.1", host_port)).await.unwrap();
            let mut buffer = [0; 64];
            let length = timeout(CONNECT, client.recv(&mut buffer)).await.unwrap().unwrap();
            assert_eq!(&buffer[..length], word.as_bytes());
        }
        serving.abort();
    }

    #[tokio::test]
    async fn a_port_in_use_is_told_and_the_others_are_let_go() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let _holder = TcpListener::bind(taken).await.unwrap();
        let free = free_port();
        let ports = [published(Protocol::Tcp, free, 1), published(Protocol::Tcp, taken.port(), 2)];
        let (address, error) = Bound::bind(&ports).await.unwrap_err();
        assert_eq!((address, error.kind()), (taken, io::ErrorKind::AddrInUse));
        assert!(std::net::TcpListener::bind(("127.0.0.1", free)).is_ok());
    }
}
