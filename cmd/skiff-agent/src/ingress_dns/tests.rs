//! The role but for the API server: real sockets on the loopback device.

use std::net::{Ipv4Addr, SocketAddr};

use hickory_proto::{
    op::{Message, Query, ResponseCode},
    rr::RecordType,
};
use serde_json::json;
use tokio::net::UdpSocket;

use super::*;
use crate::wire;

async fn start(responder: &Arc<Responder>) -> SocketAddr {
    let sockets = Sockets::bind((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
    let address = sockets.address();
    tokio::spawn(server::serve(sockets, Arc::clone(responder), Arc::default()));
    address
}

async fn ask(server: SocketAddr, name: &str, kind: RecordType) -> Message {
    let question = wire::question(Query::query(Name::from_ascii(name).unwrap(), kind), false, false);
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    socket.connect(server).await.unwrap();
    socket.send(&question.to_vec().unwrap()).await.unwrap();
    let mut buffer = [0; 4096];
    let length = socket.recv(&mut buffer).await.unwrap();
    let reply = Message::from_vec(&buffer[..length]).unwrap();
    assert!(wire::answers(&reply, &question));
    reply
}

fn responder() -> Arc<Responder> {
    Arc::new(Responder::new(Hosts::new(vec!["test".to_owned()], vec!["192.0.2.1".parse().unwrap()], None)))
}

#[tokio::test]
async fn hosts_of_ingresses_are_answered_as_they_come() {
    let responder = responder();
    let server = start(&responder).await;
    let early = ask(server, "shop.example.com.", RecordType::A).await;
    assert_eq!(early.metadata.response_code, ResponseCode::ServFail, "nobody knows yet");
    let ingress = json!({
        "metadata": {"namespace": "n", "name": "shop"}, "spec": {"rules": [{"host": "shop.example.com"}]},
    });
    let rules = Rules::of(&serde_json::from_value(ingress).unwrap()).unwrap();
    responder.change(|hosts| hosts.apply(rules));
    let reply = ask(server, "Shop.example.com.", RecordType::A).await;
    assert!(reply.metadata.authoritative && !reply.metadata.recursion_available);
    assert_eq!(reply.answers[0].to_string(), "Shop.example.com. 5 IN A 192.0.2.1");
    let six = ask(server, "shop.example.com.", RecordType::AAAA).await;
    assert_eq!((six.metadata.response_code, six.answers.len(), six.authorities.len()), (ResponseCode::NoError, 0, 1));
    let foreign = ask(server, "example.org.", RecordType::A).await;
    assert_eq!(foreign.metadata.response_code, ResponseCode::Refused);
}

#[tokio::test]
async fn a_domain_is_answered_before_anything_is_known() {
    let server = start(&responder()).await;
    let reply = ask(server, "anything.test.", RecordType::A).await;
    assert_eq!(reply.answers[0].to_string(), "anything.test. 5 IN A 192.0.2.1");
}

#[test]
fn domains_may_be_written_in_several_ways() {
    for text in ["test", "*.test", ".test", "*.Test.", " test "] {
        assert_eq!(parse_domain(text), Ok(Domain(Some("test".to_owned()))), "{text}");
    }
    assert_eq!(parse_domain(""), Ok(Domain(None)));
    for bad in ["a.*.test", "a..b", &"a".repeat(64)] {
        assert!(parse_domain(bad).is_err(), "{bad}");
    }
}
