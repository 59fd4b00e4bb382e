//! Requests in the form that backends get them.

use std::{borrow::Cow, fmt::Write as _, sync::Arc};

use http::{HeaderValue, Uri, Version, header, request::Parts, uri};

use super::{headers, serve::Call};
use crate::ingress::{
    policy::Policy,
    table::{Protocol, normal_path},
};

impl Call<'_> {
    /// Makes a request fit for the backend.
    pub(super) fn prepare(
        &self,
        head: &mut Parts,
        policy: &Policy,
        own: Option<&Arc<Policy>>,
        protocol: Protocol,
        wanted: Option<HeaderValue>,
    ) -> Result<(), &'static str> {
        let settings = &self.worker.shared.settings;
        let client = self.peer.client(&head.headers, &settings.trusted);
        let trailers = head.headers.get(header::TE).is_some_and(|te| te.as_bytes().eq_ignore_ascii_case(b"trailers"));
        headers::strip(&mut head.headers);
        head.headers.remove(header::TE);
        head.headers.remove(header::EXPECT);
        join_cookies(head);
        self.peer.introduce(&mut head.headers, client, &self.authority, || self.request_id());
        for policy in [Some(policy), own.map(Arc::as_ref)].into_iter().flatten() {
            policy.request_headers.apply(&mut head.headers);
        }
        let host = own.and_then(|own| own.upstream_host.as_ref()).or(policy.upstream_host.as_ref());
        let host = host.unwrap_or(&self.authority).clone();
        let rewrite = own.and_then(|own| own.rewrite.as_ref()).or(policy.rewrite.as_ref());
        let target = match rewrite {
            None => head.uri.path_and_query().cloned(),
            Some(rewrite) => {
                let path = escaped(head.uri.path());
                let path = with_query(rewrite.apply(&path), head.uri.query());
                Some(path.parse().map_err(|_| "the rewritten path is no path")?)
            }
        };
        if protocol.is_h2() {
            // HTTP/2 has the host in the address, and there it must be whole.
            let authority = host.as_bytes();
            let scheme = if protocol.is_tls() { "https" } else { "http" };
            let built = Uri::builder().scheme(scheme).authority(authority);
            head.uri = built
                .path_and_query(target.unwrap_or(uri::PathAndQuery::from_static("/")))
                .build()
                .map_err(|_| "the host is no host")?;
            head.headers.remove(header::HOST);
            head.version = Version::HTTP_2;
            if trailers {
                head.headers.insert(header::TE, HeaderValue::from_static("trailers"));
            }
            return Ok(());
        }
        let mut parts = uri::Parts::default();
        parts.path_and_query = target;
        head.uri = Uri::from_parts(parts).map_err(|_| "the path is no path")?;
        head.headers.insert(header::HOST, host);
        head.version = Version::HTTP_11;
        if let Some(wanted) = wanted {
            head.headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            head.headers.insert(header::UPGRADE, wanted);
        }
        Ok(())
    }

    fn request_id(&self) -> HeaderValue {
        let id = format!("{:016x}{:016x}", self.worker.random(), self.worker.random());
        HeaderValue::from_maybe_shared(id).unwrap_or(HeaderValue::from_static("-"))
    }
}

/// The path in its normal form, escaped again where it had to be changed.
fn escaped(path: &str) -> Cow<'_, str> {
    match normal_path(path) {
        Cow::Borrowed(path) => Cow::Borrowed(path),
        Cow::Owned(normal) => {
            let mut escaped = String::with_capacity(normal.len());
            for &byte in normal.as_bytes() {
                match byte {
                    b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => escaped.push(char::from(byte)),
                    byte if b"/-._~!$&'()*+,;=:@".contains(&byte) => escaped.push(char::from(byte)),
                    // Writing to a string cannot fail.
                    byte => drop(write!(escaped, "%{byte:02X}")),
                }
            }
            Cow::Owned(escaped)
        }
    }
}

/// A path with the query that was asked for, after the one it may have already.
pub(super) fn with_query(path: String, query: Option<&str>) -> String {
    match query {
        None => path,
        Some(query) if path.contains('?') => format!("{path}&{query}"),
        Some(query) => format!("{path}?{query}"),
    }
}

/// HTTP/2 may send cookies one by one, HTTP/1.1 may not.
fn join_cookies(head: &mut Parts) {
    if head.version != Version::HTTP_2 || head.headers.get_all(header::COOKIE).iter().nth(1).is_none() {
        return;
    }
    let all: Vec<&[u8]> = head.headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(joined) = HeaderValue::from_bytes(&all.join(&b"; "[..])) {
        head.headers.insert(header::COOKIE, joined);
    }
}
