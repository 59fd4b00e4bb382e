//! What a route asks of a request beside its host and path.

use std::borrow::Cow;

use http::{HeaderName, Method, request::Parts};
use regex_lite::Regex;

/// A value to compare with.
#[derive(Clone, Debug)]
pub(crate) enum Pattern {
    /// The same text.
    Exact(String),
    /// Text that an expression matches.
    Regex(Regex),
}

impl Pattern {
    fn matches(&self, value: &str) -> bool {
        match self {
            Self::Exact(text) => text == value,
            Self::Regex(regex) => regex.is_match(value),
        }
    }
}

/// Conditions that must all hold; ingresses have none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Conditions {
    /// The method.
    pub(crate) method: Option<Method>,
    /// Headers and their values.
    pub(crate) headers: Vec<(HeaderName, Pattern)>,
    /// Query parameters and their values.
    pub(crate) query: Vec<(String, Pattern)>,
}

impl Conditions {
    /// Which of two routes with the same path goes first, as the Gateway API lays it down.
    pub(crate) fn weight(&self) -> (bool, usize, usize) {
        (self.method.is_some(), self.headers.len(), self.query.len())
    }

    /// Whether they hold.
    pub(crate) fn hold(&self, head: &Parts) -> bool {
        self.method.as_ref().is_none_or(|method| *method == head.method)
            && self.headers.iter().all(|(name, pattern)| header_is(head, name, pattern))
            && (self.query.is_empty() || self.query_holds(head.uri.query().unwrap_or_default()))
    }

    fn query_holds(&self, query: &str) -> bool {
        self.query.iter().all(|(name, pattern)| {
            // Of a parameter that is there more than once the first counts.
            let mut pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
            pairs.find(|(key, _)| decode(key) == *name).is_some_and(|(_, value)| pattern.matches(&decode(value)))
        })
    }
}

fn header_is(head: &Parts, name: &HeaderName, pattern: &Pattern) -> bool {
    let values: Vec<&str> = head.headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    match values.as_slice() {
        [] => false,
        [one] => pattern.matches(one),
        several => pattern.matches(&several.join(",")),
    }
}

fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text);
    }
    let spaced = text.replace('+', " ");
    let mut bytes = Vec::with_capacity(spaced.len());
    let mut rest = spaced.as_str();
    while let Some((before, after)) = rest.split_once('%') {
        bytes.extend_from_slice(before.as_bytes());
        match after.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(b'%');
                rest = after;
            }
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}
