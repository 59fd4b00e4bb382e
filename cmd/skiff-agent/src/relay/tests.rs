//! Servers on the loopback device, and a pipe in place of standard input and output.

use std::net::Ipv4Addr;

use tokio::{
    io::{AsyncReadExt, duplex, split},
    net::{TcpListener, UdpSocket},
};

use super::*;

const ANY: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

#[tokio::test]
async fn bytes_go_both_ways_until_the_server_ends() {
    let listener = TcpListener::bind(ANY).await.unwrap();
    let to = listener.local_addr().unwrap();
    let (mut near, far) = duplex(64);
    let (input, output) = split(far);
    let relay = tokio::spawn(connection(to, input, output));
    near.write_all(b"there").await.unwrap();
    let (mut server, _) = listener.accept().await.unwrap();
    let mut heard = [0; 5];
    server.read_exact(&mut heard).await.unwrap();
    server.write_all(b"and back").await.unwrap();
    drop(server);
    relay.await.unwrap().unwrap();
    let mut answer = [0; 8];
    near.read_exact(&mut answer).await.unwrap();
    assert_eq!((&heard, &answer), (b"there", b"and back"));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told() {
    let gone = TcpListener::bind(ANY).await.unwrap().local_addr().unwrap();
    let (near, far) = duplex(64);
    let (input, output) = split(far);
    let error = connection(gone, input, output).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    drop(near);
}

fn frame(sender: u32, datagram: &[u8]) -> Vec<u8> {
    let length = u16::try_from(datagram.len()).unwrap();
    [&sender.to_be_bytes()[..], &length.to_be_bytes(), datagram].concat()
}

#[tokio::test]
async fn each_sender_gets_the_answers_to_its_own_datagrams() {
    let server = UdpSocket::bind(ANY).await.unwrap();
    let to = server.local_addr().unwrap();
    let (mut near, far) = duplex(1024);
    let (input, output) = split(far);
    let relay = tokio::spawn(datagrams::carry(to, input, output));
    near.write_all(&[frame(1, b"one"), frame(2, b"two")].concat()).await.unwrap();
    let mut heard = Vec::new();
    for _ in 0..2 {
        let mut buffer = [0; 16];
        let (length, from) = server.recv_from(&mut buffer).await.unwrap();
        heard.push((buffer[..length].to_vec(), from));
    }
    heard.sort();
    assert_ne!(heard[0].1, heard[1].1);
    for (sender, (said, from)) in (1..).zip(&heard) {
        server.send_to(said, from).await.unwrap();
        let mut answer = [0; 9];
        near.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer[..], frame(sender, said));
    }
    drop(near);
    relay.await.unwrap().unwrap();
}
