//! The addons `ingress` and `gateway-api`: hosts, paths, TLS, websockets and gRPC, while the pods behind it are replaced.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http::{Request, Response, Version, header};
use http_body_util::{BodyExt as _, Collected, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName},
};
use skiff_test::{Cluster, Sandbox, eventually, program_archive};
use tokio::{net::TcpStream, runtime::Runtime};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_tungstenite::tungstenite::Message;

const IMAGE: &str = "skiff-test/echo:1";
const MANIFESTS: &str = include_str!("ingress.yaml");
const GATEWAY: &str = include_str!("gateway.yaml");
/// Lets routes of the namespace `default` use services of the namespace `far`.
const GRANT: &str = r#"
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: routes, namespace: far}
spec:
  from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: default}]
  to: [{group: "", kind: Service}]
"#;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A cluster with the addon, and what is known about it.
struct World<'a> {
    cluster: Cluster<'a>,
    node: Ipv4Addr,
    client: Arc<Client>,
}

/// Asks through the ingress. It trusts nothing but the certificate in the secret.
struct Client {
    node: Ipv4Addr,
    tls: Arc<ClientConfig>,
    runtime: Runtime,
}

pub(crate) fn traffic_flows_while_backends_are_replaced() {
    let sandbox = Sandbox::new();
    let cluster = sandbox.cluster();
    let _ = cluster.run("start", &["--addons", "ingress"]).ok();
    let node: Ipv4Addr = cluster.run("ip", &[]).ok().text().parse().expect("an address");
    let archive = program_archive(sandbox.path(), IMAGE, Path::new(env!("CARGO_BIN_EXE_echo")));
    let _ = cluster.run("image", &["load", &archive.to_string_lossy()]).ok();
    let names = ["web.test", "*.wild.test", "grpc.test", "gate.test"].map(str::to_owned);
    let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
    let manifests = MANIFESTS
        .replace("IMAGE", IMAGE)
        .replace("CERT", &BASE64.encode(made.cert.pem()))
        .replace("KEY", &BASE64.encode(made.signing_key.serialize_pem()));
    cluster.apply(&manifests);
    let _ = cluster.kubectl(&["rollout", "status", "deployment/echo", "--timeout=600s"]).ok();
    let client = Arc::new(Client::new(node, made.cert.der()));
    let balanced = Client::new(address_of_the_service(&cluster), made.cert.der());
    let world = World { cluster, node, client };
    hosts_and_paths(&world);
    assert_eq!(balanced.plain("plain.test", "/api/x").expect("an answer").0.status(), 200);
    tls(&world);
    messages(&world);
    addresses_are_told(&world);
    a_broken_certificate_is_told(&world);
    names_outside_are_followed(&world);
    nothing_fails_while_pods_are_replaced(&world);
    routes_of_gateways(&world);
    other_namespaces_need_a_grant(&world);
    the_addon_leaves_nothing_behind(&world);
}

/// What its load balancer gave the ingress.
fn address_of_the_service(cluster: &Cluster<'_>) -> Ipv4Addr {
    let path = "jsonpath={.status.loadBalancer.ingress[0].ip}";
    eventually("an address of the service", || {
        let told = cluster.kubectl(&["get", "service", "skiff-ingress", "-n", "kube-system", "-o", path]).ok();
        told.text().parse().map_err(|_| format!("{told:?}"))
    })
}

impl Client {
    fn new(node: Ipv4Addr, trusted: &CertificateDer<'static>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(trusted.clone()).expect("a certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let tls = builder.expect("versions of TLS").with_root_certificates(roots).with_no_client_auth();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        Self { node, tls: Arc::new(tls), runtime: runtime.expect("a runtime") }
    }

    async fn secure(&self, host: &str, alpn: &[u8]) -> Result<TlsStream<TcpStream>, Failure> {
        let stream = TcpStream::connect(SocketAddr::from((self.node, 443))).await?;
        let mut config = (*self.tls).clone();
        config.alpn_protocols = vec![alpn.to_vec()];
        let name = ServerName::try_from(host.to_owned())?;
        Ok(TlsConnector::from(Arc::new(config)).connect(name, stream).await?)
    }

