//! What happens to a request beside being forwarded: the compiled form of annotations and route filters.

use std::{net::IpAddr, sync::Arc, time::Duration};

use http::{HeaderName, HeaderValue, StatusCode};
use ipnet::IpNet;
use regex_lite::Regex;

use super::auth::BasicAuth;

/// Everything that a route asks for beside its backends.
#[derive(Clone, Debug, Default)]
pub(crate) struct Policy {
    /// Whether plain HTTP is sent to HTTPS.
    pub(crate) https_only: bool,
    /// An answer instead of forwarding.
    pub(crate) redirect: Option<Redirect>,
    /// Where requests for `/` are sent.
    pub(crate) app_root: Option<HeaderValue>,
    /// How the path is changed on the way.
    pub(crate) rewrite: Option<Rewrite>,
    /// The largest request body, in bytes.
    pub(crate) body_limit: Option<u64>,
    /// How long to wait for the backend.
    pub(crate) timeouts: Timeouts,
    /// Who may ask; empty means everybody.
    pub(crate) allow: Vec<IpNet>,
    /// Who may not.
    pub(crate) deny: Vec<IpNet>,
    /// Whether a password is asked for.
    pub(crate) auth: Option<Arc<BasicAuth>>,
    /// What browsers are told about other origins.
    pub(crate) cors: Option<Cors>,
    /// How clients are kept with one endpoint.
    pub(crate) affinity: Option<Affinity>,
    /// The host that the backend sees.
    pub(crate) upstream_host: Option<HeaderValue>,
    /// Changes to the request's headers.
    pub(crate) request_headers: HeaderEdits,
    /// Changes to the answer's headers.
    pub(crate) response_headers: HeaderEdits,
}

impl Policy {
    /// Whether an address may ask.
    pub(crate) fn admits(&self, address: IpAddr) -> bool {
        let within = |networks: &[IpNet]| networks.iter().any(|network| network.contains(&address));
        (self.allow.is_empty() || within(&self.allow)) && !within(&self.deny)
    }
}

/// How long to wait for a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timeouts {
    /// For a connection.
    pub(crate) connect: Duration,
    /// For the answer's head, and between two parts of its body.
    pub(crate) read: Duration,
    /// How long a tunnel or a gRPC stream may be silent.
    pub(crate) idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            read: Duration::from_mins(1),
            // Nobody expects a quiet websocket to be cut after a minute.
            idle: Duration::from_hours(1),
        }
    }
}

/// An answer that sends the client elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Redirect {
    /// To a fixed URL; `$request_uri` in it stands for what was asked for.
    To(StatusCode, String),
    /// To what was asked for, with some parts replaced.
    Replace {
        /// The status.
        status: StatusCode,
        /// The scheme.
        scheme: Option<String>,
        /// The host.
        host: Option<String>,
        /// The port.
        port: Option<u16>,
        /// The path.
        path: Option<PathChange>,
    },
}

/// A new path for a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PathChange {
    /// Another path.
    Full(String),
    /// Another beginning in place of `from`.
    Prefix {
        /// The prefix that matched, without a slash at its end.
        from: String,
        /// What replaces it.
        to: String,
    },
}

impl PathChange {
    /// The changed path.
    pub(crate) fn apply(&self, path: &str) -> String {
        match self {
            Self::Full(path) => path.clone(),
            Self::Prefix { from, to } => {
                let rest = path.get(from.len()..).unwrap_or_default().trim_start_matches('/');
                let to = to.trim_end_matches('/');
                if rest.is_empty() && !to.is_empty() { to.to_owned() } else { format!("{to}/{rest}") }
            }
        }
    }
}

/// How a path is changed before it is forwarded.
#[derive(Clone, Debug)]
pub(crate) enum Rewrite {
    /// By a template with `$1` to `$9` for the groups of an expression.
    Pattern {
        /// The expression; without one, groups stand for nothing.
        regex: Option<Regex>,
        /// The template.
        template: String,
    },
    /// As the Gateway API says it.
    Change(PathChange),
}

impl Rewrite {
    /// The new path; a query of its own stays part of it.
    pub(crate) fn apply(&self, path: &str) -> String {
        match self {
            Self::Change(change) => change.apply(path),
            Self::Pattern { regex, template } => {
                let groups = regex.as_ref().and_then(|regex| regex.captures(path));
                let group =
                    |index: usize| groups.as_ref().and_then(|all| all.get(index)).map_or("", |group| group.as_str());
                let filled = fill(template, group);
                if filled.starts_with('/') { filled } else { format!("/{filled}") }
            }
        }
    }
}

/// Puts groups into a template.
fn fill<'a>(template: &str, group: impl Fn(usize) -> &'a str) -> String {
    let mut filled = String::with_capacity(template.len() + 32);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('$') {
        filled.push_str(before);
        match after.chars().next().and_then(|digit| digit.to_digit(10)) {
            Some(digit) => {
                filled.push_str(group(digit as usize));
                rest = &after[1..];
            }
            None => {
                filled.push('$');
                rest = after;
            }
        }
    }
    filled.push_str(rest);
    filled
}

