//! A name server and a service on the loopback device.

use std::net::Ipv4Addr;

use hickory_proto::{
    op::Message,
    rr::{RData, Record},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UdpSocket,
};

use super::*;

/// A name server that has the address 127.0.0.1 for every name.
async fn name_server() -> SocketAddr {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 1024];
        loop {
            let (length, peer) = socket.recv_from(&mut buffer).await.unwrap();
            let request = Message::from_vec(&buffer[..length]).unwrap();
            let mut reply = Message::response(request.metadata.id, request.metadata.op_code);
            reply.queries.clone_from(&request.queries);
            let name = request.queries[0].name().clone();
            reply.add_answer(Record::from_rdata(name, 5, RData::A(Ipv4Addr::LOCALHOST.into())));
            socket.send_to(&reply.to_vec().unwrap(), peer).await.unwrap();
        }
    });
    address
}

/// A service that sends back what it gets, up to its end.
async fn echo() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut all = Vec::new();
                stream.read_to_end(&mut all).await.unwrap();
                stream.write_all(&all).await.unwrap();
            });
        }
    });
    port
}

async fn forward(port: u16) -> (SocketAddr, Arc<Forward>) {
    let service = format!("registry.kube-system.svc.cluster.local:{port}").parse().unwrap();
    let forward = Arc::new(Forward::new(Target::new(service, name_server().await)));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(Arc::clone(&forward).listen(listener));
    (address, forward)
}

async fn exchange(address: SocketAddr) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"there and back").await?;
    stream.shutdown().await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(answer)
}

#[tokio::test]
async fn both_directions_are_passed_on_to_their_ends() {
    let (address, forward) = forward(echo().await).await;
    assert_eq!(exchange(address).await.unwrap(), b"there and back");
    assert_eq!((forward.passed_on.get(), forward.failed.get()), (1, 0));
}

#[tokio::test]
async fn readiness_means_that_the_service_was_reached() {
    let (_, forward) = forward(echo().await).await;
    assert!(!http::Probe::is_ready(forward.as_ref()));
    Arc::clone(&forward).try_until_reached().await;
    assert!(http::Probe::is_ready(forward.as_ref()));
}

#[tokio::test]
async fn a_service_that_is_away_costs_the_connection_and_nothing_else() {
    let gone = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap().port();
    let (address, forward) = forward(gone).await;
    for failed in 1..=2 {
        // Whether the end comes as an end or as a reset depends on who was faster.
        assert!(exchange(address).await.unwrap_or_default().is_empty());
        while forward.failed.get() < failed {
            tokio::task::yield_now().await;
        }
    }
    assert!(!http::Probe::is_ready(forward.as_ref()));
}