    /// An answer over plain HTTP.
    fn plain(&self, host: &str, path: &str) -> Result<(Response<()>, String), Failure> {
        self.runtime.block_on(async {
            let stream = TcpStream::connect(SocketAddr::from((self.node, 80))).await?;
            ask(stream, host, path, "").await
        })
    }

    /// An answer over TLS, to a POST if there is a body.
    fn get(&self, host: &str, path: &str, body: &str) -> Result<(Response<()>, String), Failure> {
        self.runtime.block_on(async { ask(self.secure(host, b"http/1.1").await?, host, path, body).await })
    }

    /// What comes back for a message over a websocket.
    fn websocket(&self, text: &str) -> Result<String, Failure> {
        self.runtime.block_on(async {
            let stream = self.secure("web.test", b"http/1.1").await?;
            let (mut socket, _) = tokio_tungstenite::client_async("wss://web.test/ws", stream).await?;
            socket.send(Message::text(text)).await?;
            let answer = socket.next().await.ok_or("the socket was closed")??.into_text()?.to_string();
            socket.close(None).await?;
            Ok(answer)
        })
    }

    /// What comes back for a message over gRPC, and its status.
    fn grpc(&self, message: &'static [u8]) -> Result<(Bytes, String), Failure> {
        self.runtime.block_on(async {
            let stream = TokioIo::new(self.secure("grpc.test", b"h2").await?);
            let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await?;
            let connection = tokio::spawn(connection);
            let request = Request::post("https://grpc.test/test.Echo/Say").version(Version::HTTP_2);
            let request = request.header(header::CONTENT_TYPE, "application/grpc").header(header::TE, "trailers");
            let response = sender.send_request(request.body(Full::new(Bytes::from_static(message)))?).await?;
            let status = response.status();
            let body: Collected<Bytes> = response.into_body().collect().await?;
            let told = body.trailers().and_then(|trailers| trailers.get("grpc-status")?.to_str().ok());
            let told = told.map_or_else(|| format!("no status, but {status}"), str::to_owned);
            connection.abort();
            Ok((body.to_bytes(), told))
        })
    }
}

async fn ask<T>(stream: T, host: &str, path: &str, body: &str) -> Result<(Response<()>, String), Failure>
where
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let method = if body.is_empty() { "GET" } else { "POST" };
    let request = Request::builder().method(method).uri(path).header(header::HOST, host);
    let response = sender.send_request(request.body(Full::new(Bytes::from(body.to_owned())))?).await?;
    let (head, body) = response.into_parts();
    let body = body.collect().await?.to_bytes();
    connection.abort();
    Ok((Response::from_parts(head, ()), String::from_utf8_lossy(&body).into_owned()))
}

fn hosts_and_paths(world: &World<'_>) {
    let client = &world.client;
    eventually("an answer through the ingress", || match client.plain("plain.test", "/api/x?y=z") {
        Ok((head, body)) if head.status() == 200 => Ok(body),
        other => Err(format!("{other:?}")),
    });
    let (_, body) = client.plain("plain.test", "/api/x/y").expect("an answer");
    assert!(body.contains("\nGET /v1/x/y\n"), "{body}");
    assert!(body.contains("\nx-forwarded-proto: http\n") && body.contains("\nhost: plain.test\n"), "{body}");
    for (host, path, status) in [
        ("plain.test", "/", 404),
        ("nobody.test", "/", 404),
        ("web.test", "/", 308),
        ("a.wild.test", "/x", 200),
        ("a.b.wild.test", "/x", 404),
    ] {
        assert_eq!(client.plain(host, path).expect("an answer").0.status(), status, "{host}{path}");
    }
}

fn tls(world: &World<'_>) {
    let (head, body) = world.client.get("web.test", "/a/b", "").expect("an answer over TLS");
    assert_eq!(head.status(), 200);
    assert!(body.contains("\nGET /a/b\n") && body.contains("\nx-forwarded-proto: https\n"), "{body}");
    let other = world.client.get("other.test", "/", "").expect_err("nobody has a certificate for it");
    assert!(other.to_string().contains("certificate"), "{other}");
}

fn messages(world: &World<'_>) {
    assert_eq!(world.client.websocket("hello").expect("an answer over a websocket"), "hello");
    let (message, status) = world.client.grpc(b"\0\0\0\0\x05hello").expect("an answer over gRPC");
    assert_eq!((&message[..], status.as_str()), (&b"\0\0\0\0\x05hello"[..], "0"));
}

