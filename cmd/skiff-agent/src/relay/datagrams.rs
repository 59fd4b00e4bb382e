//! Datagrams of many senders over one stream. Each sender has a socket of its own here, so that answers find back.

use std::{collections::HashMap, io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    net::UdpSocket,
    sync::mpsc,
    task::JoinSet,
    time::timeout,
};

/// How long a sender is remembered that gets no answers.
const REMEMBERED: Duration = Duration::from_secs(60);
/// More senders than this at a time are not served.
const MOST_SENDERS: usize = 1024;
/// Answers that may wait to be written; what comes on top is lost, as datagrams may be.
const WAITING: usize = 256;
/// No datagram is larger.
const LARGEST: usize = 65535;

/// What a sender's socket brings.
enum Event {
    Answer(Vec<u8>),
    Forgotten(u32),
}

/// Carries datagrams to `to` and answers back until the input ends.
pub(super) async fn carry(
    to: SocketAddr,
    input: impl AsyncRead + Unpin,
    mut output: impl AsyncWrite + Unpin,
) -> io::Result<()> {
    let mut input = BufReader::new(input);
    let mut senders: HashMap<u32, Arc<UdpSocket>> = HashMap::new();
    // Dropped with this future, and with it every socket.
    let mut listeners = JoinSet::new();
    let (events, mut coming) = mpsc::channel(WAITING);
    let (frames, mut going) = mpsc::channel(WAITING);
    // Reading a frame must not be cut off half-way, so it is not one of the branches.
    let reader = async {
        while let Some(frame) = read(&mut input).await? {
            if frames.send(frame).await.is_err() {
                break;
            }
        }
        Ok::<_, io::Error>(())
    };
    let mut reader = std::pin::pin!(reader);
    loop {
        tokio::select! {
            done = &mut reader => return done,
            Some((sender, datagram)) = going.recv() => {
                if !senders.contains_key(&sender) && senders.len() < MOST_SENDERS {
                    let socket = Arc::new(connected(to).await?);
                    listeners.spawn(listen(Arc::clone(&socket), sender, events.clone()));
                    senders.insert(sender, socket);
                }
                if let Some(socket) = senders.get(&sender) {
                    // Lost, as datagrams may be.
                    let _ = socket.send(&datagram).await;
                }
            }
            Some(event) = coming.recv() => match event {
                Event::Answer(frame) => {
                    output.write_all(&frame).await?;
                    output.flush().await?;
                }
                Event::Forgotten(sender) => drop(senders.remove(&sender)),
            },
            Some(_) = listeners.join_next() => {}
        }
    }
}

async fn connected(to: SocketAddr) -> io::Result<UdpSocket> {
    let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(to).await?;
    Ok(socket)
}

/// A sender's number and its datagram; none at the end.
async fn read(input: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<(u32, Vec<u8>)>> {
    let sender = match input.read_u32().await {
        Ok(sender) => sender,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut datagram = vec![0; usize::from(input.read_u16().await?)];
    input.read_exact(&mut datagram).await?;
    Ok(Some((sender, datagram)))
}

/// Passes on what comes back for a sender.
async fn listen(socket: Arc<UdpSocket>, sender: u32, events: mpsc::Sender<Event>) {
    let mut buffer = vec![0; LARGEST];
    while let Ok(received) = timeout(REMEMBERED, socket.recv(&mut buffer)).await {
        // "Nobody listens there" is told once for each datagram; the next one may find somebody.
        let Ok(length) = received else { continue };
        let size = u16::try_from(length).unwrap_or(u16::MAX);
        let mut frame = Vec::with_capacity(6 + length);
        frame.extend(sender.to_be_bytes());
        frame.extend(size.to_be_bytes());
        frame.extend(&buffer[..usize::from(size)]);
        let _ = events.try_send(Event::Answer(frame));
    }
    let _ = events.send(Event::Forgotten(sender)).await;
}
