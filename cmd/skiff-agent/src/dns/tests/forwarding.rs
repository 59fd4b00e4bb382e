//! What clients see of names outside the cluster.

use super::*;

#[tokio::test]
async fn a_foreign_name_is_forwarded_once_and_then_remembered() {
    let upstream = FakeUpstream::knowing(1).await;
    let server = start(ready_state(), vec![upstream.address]).await;
    for _ in 0..3 {
        assert_eq!(server.addresses("www.example.com.").await, Ok(vec!["192.0.2.1".to_owned()]));
    }
    assert_eq!(upstream.asked(), 1);
    assert_eq!((server.metrics.cache_misses.get(), server.metrics.cache_hits.get()), (1, 2));
}

#[tokio::test]
async fn foreign_names_work_before_the_zone_is_complete() {
    let upstream = FakeUpstream::knowing(1).await;
    let server = start(state(), vec![upstream.address]).await;
    assert_eq!(server.addresses("www.example.com.").await, Ok(vec!["192.0.2.1".to_owned()]));
}

#[tokio::test]
async fn an_alias_to_the_outside_comes_with_what_it_leads_to() {
    let upstream = FakeUpstream::knowing(7).await;
    let server = start(ready_state(), vec![upstream.address]).await;
    for _ in 0..2 {
        let reply = server.udp(&plain("outside.default.svc.cluster.local.", RecordType::A)).await;
        let lines: Vec<String> = reply.answers.iter().map(Record::to_string).collect();
        assert_eq!(
            lines,
            ["outside.default.svc.cluster.local. 5 IN CNAME www.example.com.", "www.example.com. 60 IN A 192.0.2.7"]
        );
        assert_eq!(reply.queries[0].name(), &name("outside.default.svc.cluster.local."));
    }
}

#[tokio::test]
async fn a_silent_upstream_is_passed_over() {
    let silent = FakeUpstream::start(|_, _| false).await;
    let good = FakeUpstream::knowing(2).await;
    let server = start(ready_state(), vec![silent.address, good.address]).await;
    for i in 0..4 {
        let found = server.addresses(&format!("host{i}.example.com.")).await;
        assert_eq!(found, Ok(vec!["192.0.2.2".to_owned()]));
    }
    assert!(silent.asked() < 4, "after some silence it is given a rest");
}

#[tokio::test]
async fn an_upstream_that_cannot_answer_is_followed_by_one_that_can() {
    let failing = FakeUpstream::start(|response, _| {
        response.metadata.response_code = ResponseCode::ServFail;
        true
    })
    .await;
    let good = FakeUpstream::knowing(3).await;
    let closed = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap();
    let server = start(ready_state(), vec![closed, failing.address, good.address]).await;
    assert_eq!(server.addresses("www.example.com.").await, Ok(vec!["192.0.2.3".to_owned()]));
}

#[tokio::test]
async fn what_all_upstreams_refuse_is_passed_on_as_they_said_it() {
    let refusing = FakeUpstream::start(|response, _| {
        response.metadata.response_code = ResponseCode::Refused;
        true
    })
    .await;
    let server = start(ready_state(), vec![refusing.address]).await;
    assert_eq!(server.addresses("www.example.com.").await, Err(ResponseCode::Refused));
    assert_eq!(refusing.asked(), 1, "asking the same server again is no use");
}

#[tokio::test]
async fn without_an_answer_from_upstream_the_client_gets_a_failure() {
    let silent = FakeUpstream::start(|_, _| false).await;
    for upstreams in [vec![], vec![silent.address]] {
        let server = start(ready_state(), upstreams).await;
        assert_eq!(server.addresses("www.example.com.").await, Err(ResponseCode::ServFail));
        assert_eq!(server.metrics.forwards_failed.get(), 1);
    }
}

#[tokio::test]
async fn an_answer_too_long_for_a_datagram_is_fetched_over_tcp() {
    let upstream = FakeUpstream::start(|response, tcp| {
        response.metadata.truncation = !tcp;
        (0..if tcp { 200 } else { 0 }).for_each(|last| add_address(response, last));
        true
    })
    .await;
    let server = start(ready_state(), vec![upstream.address]).await;
    let reply = server.tcp(&[plain("www.example.com.", RecordType::A)]).await.remove(0);
    assert_eq!(reply.answers.len(), 200);
    assert!(!reply.metadata.truncation);
}

#[tokio::test]
async fn an_answer_to_another_question_is_passed_over() {
    let forger = FakeUpstream::start(|response, _| {
        add_address(response, 66);
        response.queries = vec![Query::query(name("else.example.com."), RecordType::A)];
        true
    })
    .await;
    let server = start(ready_state(), vec![forger.address]).await;
    assert_eq!(server.addresses("www.example.com.").await, Err(ResponseCode::ServFail));
}

#[tokio::test]
async fn equal_questions_at_the_same_time_are_forwarded_once() {
    let upstream = FakeUpstream::knowing(4).await;
    let server = start(ready_state(), vec![upstream.address]).await;
    let requests = vec![plain("www.example.com.", RecordType::A); 20];
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    socket.connect(server.address).await.unwrap();
    for request in &requests {
        socket.send(&request.to_vec().unwrap()).await.unwrap();
    }
    let mut buffer = [0; 512];
    for _ in &requests {
        let length = timeout(PATIENCE, socket.recv(&mut buffer)).await.unwrap().unwrap();
        assert_eq!(Message::from_vec(&buffer[..length]).unwrap().answers.len(), 1);
    }
    assert_eq!(upstream.asked(), 1);
}

#[tokio::test]
async fn an_upstream_that_leads_back_to_us_is_dropped() {
    let sockets = Sockets::bind((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
    let (own, good) = (sockets.address(), FakeUpstream::knowing(5).await);
    let server = start_on(sockets, ready_state(), vec![own, good.address]);
    assert_eq!(server.addresses("www.example.com.").await, Ok(vec!["192.0.2.5".to_owned()]));
    let before = server.metrics.server.udp_requests.get();
    assert_eq!(server.addresses("more.example.com.").await, Ok(vec!["192.0.2.5".to_owned()]));
    assert_eq!(server.metrics.server.udp_requests.get(), before + 1, "only the client's own request arrived");
}

#[tokio::test]
async fn a_loop_over_another_server_ends_in_one_failure_without_a_storm() {
    let (ours, theirs) = (
        Sockets::bind((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap(),
        Sockets::bind((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap(),
    );
    let (our_address, their_address) = (ours.address(), theirs.address());
    let us = start_on(ours, ready_state(), vec![their_address]);
    let them = start_on(theirs, ready_state(), vec![our_address]);
    assert_eq!(us.addresses("www.example.com.").await, Err(ResponseCode::ServFail));
    let requests = us.metrics.server.udp_requests.get() + them.metrics.server.udp_requests.get();
    assert!(requests < 20, "{requests} requests");
}

#[tokio::test]
async fn the_upstreams_record_types_that_we_do_not_know_are_passed_on() {
    let upstream = FakeUpstream::start(|response, _| {
        let name = response.queries[0].name().clone();
        let data = RData::Unknown {
            code: RecordType::Unknown(65_300),
            rdata: hickory_proto::rr::rdata::NULL::with(vec![1, 2, 3]),
        };
        response.add_answer(Record::from_rdata(name, 60, data));
        true
    })
    .await;
    let server = start(ready_state(), vec![upstream.address]).await;
    let reply = server.udp(&plain("odd.example.com.", RecordType::Unknown(65_300))).await;
    assert_eq!(reply.answers.len(), 1);
}
