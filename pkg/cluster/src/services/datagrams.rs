//! Datagrams to a service. The API server carries no datagrams: a program inside the cluster sends them on, which
//! one stream leads to. On it, each datagram has its sender's number (4 bytes) and its length (2 bytes) before it.

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use skiff_kubeapi::PodConnection;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split},
    net::UdpSocket,
    time::{sleep, timeout},
};

use super::{ServiceApi, forward::Carrier};

/// No datagram is larger.
const LARGEST: usize = 65535;
/// How long a sender is remembered that is silent: as long as the other end remembers it, and some more.
const REMEMBERED: Duration = Duration::from_secs(90);
/// With more senders than this, those that were silent for long are forgotten.
const MANY: usize = 256;
/// The pause after a stream that broke.
const REST: Duration = Duration::from_millis(500);

/// Carries what comes to a socket, for as long as it is polled.
pub(super) async fn carry<A: ServiceApi>(socket: UdpSocket, carrier: Arc<Carrier<A>>) {
    loop {
        // Nothing is started before somebody wants something.
        if socket.readable().await.is_err() {
            sleep(REST).await;
            continue;
        }
        match carrier.relay().await {
            Ok(PodConnection { stream, refusal }) => {
                let (output, input) = split(stream);
                let ended = exchange(&socket, input, output, || carrier.tell(None)).await;
                let said = timeout(REST, refusal).await.ok().flatten();
                let said = said.or_else(|| ended.err().map(|error| error.to_string()));
                carrier.tell(said.map(|said| format!("{}: {said}", carrier.name())));
            }
            Err(trouble) => {
                carrier.tell(Some(trouble));
                // What waited has waited in vain.
                let _ = socket.try_recv(&mut [0]);
            }
        }
        sleep(REST).await;
    }
}

/// Who sends, and the numbers they have in the stream.
#[derive(Default)]
struct Senders {
    numbers: HashMap<SocketAddr, (u32, Instant)>,
    addresses: HashMap<u32, SocketAddr>,
    last: u32,
}

impl Senders {
    fn number(&mut self, address: SocketAddr) -> u32 {
        if self.numbers.len() > MANY {
            self.numbers.retain(|_, (_, heard)| heard.elapsed() < REMEMBERED);
            self.addresses.retain(|_, address| self.numbers.contains_key(address));
        }
        let last = &mut self.last;
        let (number, heard) = self.numbers.entry(address).or_insert_with(|| {
            *last = last.wrapping_add(1);
            (*last, Instant::now())
        });
        *heard = Instant::now();
        self.addresses.insert(*number, address);
        *number
    }
}

/// Carries datagrams both ways until the stream ends.
async fn exchange(
    socket: &UdpSocket,
    mut input: impl AsyncWrite + Unpin,
    mut output: impl AsyncRead + Unpin,
    went_well: impl Fn(),
) -> io::Result<()> {
    let senders = Mutex::new(Senders::default());
    let senders = || senders.lock().unwrap_or_else(PoisonError::into_inner);
    let up = async {
        let mut buffer = vec![0; LARGEST];
        loop {
            let (length, from) = socket.recv_from(&mut buffer).await?;
            let number = senders().number(from);
            let size = u16::try_from(length).unwrap_or(u16::MAX);
            let frame = [&number.to_be_bytes()[..], &size.to_be_bytes(), &buffer[..usize::from(size)]].concat();
            input.write_all(&frame).await?;
            input.flush().await?;
        }
    };
    let down = async {
        loop {
            let number = output.read_u32().await?;
            let mut datagram = vec![0; usize::from(output.read_u16().await?)];
            output.read_exact(&mut datagram).await?;
            let address = senders().addresses.get(&number).copied();
            if let Some(address) = address {
                // A sender that is gone needs no answer.
                let _ = socket.send_to(&datagram, address).await;
                went_well();
            }
        }
    };
    tokio::select! {
        ended = up => ended,
        ended = down => ended,
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    /// The other end of a stream: it sends everything back.
    async fn echo(stream: impl AsyncRead + AsyncWrite) {
        let (mut from, mut to) = split(stream);
        let _ = tokio::io::copy(&mut from, &mut to).await;
    }

    #[tokio::test]
    async fn each_sender_gets_its_own_answers() {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let at = socket.local_addr().unwrap();
        let (near, far) = tokio::io::duplex(1024);
        tokio::spawn(echo(far));
        let (output, input) = split(near);
        let carried = tokio::spawn(async move { exchange(&socket, input, output, || ()).await });
        let mut clients = Vec::new();
        for text in ["one", "", "three"] {
            let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            client.send_to(text.as_bytes(), at).await.unwrap();
            clients.push((client, text));
        }
        for (client, text) in clients {
            let mut buffer = [0; 16];
            let (length, from) = client.recv_from(&mut buffer).await.unwrap();
            assert_eq!((&buffer[..length], from), (text.as_bytes(), at));
        }
        carried.abort();
    }

    #[tokio::test]
    async fn the_end_of_the_stream_is_the_end() {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let (near, far) = tokio::io::duplex(64);
        drop(far);
        let (output, input) = split(near);
        assert!(exchange(&socket, input, output, || ()).await.is_err());
    }
}
