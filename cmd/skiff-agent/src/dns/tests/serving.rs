//! What clients see of the cluster's own names.

use hickory_proto::op::{Edns, MessageType};

use super::*;

const WEB: &str = "web.default.svc.cluster.local.";
const MANY: &str = "many.default.svc.cluster.local.";

#[tokio::test]
async fn udp_and_tcp_give_the_same_authoritative_answer() {
    let server = start(ready_state(), vec![]).await;
    let request = plain(WEB, RecordType::A);
    for reply in [server.udp(&request).await, server.tcp(std::slice::from_ref(&request)).await.remove(0)] {
        let head = &reply.metadata;
        assert_eq!((head.id, head.message_type), (request.metadata.id, MessageType::Response));
        assert!(head.authoritative && head.recursion_available && head.recursion_desired && !head.truncation);
        assert_eq!(reply.queries, request.queries);
        assert_eq!(reply.answers[0].to_string(), format!("{WEB} 5 IN A 10.3.0.1"));
        assert!(reply.edns.is_none());
    }
    assert_eq!((server.metrics.server.udp_requests.get(), server.metrics.server.tcp_requests.get()), (1, 1));
}

#[tokio::test]
async fn one_connection_serves_many_requests() {
    let server = start(ready_state(), vec![]).await;
    let requests = [plain(WEB, RecordType::A), plain(MANY, RecordType::A), plain("nope.cluster.local.", RecordType::A)];
    let replies = server.tcp(&requests).await;
    assert_eq!(replies.iter().map(|reply| reply.answers.len()).collect::<Vec<_>>(), [1, 100, 0]);
}

#[tokio::test]
async fn long_answers_are_cut_to_the_clients_size_and_whole_over_tcp() {
    let server = start(ready_state(), vec![]).await;
    let mut request = plain(MANY, RecordType::A);
    let bytes = server.udp_bytes(&request.to_vec().unwrap()).await;
    assert!(bytes.len() <= 512);
    assert!(Message::from_vec(&bytes).unwrap().metadata.truncation);
    assert_eq!(server.tcp(&[request.clone()]).await[0].answers.len(), 100);

    for (size, cut) in [(1232, true), (4096, false)] {
        let mut edns = Edns::new();
        edns.set_max_payload(size);
        request.set_edns(edns);
        let bytes = server.udp_bytes(&request.to_vec().unwrap()).await;
        let reply = Message::from_vec(&bytes).unwrap();
        assert!(bytes.len() <= usize::from(size));
        assert_eq!((reply.metadata.truncation, reply.edns.is_some()), (cut, true), "{size}");
    }
}

#[tokio::test]
async fn an_unknown_edns_version_is_refused() {
    let server = start(ready_state(), vec![]).await;
    let mut request = plain(WEB, RecordType::A);
    let mut edns = Edns::new();
    edns.set_version(1);
    request.set_edns(edns);
    let reply = server.udp(&request).await;
    // This code has two names.
    assert_eq!(u16::from(reply.metadata.response_code), 16);
    assert_eq!(reply.edns.unwrap().version(), 0);
}

#[tokio::test]
async fn negative_answers_tell_apart_what_is_missing() {
    let server = start(ready_state(), vec![]).await;
    let reply = server.udp(&plain(WEB, RecordType::AAAA)).await;
    assert_eq!((reply.metadata.response_code, reply.authorities.len()), (ResponseCode::NoError, 1));
    let reply = server.udp(&plain("nope.default.svc.cluster.local.", RecordType::A)).await;
    assert_eq!((reply.metadata.response_code, reply.authorities.len()), (ResponseCode::NXDomain, 1));
    assert_eq!(reply.authorities[0].record_type(), RecordType::SOA);
    assert!(reply.metadata.authoritative);
}

#[tokio::test]
async fn before_the_first_full_list_nothing_is_said_not_to_exist() {
    let state = state();
    let server = start(Arc::clone(&state), vec![]).await;
    assert_eq!(server.addresses(WEB).await, Err(ResponseCode::ServFail));
    state.change(Part::Services, |zone| zone.replace_services(vec![]));
    state.change(Part::Slices, |zone| zone.replace_slices(vec![]));
    assert_eq!(server.addresses(WEB).await, Err(ResponseCode::ServFail));
    state.change(Part::Namespaces, |zone| zone.apply_namespace("default".to_owned()));
    assert_eq!(server.addresses(WEB).await, Err(ResponseCode::NXDomain));
}

