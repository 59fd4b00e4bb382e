//! The API server: finding it, waiting for it, watching it.

mod connect;
pub(crate) mod objects;
mod retry;

pub(crate) use connect::{Access, connect, connect_with_config};
pub(crate) use retry::Backoff;

use std::fmt::Debug;

use kube::Resource;
use serde::de::DeserializeOwned;

/// A kind of objects that can be watched.
pub(crate) trait Watched: Resource + Clone + DeserializeOwned + Debug + Send + 'static {}

impl<K: Resource + Clone + DeserializeOwned + Debug + Send + 'static> Watched for K {}

/// An error with its causes, in one line. Causes that only repeat what was said are left out.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let words = cause.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        next = cause.source();
    }
    text
}
