//! Annotations about cookies that keep a client with one endpoint.

use std::fmt::Write;

use super::{Reader, values};
use crate::ingress::policy::Affinity;

/// What the annotations say, if they ask for it.
pub(super) fn read(reader: &mut Reader<'_>) -> Option<Affinity> {
    let asks = reader.value("affinity", |kind| match kind {
        "cookie" => Ok(()),
        _ => Err("is not supported, only cookie".to_owned()),
    });
    let word = |text: &str| {
        let fits = text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b';' | b',' | b'"'));
        if fits { Ok(text.to_owned()) } else { Err("cannot be part of a cookie".to_owned()) }
    };
    let name = |text: &str| match text.contains('=') {
        true => Err("cannot be the name of a cookie".to_owned()),
        false => word(text),
    };
    let cookie = reader.value("session-cookie-name", name).unwrap_or_else(|| "INGRESSCOOKIE".to_owned());
    let path = reader.value("session-cookie-path", word).unwrap_or_else(|| "/".to_owned());
    let mut attributes = format!("; Path={path}; HttpOnly");
    let max_age = reader.value("session-cookie-max-age", values::seconds);
    // Without a name for the day, the older way to say the same is said in the newer one.
    let expires = reader.value("session-cookie-expires", values::seconds);
    // Writing to a string cannot fail.
    if let Some(age) = max_age.or(expires) {
        let _ = write!(attributes, "; Max-Age={}", age.as_secs());
    }
    if let Some(domain) = reader.value("session-cookie-domain", word) {
        let _ = write!(attributes, "; Domain={domain}");
    }
    if let Some(same_site) = reader.value("session-cookie-samesite", word) {
        let _ = write!(attributes, "; SameSite={same_site}");
    }
    if reader.flag("session-cookie-secure").unwrap_or(false) {
        attributes.push_str("; Secure");
    }
    asks.map(|()| Affinity { cookie, attributes })
}