/// What browsers are told about requests from other origins.
#[derive(Clone, Debug)]
pub(crate) struct Cors {
    /// The origins that may ask; one `*` means all.
    pub(crate) origins: Vec<String>,
    /// The methods.
    pub(crate) methods: HeaderValue,
    /// The headers that may be sent.
    pub(crate) headers: HeaderValue,
    /// The headers that may be read.
    pub(crate) expose: Option<HeaderValue>,
    /// Whether cookies may be sent.
    pub(crate) credentials: bool,
    /// How long the answer may be kept, in seconds.
    pub(crate) max_age: HeaderValue,
}

impl Cors {
    /// What to answer to a request from `origin`; none if it may not ask.
    pub(crate) fn allowed(&self, origin: Option<&HeaderValue>) -> Option<HeaderValue> {
        if self.origins.iter().any(|allowed| allowed == "*") {
            // Browsers refuse a star together with credentials.
            return match origin {
                Some(origin) if self.credentials => Some(origin.clone()),
                _ => Some(HeaderValue::from_static("*")),
            };
        }
        let origin = origin?;
        let text = origin.to_str().ok()?;
        self.origins.iter().any(|allowed| is_origin(allowed, text)).then(|| origin.clone())
    }
}

/// Whether an origin is meant by a pattern such as `https://*.example.com`.
fn is_origin(pattern: &str, origin: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern.eq_ignore_ascii_case(origin),
        Some((before, after)) => {
            let middle = origin.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
            middle.is_some_and(|middle| !middle.is_empty() && !middle.contains(['/', '.']))
        }
    }
}

/// A cookie that keeps a client with one endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Affinity {
    /// The cookie's name.
    pub(crate) cookie: String,
    /// What follows its value.
    pub(crate) attributes: String,
}

/// Headers to set, to add and to remove.
#[derive(Clone, Debug, Default)]
pub(crate) struct HeaderEdits {
    /// To set, whatever was there.
    pub(crate) set: Vec<(HeaderName, HeaderValue)>,
    /// To add to what is there.
    pub(crate) add: Vec<(HeaderName, HeaderValue)>,
    /// To remove.
    pub(crate) remove: Vec<HeaderName>,
}

impl HeaderEdits {
    /// Changes `headers`.
    pub(crate) fn apply(&self, headers: &mut http::HeaderMap) {
        for (name, value) in &self.set {
            headers.insert(name.clone(), value.clone());
        }
        for (name, value) in &self.add {
            headers.append(name.clone(), value.clone());
        }
        for name in &self.remove {
            headers.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(regex: &str, template: &str) -> Rewrite {
        Rewrite::Pattern { regex: Some(Regex::new(regex).unwrap()), template: template.to_owned() }
    }

    #[test]
    fn groups_fill_the_template() {
        let rewrite = pattern("(?i)^/api(/|$)(.*)", "/$2");
        for (path, expected) in [("/api", "/"), ("/api/", "/"), ("/api/a/b", "/a/b"), ("/API/x", "/x")] {
            assert_eq!(rewrite.apply(path), expected, "{path}");
        }
        assert_eq!(pattern("^/a/(.*)", "/b/$1?from=$1&p=$$9").apply("/a/x"), "/b/x?from=x&p=$");
        let fixed = Rewrite::Pattern { regex: None, template: "/fixed$1".to_owned() };
        assert_eq!(fixed.apply("/any"), "/fixed");
    }

    #[test]
    fn a_prefix_is_replaced_without_doubling_slashes() {
        for (from, to, path, expected) in [
            ("/foo", "/xyz", "/foo/bar", "/xyz/bar"),
            ("/foo", "/xyz/", "/foo/bar", "/xyz/bar"),
            ("/foo", "/xyz", "/foo", "/xyz"),
            ("/foo", "/", "/foo", "/"),
            ("/foo", "/", "/foo/bar", "/bar"),
            ("", "/v1", "/bar", "/v1/bar"),
        ] {
            let change = PathChange::Prefix { from: from.to_owned(), to: to.to_owned() };
            assert_eq!(change.apply(path), expected, "{from} -> {to}: {path}");
        }
    }

    #[test]
    fn origins_match_whole_or_with_one_label_for_the_star() {
        for (pattern, origin, expected) in [
            ("https://a.test", "https://a.test", true),
            ("https://a.test", "http://a.test", false),
            ("https://*.a.test", "https://x.a.test", true),
            ("https://*.a.test", "https://x.y.a.test", false),
            ("https://*.a.test", "https://.a.test", false),
            ("https://*.a.test", "https://evil/.a.test", false),
        ] {
            assert_eq!(is_origin(pattern, origin), expected, "{pattern} {origin}");
        }
    }

    #[test]
    fn addresses_are_let_in_by_network() {
        let policy = Policy {
            allow: vec!["10.0.0.0/8".parse().unwrap()],
            deny: vec!["10.1.0.0/16".parse().unwrap()],
            ..Policy::default()
        };
        for (address, admitted) in [("10.0.0.1", true), ("10.1.0.1", false), ("192.0.2.1", false)] {
            assert_eq!(policy.admits(address.parse().unwrap()), admitted, "{address}");
        }
    }
}