fn addresses_are_told(world: &World<'_>) {
    for name in ["web", "api", "grpc", "broken"] {
        eventually(&format!("the address of {name}"), || {
            let path = "jsonpath={.status.loadBalancer.ingress[*].ip}";
            let told = world.cluster.kubectl(&["get", "ingress", name, "-o", path]).ok();
            if told.text() == world.node.to_string() { Ok(()) } else { Err(told.stdout) }
        });
    }
}

fn a_broken_certificate_is_told(world: &World<'_>) {
    eventually("an event about the certificate", || {
        let field = "involvedObject.name=broken";
        let told = world.cluster.kubectl(&["get", "events", "--field-selector", field]).ok();
        let words = "secret default/broken-tls: tls.key holds no private key; the default certificate is served";
        if told.stdout.contains("BrokenCertificate") && told.stdout.contains(words) { Ok(()) } else { Err(told.stdout) }
    });
    assert!(world.client.get("broken.test", "/", "").is_err(), "only the default certificate is there");
}

/// Asks in one way, again and again, until it is told to stop; gives how often, and what failed.
fn asking(
    world: &World<'_>,
    done: &Arc<AtomicBool>,
    ask: impl Fn(&Client) -> Result<(), Failure> + Send + 'static,
) -> thread::JoinHandle<(usize, Vec<String>)> {
    let (client, done) = (Arc::clone(&world.client), Arc::clone(done));
    thread::spawn(move || {
        let (mut count, mut failed) = (0, Vec::new());
        while !done.load(Ordering::SeqCst) {
            count += 1;
            failed.extend(ask(&client).err().map(|failure| failure.to_string()));
            thread::sleep(Duration::from_millis(5));
        }
        (count, failed)
    })
}

fn nothing_fails_while_pods_are_replaced(world: &World<'_>) {
    let done = Arc::new(AtomicBool::new(false));
    let expect = |right: bool, seen: String| if right { Ok(()) } else { Err(Failure::from(seen)) };
    let clients = [
        asking(world, &done, move |client| {
            let (head, body) = client.get("web.test", "/", "")?;
            expect(head.status() == 200, body)
        }),
        asking(world, &done, move |client| {
            let (head, body) = client.get("web.test", "/", "an order")?;
            expect(head.status() == 200 && body.ends_with("an order"), body)
        }),
        asking(world, &done, move |client| {
            let answer = client.websocket("still there?")?;
            expect(answer == "still there?", answer)
        }),
        asking(world, &done, move |client| {
            let (message, status) = client.grpc(b"\0\0\0\0\x02hi")?;
            expect(&message[..] == b"\0\0\0\0\x02hi" && status == "0", status)
        }),
    ];
    let _ = world.cluster.kubectl(&["rollout", "restart", "deployment/echo"]).ok();
    let _ = world.cluster.kubectl(&["rollout", "status", "deployment/echo", "--timeout=600s"]).ok();
    // The last old pods leave after the roll-out has been called done.
    eventually("the end of the old pods", || {
        let template = "{range .items[?(@.metadata.deletionTimestamp)]}{.metadata.name} {end}";
        let leaving = world.cluster.kubectl(&["get", "pods", "-o", &format!("jsonpath={template}")]).ok();
        if leaving.text().is_empty() { Ok(()) } else { Err(leaving.stdout) }
    });
    done.store(true, Ordering::SeqCst);
    for (kind, client) in ["GET", "POST", "websocket", "gRPC"].into_iter().zip(clients) {
        let (count, failed) = client.join().expect("a client");
        assert!(failed.is_empty(), "{} of {count} failed as {kind}: {:?}", failed.len(), failed.first());
        assert!(count > 0, "{kind} was never asked for");
    }
}