#[tokio::test]
async fn the_first_of_several_addresses_changes_from_answer_to_answer() {
    let server = start(ready_state(), vec![]).await;
    let first = server.tcp(&[plain(MANY, RecordType::A)]).await[0].answers[0].clone();
    let second = server.tcp(&[plain(MANY, RecordType::A)]).await[0].answers[0].clone();
    assert_ne!(first, second);
}

#[tokio::test]
async fn aliases_inside_the_cluster_are_followed_but_not_in_circles() {
    let server = start(ready_state(), vec![]).await;
    let reply = server.udp(&plain("inside.default.svc.cluster.local.", RecordType::A)).await;
    let kinds: Vec<RecordType> = reply.answers.iter().map(Record::record_type).collect();
    assert_eq!(kinds, [RecordType::CNAME, RecordType::A]);
    assert_eq!(server.addresses("ring.default.svc.cluster.local.").await, Err(ResponseCode::ServFail));
}

#[tokio::test]
async fn requests_that_make_no_sense_get_the_right_code() {
    let server = start(ready_state(), vec![]).await;
    let mut two = plain(WEB, RecordType::A);
    two.add_queries(two.queries.clone());
    assert_eq!(server.udp(&two).await.metadata.response_code, ResponseCode::FormErr);

    let transfer = plain("cluster.local.", RecordType::AXFR);
    assert_eq!(server.tcp(&[transfer]).await[0].metadata.response_code, ResponseCode::Refused);

    let garbage = [0x12, 0x34, 0x01, 0x00, 0x00, 0x01, 0, 0, 0, 0, 0, 0, 0xff];
    let reply = Message::from_vec(&server.udp_bytes(&garbage).await).unwrap();
    assert_eq!((reply.metadata.id, reply.metadata.response_code), (0x1234, ResponseCode::FormErr));
}

#[tokio::test]
async fn what_is_no_query_gets_a_header_that_says_so() {
    let server = start(ready_state(), vec![]).await;
    // A zone, and a prerequisite without data: the name is in use.
    let zone = b"\x07cluster\x05local\0\0\x06\0\x01";
    let in_use = b"\x03web\xc0\x0c\0\xff\0\xff\0\0\0\0\0\0";
    let update = [b"\x12\x34\x28\0\0\x01\0\x01\0\0\0\0".as_slice(), zone, in_use].concat();
    let notify = [b"\x12\x34\x20\0\0\x01\0\0\0\0\0\0".as_slice(), zone].concat();
    let unknown = [b"\x12\x34\x7f\xff".as_slice(), &[0xff; 20]].concat();
    for (request, flags) in [(update, 0xa8), (notify, 0xa0), (unknown, 0xf8)] {
        let reply = server.udp_bytes(&request).await;
        assert_eq!(reply, [0x12, 0x34, flags, 4, 0, 0, 0, 0, 0, 0, 0, 0], "{request:x?}");
    }
}

#[tokio::test]
async fn responses_and_scraps_are_not_answered() {
    let server = start(ready_state(), vec![]).await;
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    socket.connect(server.address).await.unwrap();
    let mut response = plain(WEB, RecordType::A);
    response.metadata.message_type = MessageType::Response;
    for bytes in [response.to_vec().unwrap(), vec![0; 5], vec![0xff; 40], Vec::new()] {
        socket.send(&bytes).await.unwrap();
    }
    // Datagrams keep their order here: if the first thing to come back answers the last one, nothing
    // was said to those before.
    let request = plain(WEB, RecordType::A);
    socket.send(&request.to_vec().unwrap()).await.unwrap();
    let mut buffer = [0; 512];
    let length = timeout(PATIENCE, socket.recv(&mut buffer)).await.unwrap().unwrap();
    assert_eq!(Message::from_vec(&buffer[..length]).unwrap().metadata.id, request.metadata.id);
}
