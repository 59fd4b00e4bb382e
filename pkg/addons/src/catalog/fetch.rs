//! One file from a web server.

use std::{io, time::Duration};

use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::{Request, StatusCode, Uri, body::Bytes, header::LOCATION};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tokio::time::timeout;

/// A server that takes longer is as good as none.
const PATIENCE: Duration = Duration::from_secs(60);
/// Hosts of archives send on to others, but not for ever.
const MOST_HOPS: usize = 5;

/// The bytes at a URL, at most so many.
pub(super) async fn get(url: &str, most: u64) -> io::Result<Vec<u8>> {
    let slow = |_| io::Error::new(io::ErrorKind::TimedOut, "the server does not answer");
    timeout(PATIENCE, follow(url, most)).await.map_err(slow)?
}

async fn follow(url: &str, most: u64) -> io::Result<Vec<u8>> {
    skiff_kubeapi::install_crypto_provider();
    let https = HttpsConnectorBuilder::new().with_native_roots()?.https_or_http().enable_http1().build();
    let client: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build(https);
    let mut uri: Uri = url.parse().map_err(io::Error::other)?;
    for _ in 0..MOST_HOPS {
        let request = Request::get(uri.clone()).header("user-agent", "skiff").body(Empty::new());
        let answer = client.request(request.map_err(io::Error::other)?).await.map_err(reason)?;
        let status = answer.status();
        if status.is_redirection() {
            let next = answer.headers().get(LOCATION).and_then(|next| next.to_str().ok());
            let next = next.ok_or_else(|| io::Error::other("the server sends on to nowhere"))?;
            let next: Uri = next.parse().map_err(io::Error::other)?;
            // A secure way does not end in an open one.
            if next.host().is_none() || uri.scheme_str() == Some("https") && next.scheme_str() != Some("https") {
                return Err(io::Error::other(format!("the server sends on to {next}, which is not followed")));
            }
            uri = next;
            continue;
        }
        if status != StatusCode::OK {
            return Err(io::Error::other(format!("the server answers {status}")));
        }
        let limit = usize::try_from(most).unwrap_or(usize::MAX);
        let body = Limited::new(answer.into_body(), limit).collect().await.map_err(io::Error::other)?;
        return Ok(body.to_bytes().to_vec());
    }
    Err(io::Error::other("the server sends on again and again"))
}

/// The innermost reason is the one that tells something.
fn reason(error: hyper_util::client::legacy::Error) -> io::Error {
    let mut innermost: &dyn std::error::Error = &error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    io::Error::other(innermost.to_string())
}
