//! Copies of requests, as routes of gateways ask for them.

use std::time::Duration;

use http::{Request, header};

use super::{
    backend::Backend,
    support::{Proxy, service},
};

/// A gateway with one route: to the service `main`, with copies to the service `copy`.
const ROUTE: &str = "kind: GatewayClass\nmetadata: {name: skiff}\nspec: {controllerName: skiff.dev/ingress}\n---\n\
    kind: Gateway\nmetadata: {name: gate}\nspec: {gatewayClassName: skiff, listeners: [{name: http, port: 80, protocol: HTTP}]}\n---\n\
    kind: HTTPRoute\nmetadata: {name: web}\nspec:\n  parentRefs: [{name: gate}]\n  rules:\n  \
    - backendRefs: [{name: main, port: 80}]\n    filters:\n    \
    - {type: RequestMirror, requestMirror: {backendRef: {name: copy, port: 80}}}\n---\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_is_whole_and_its_answer_is_nobodys() {
    let (main, copy) = (Backend::start("main").await, Backend::start("copy").await);
    let proxy = Proxy::start(&[ROUTE, &service("main", &[main.address]), &service("copy", &[copy.address])].concat());
    let body = "x".repeat(200_000);
    let request = Request::post("/order?a=b").header(header::HOST, "any.test");
    let reply = proxy.send(request, &body).await;
    assert_eq!((reply.status, reply.header("x-backend")), (200, "main"));
    assert!(reply.body.ends_with(&body));
    let heard = tokio::time::timeout(Duration::from_secs(60), copy.heard()).await.unwrap();
    assert!(heard.starts_with("copy\nPOST /order?a=b HTTP/1.1\n") && heard.ends_with(&body));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_nobody_takes_costs_nothing() {
    let main = Backend::start("main").await;
    let proxy = Proxy::start(&[ROUTE, &service("main", &[main.address]), &service("copy", &[])].concat());
    let reply = proxy.send(Request::post("/").header(header::HOST, "any.test"), "an order").await;
    assert_eq!(reply.status, 200);
    assert!(reply.body.ends_with("an order"));
}
