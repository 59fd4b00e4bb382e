//! Bodies on their way through: never held, only counted and timed.

mod reply;
mod request;

pub(crate) use reply::ReplyBody;
pub(crate) use request::RequestBody;
pub(super) use request::Upload;

/// Why a body ended before its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyFault {
    /// It is larger than the route allows.
    #[error("the body is too large")]
    TooLarge,
    /// Nothing came for too long.
    #[error("the backend was silent for too long")]
    Silent,
    /// The connection broke.
    #[error("the connection broke")]
    Broken(#[source] hyper::Error),
    /// It is a copy, and the original went on without it.
    #[error("the copy fell behind")]
    Lost,
}
