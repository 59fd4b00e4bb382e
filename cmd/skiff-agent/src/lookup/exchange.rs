//! One question to each server in turn, over UDP and where need be over TCP.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket},
    time::{Duration, Instant},
};

use hickory_proto::{
    op::{Message, Query, ResponseCode},
    rr::{Name, RecordType},
};

use crate::wire;

/// Asks the servers in order for the first useful answer.
pub(super) fn ask_all(servers: &[SocketAddr], name: &Name, kind: RecordType, patience: Duration) -> Option<Message> {
    servers.iter().find_map(|server| match ask(*server, name, kind, patience) {
        Ok(reply) => {
            matches!(reply.metadata.response_code, ResponseCode::NoError | ResponseCode::NXDomain).then_some(reply)
        }
        Err(error) => {
            tracing::debug!(%server, %name, %error, "no answer");
            None
        }
    })
}

fn ask(server: SocketAddr, name: &Name, kind: RecordType, patience: Duration) -> io::Result<Message> {
    let question = wire::question(Query::query(name.clone(), kind), false, false);
    let bytes = question.to_vec().map_err(invalid)?;
    let reply = ask_udp(server, &question, &bytes, patience)?;
    if reply.metadata.truncation { ask_tcp(server, &question, &bytes, patience) } else { Ok(reply) }
}

fn ask_udp(server: SocketAddr, question: &Message, bytes: &[u8], patience: Duration) -> io::Result<Message> {
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any)?;
    socket.connect(server)?;
    socket.send(bytes)?;
    let end = Instant::now() + patience;
    let mut buffer = [0; 4096];
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        socket.set_read_timeout(Some(left))?;
        let length = socket.recv(&mut buffer)?;
        match Message::from_vec(&buffer[..length]) {
            Ok(reply) if wire::answers(&reply, question) => return Ok(reply),
            _ => {}
        }
    }
}

fn ask_tcp(server: SocketAddr, question: &Message, bytes: &[u8], patience: Duration) -> io::Result<Message> {
    let mut stream = TcpStream::connect_timeout(&server, patience)?;
    stream.set_read_timeout(Some(patience))?;
    let length = u16::try_from(bytes.len()).map_err(invalid)?;
    stream.write_all(&[&length.to_be_bytes(), bytes].concat())?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut buffer = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut buffer)?;
    let reply = Message::from_vec(&buffer).map_err(invalid)?;
    if wire::answers(&reply, question) { Ok(reply) } else { Err(io::ErrorKind::InvalidData.into()) }
}

fn invalid(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
