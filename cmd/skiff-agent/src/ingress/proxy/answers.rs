//! Answers that the proxy gives by itself.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};

use super::body::ReplyBody;

/// A plain answer that says what happened.
pub(super) fn plain(status: StatusCode, text: &str) -> Response<ReplyBody> {
    let reason = status.canonical_reason().unwrap_or_default();
    let text = if text.is_empty() {
        format!("{} {reason}\n", status.as_u16())
    } else {
        format!("{} {reason}: {text}\n", status.as_u16())
    };
    let mut response = Response::new(ReplyBody::full(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// An answer without a body.
pub(super) fn empty(status: StatusCode) -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::full(Bytes::new()));
    *response.status_mut() = status;
    response
}

/// An answer that sends the client elsewhere.
pub(super) fn elsewhere(status: StatusCode, location: &str) -> Response<ReplyBody> {
    match HeaderValue::from_str(location) {
        Ok(location) => {
            let mut response = empty(status);
            response.headers_mut().insert(header::LOCATION, location);
            response
        }
        Err(_) => plain(StatusCode::BAD_REQUEST, "the address cannot be written in a header"),
    }
}