fn names_outside_are_followed(world: &World<'_>) {
    eventually("an answer by a name", || match world.client.plain("name.test", "/x") {
        Ok((head, body)) if head.status() == 200 && body.contains("\nGET /x\n") => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

/// Waits until the conditions of an object are these, in this order.
fn told(world: &World<'_>, object: &[&str], path: &str, expected: &str) {
    eventually(&format!("{expected} of {object:?}"), || {
        let path = format!("jsonpath={{{path}}}");
        let told = world.cluster.kubectl(&[&["get"], object, &["-o", &path]].concat()).ok();
        if told.text() == expected { Ok(()) } else { Err(told.stdout) }
    });
}

fn routes_of_gateways(world: &World<'_>) {
    let _ = world.cluster.run("addons", &["enable", "gateway-api"]).ok();
    world.cluster.apply(GATEWAY);
    told(world, &["gatewayclass", "skiff"], ".status.conditions[*].status", "True");
    documents_its_kinds(world, true);
    told(world, &["gateway", "gate"], ".status.conditions[*].status", "True True");
    told(world, &["gateway", "gate"], ".status.addresses[*].value", &world.node.to_string());
    told(world, &["httproute", "shop"], ".status.parents[*].conditions[*].status", "True True");
    let client = &world.client;
    eventually("an answer through the gateway", || match client.plain("gate.test", "/shop/x") {
        Ok((head, body)) if head.status() == 200 && body.contains("\nGET /new/x\n") => Ok(()),
        other => Err(format!("{other:?}")),
    });
    let (head, body) = client.get("gate.test", "/shop", "an order").expect("an answer over TLS");
    assert_eq!(head.status(), 200);
    assert!(body.contains("\nPOST /new\n") && body.contains("\nx-from: gateway\n"), "{body}");
    let (head, _) = client.plain("gate.test", "/moved").expect("an answer");
    assert_eq!(head.status(), 301);
    assert_eq!(head.headers()[header::LOCATION], "https://gate.test/moved");
    for (path, status) in [("/pick?version=two", 200), ("/pick?version=one", 404), ("/", 404)] {
        assert_eq!(client.plain("gate.test", path).expect("an answer").0.status(), status, "{path}");
    }
    assert_eq!(
        client.plain("plain.test", "/api/x").expect("an answer").0.status(),
        200,
        "ingresses are served as well"
    );
}

/// The API server's OpenAPI document follows kinds that come and go.
fn documents_its_kinds(world: &World<'_>, expected: bool) {
    eventually("the API's document", || {
        let document = world.cluster.kubectl(&["get", "--raw", "/openapi/v2"]).ok();
        let documented = document.stdout.contains("A kind of gateways and the controller that serves them.");
        if documented == expected { Ok(()) } else { Err(format!("documented: {documented}")) }
    });
}

fn other_namespaces_need_a_grant(world: &World<'_>) {
    let conditions = ".status.parents[*].conditions[*].reason";
    told(world, &["httproute", "far"], conditions, "Accepted RefNotPermitted");
    assert_eq!(world.client.plain("far.test", "/").expect("an answer").0.status(), 500);
    world.cluster.apply(GRANT);
    told(world, &["httproute", "far"], conditions, "Accepted ResolvedRefs");
    // Nobody is behind the service, but it is known now.
    eventually("the service in the other namespace", || match world.client.plain("far.test", "/") {
        Ok((head, _)) if head.status() == 503 => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

fn the_addon_leaves_nothing_behind(world: &World<'_>) {
    let _ = world.cluster.run("addons", &["disable", "gateway-api"]).ok();
    let kinds = world.cluster.kubectl(&["get", "crd", "-o", "name"]).ok();
    assert!(!kinds.stdout.contains("gateway"), "{kinds:?}");
    documents_its_kinds(world, false);
    let _ = world.cluster.run("addons", &["disable", "ingress"]).ok();
    let addresses = "jsonpath={.items[*].status.loadBalancer.ingress}";
    assert_eq!(world.cluster.kubectl(&["get", "ingress", "-o", addresses]).ok().text(), "");
    let kinds = "daemonset,serviceaccount,role,rolebinding,clusterrole,clusterrolebinding,ingressclass";
    let left = world.cluster.kubectl(&["get", kinds, "--all-namespaces", "-o", "name"]).ok();
    assert!(!left.stdout.contains("ingress"), "{left:?}");
    eventually("nobody at the node's port", || match world.client.plain("plain.test", "/api") {
        Ok((head, body)) => Err(format!("{head:?} {body}")),
        Err(_) => Ok(()),
    });
}
