//! Whether Kubernetes' own download site can be reached.

use std::{
    net::{TcpStream, ToSocketAddrs},
    time::Duration,
};

use tokio::sync::oneshot;

/// The site that releases are downloaded from.
pub(crate) const SITE: (&str, u16) = ("dl.k8s.io", 443);

/// How long the site may take to answer, name resolution included.
const LIMIT: Duration = Duration::from_secs(3);

/// True if the download site accepts a connection within 3 s.
pub(crate) async fn answers() -> bool {
    probe(SITE.0, SITE.1, LIMIT).await
}

/// True if a connection to a host is accepted within the limit, name resolution included.
///
/// Connects on a thread of its own: a resolver that never answers cannot be interrupted, and would
/// hold up the end of the process if it ran on the runtime's threads.
pub(crate) async fn probe(host: &str, port: u16, limit: Duration) -> bool {
    let (sender, receiver) = oneshot::channel();
    let site = (host.to_owned(), port);
    std::thread::spawn(move || {
        let reached = site
            .to_socket_addrs()
            .is_ok_and(|addresses| addresses.into_iter().any(|a| TcpStream::connect_timeout(&a, limit).is_ok()));
        // Nobody listens any more when the limit has passed.
        let _ = sender.send(reached);
    });
    matches!(tokio::time::timeout(limit, receiver).await, Ok(Ok(true)))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_site_that_accepts_connections_answers() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(probe("127.0.0.1", port, LIMIT).await);
        drop(listener);
        assert!(!probe("127.0.0.1", port, LIMIT).await);
    }

    #[tokio::test]
    async fn a_site_that_says_nothing_is_given_up() {
        assert!(!probe("127.0.0.1", 1, Duration::ZERO).await);
    }
}
