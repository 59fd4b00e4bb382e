use std::{fs, net::SocketAddr};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// A server that says its name to each client and hangs up.
async fn server(name: &'static str) -> (SocketAddr, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let _ = client.write_all(name.as_bytes()).await;
        }
    });
    (address, task)
}

struct Endpoint {
    folder: TempDir,
    address: SocketAddr,
}

impl Endpoint {
    async fn new(servers: &[SocketAddr]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, Servers::new(folder.path().join("servers"))));
        let endpoint = Self { folder, address };
        endpoint.list(servers);
        endpoint
    }

    fn list(&self, servers: &[SocketAddr]) {
        let text: String = servers.iter().map(|server| format!("{server}\n")).collect();
        fs::write(self.folder.path().join("servers"), text).unwrap();
    }

    async fn answer(&self) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    }
}

#[tokio::test]
async fn a_server_that_is_gone_is_passed_over() {
    let (one, task) = server("one").await;
    let (two, _two) = server("two").await;
    let endpoint = Endpoint::new(&[one, two]).await;
    assert_eq!(endpoint.answer().await, "one");
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    assert_eq!(endpoint.answer().await, "two");
}

#[tokio::test]
async fn what_worked_is_asked_first_and_the_list_may_change() {
    let (one, _one) = server("one").await;
    let (two, _two) = server("two").await;
    let endpoint = Endpoint::new(&[two]).await;
    assert_eq!(endpoint.answer().await, "two");
    endpoint.list(&[one, two]);
    assert_eq!(endpoint.answer().await, "two");
    endpoint.list(&[one]);
    assert_eq!(endpoint.answer().await, "one");
}

#[tokio::test]
async fn without_any_server_clients_are_not_kept_waiting() {
    let endpoint = Endpoint::new(&[]).await;
    assert_eq!(endpoint.answer().await, "");
}
