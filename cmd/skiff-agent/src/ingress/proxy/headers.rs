//! Headers that concern one connection only, and those that tell the backend about the client.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use ipnet::IpNet;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_SCHEME: HeaderName = HeaderName::from_static("x-forwarded-scheme");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_SCHEME: HeaderName = HeaderName::from_static("x-scheme");

/// Removes what concerns the connection it came by.
pub(super) fn strip(headers: &mut HeaderMap) {
    // Taken out first: what it names is only known from its text.
    if headers.contains_key(header::CONNECTION) {
        let named: Vec<HeaderName> = headers
            .get_all(header::CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(|name| name.trim().parse().ok())
            .collect();
        for name in named {
            headers.remove(name);
        }
        headers.remove(header::CONNECTION);
    }
    for name in [KEEP_ALIVE, PROXY_CONNECTION, header::TRANSFER_ENCODING, header::UPGRADE] {
        headers.remove(name);
    }
}

/// What a client wants its connection to become.
pub(super) fn wanted_upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let protocol = headers.get(header::UPGRADE)?;
    let mut connection = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let asks = connection.any(|value| value.split(',').any(|word| word.trim().eq_ignore_ascii_case("upgrade")));
    // HTTP/2 by upgrade was never used and has been taken back; forwarding it would leave both sides at odds.
    (asks && !protocol.as_bytes().eq_ignore_ascii_case(b"h2c")).then(|| protocol.clone())
}

/// The client at the other end of a connection, as headers give it.
#[derive(Debug)]
pub(super) struct Peer {
    /// Its address.
    pub(super) ip: IpAddr,
    /// The same as text.
    pub(super) ip_text: HeaderValue,
    /// Whether the connection is TLS.
    pub(super) secure: bool,
    /// The port that it reached.
    pub(super) port_text: HeaderValue,
    /// Whether it is a proxy whose word counts.
    pub(super) trusted: bool,
}

impl Peer {
    /// The client at `ip`.
    pub(super) fn new(ip: IpAddr, secure: bool, port: u16, trusted: &[IpNet]) -> Self {
        let ip = ip.to_canonical();
        // Addresses are always fit for a header.
        let ip_text = HeaderValue::try_from(ip.to_string()).unwrap_or(HeaderValue::from_static("unknown"));
        let trusted = trusted.iter().any(|network| network.contains(&ip));
        Self { ip, ip_text, secure, port_text: HeaderValue::from(port), trusted }
    }

    /// The client that asks, which is not at the other end if that is a proxy.
    pub(super) fn client(&self, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
        if !self.trusted {
            return self.ip;
        }
        let lines = headers.get_all(X_FORWARDED_FOR).iter().filter_map(|line| line.to_str().ok());
        let hops: Vec<IpAddr> =
            lines.flat_map(|line| line.split(',')).filter_map(|hop| hop.trim().parse().ok()).collect();
        let is_trusted = |ip: &&IpAddr| trusted.iter().any(|network| network.contains(*ip));
        hops.iter().rev().find(|ip| !is_trusted(ip)).or(hops.first()).copied().unwrap_or(self.ip)
    }

    /// Whether the client came over TLS.
    pub(super) fn came_secure(&self, headers: &HeaderMap) -> bool {
        let told = headers.get(X_FORWARDED_PROTO).filter(|_| self.trusted);
        told.map_or(self.secure, |told| told.as_bytes().eq_ignore_ascii_case(b"https"))
    }

    /// Tells the backend about the client.
    pub(super) fn introduce(
        &self,
        headers: &mut HeaderMap,
        client: IpAddr,
        host: &HeaderValue,
        id: impl FnOnce() -> HeaderValue,
    ) {
        let scheme = HeaderValue::from_static(if self.came_secure(headers) { "https" } else { "http" });
        if self.trusted {
            headers.append(X_FORWARDED_FOR, self.ip_text.clone());
            headers.entry(X_FORWARDED_HOST).or_insert_with(|| host.clone());
            headers.entry(X_FORWARDED_PORT).or_insert_with(|| self.port_text.clone());
            headers
                .insert(X_REAL_IP, HeaderValue::try_from(client.to_string()).unwrap_or_else(|_| self.ip_text.clone()));
        } else {
            headers.insert(X_FORWARDED_FOR, self.ip_text.clone());
            headers.insert(X_FORWARDED_HOST, host.clone());
            headers.insert(X_FORWARDED_PORT, self.port_text.clone());
            headers.insert(X_REAL_IP, self.ip_text.clone());
        }
        headers.insert(X_FORWARDED_PROTO, scheme.clone());
        headers.insert(X_FORWARDED_SCHEME, scheme.clone());
        headers.insert(X_SCHEME, scheme);
        headers.entry(X_REQUEST_ID).or_insert_with(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn what_concerns_one_connection_stays_there() {
        let mut all = headers(&[
            ("connection", "close, X-Mine"),
            ("x-mine", "1"),
            ("keep-alive", "5"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("te", "trailers"),
            ("accept", "*/*"),
        ]);
        strip(&mut all);
        assert_eq!(all, headers(&[("te", "trailers"), ("accept", "*/*")]));
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap()];
        let told = headers(&[("x-forwarded-for", "6.6.6.6, 192.0.2.7, 10.0.0.9"), ("x-forwarded-proto", "https")]);
        let proxy = Peer::new("10.0.0.1".parse().unwrap(), false, 80, &trusted);
        assert_eq!(proxy.client(&told, &trusted), "192.0.2.7".parse::<IpAddr>().unwrap());
        assert!(proxy.came_secure(&told));
        let stranger = Peer::new("192.0.2.1".parse().unwrap(), false, 80, &trusted);
        assert_eq!(stranger.client(&told, &trusted), "192.0.2.1".parse::<IpAddr>().unwrap());
        assert!(!stranger.came_secure(&told));
        let mut forwarded = told.clone();
        stranger
            .introduce(&mut forwarded, stranger.ip, &HeaderValue::from_static("h"), || HeaderValue::from_static("i"));
        assert_eq!(forwarded["x-forwarded-for"], "192.0.2.1");
        assert_eq!(forwarded["x-forwarded-proto"], "http");
    }

    #[test]
    fn an_upgrade_must_be_asked_for_in_both_headers() {
        assert_eq!(
            wanted_upgrade(&headers(&[("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")])).unwrap(),
            "websocket"
        );
        assert_eq!(wanted_upgrade(&headers(&[("upgrade", "websocket")])), None);
        assert_eq!(wanted_upgrade(&headers(&[("connection", "upgrade"), ("upgrade", "h2c")])), None);
    }
}
