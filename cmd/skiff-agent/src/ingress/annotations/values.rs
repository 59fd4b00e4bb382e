//! How single values are written.

use std::{net::IpAddr, time::Duration};

use http::HeaderValue;
use ipnet::IpNet;

use crate::ingress::table::Protocol;

/// Yes or no.
pub(super) fn flag(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "on" | "yes" | "1" => Ok(true),
        "false" | "off" | "no" | "0" => Ok(false),
        _ => Err("is neither true nor false".to_owned()),
    }
}

/// A number of seconds, with or without its unit.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let number: u64 = number.parse().map_err(|_| "is no number of seconds".to_owned())?;
    let time = match unit {
        "" | "s" => Some(Duration::from_secs(number)),
        "ms" => Some(Duration::from_millis(number)),
        "m" => number.checked_mul(60).map(Duration::from_secs),
        "h" => number.checked_mul(3600).map(Duration::from_secs),
        _ => None,
    };
    // A year is as good as for ever, and far from where clocks overflow.
    let time = time.map(|time| time.min(Duration::from_hours(24 * 365)));
    time.filter(|time| !time.is_zero()).ok_or_else(|| "is no number of seconds above zero".to_owned())
}

/// A number of bytes: `8m`, `1g`, `512k`, `100`.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let lower = text.to_ascii_lowercase();
    let (number, shift) = match lower.strip_suffix(['k', 'm', 'g']) {
        Some(number) => (number, [("k", 10), ("m", 20), ("g", 30)].iter().find(|(unit, _)| lower.ends_with(unit))),
        None => (lower.as_str(), None),
    };
    let number: u64 = number.parse().map_err(|_| "is no size such as 8m".to_owned())?;
    number.checked_mul(1 << shift.map_or(0, |(_, shift)| *shift)).ok_or_else(|| "is too large".to_owned())
}

/// What a backend speaks.
pub(super) fn protocol(text: &str) -> Result<Protocol, String> {
    match text.to_ascii_uppercase().as_str() {
        "HTTP" | "AUTO_HTTP" => Ok(Protocol::Http),
        "HTTPS" => Ok(Protocol::Https),
        "GRPC" | "H2C" => Ok(Protocol::H2c),
        "GRPCS" | "H2" => Ok(Protocol::H2),
        _ => Err("is not supported, only HTTP, HTTPS, GRPC, GRPCS, H2C".to_owned()),
    }
}

/// The value of a header.
pub(super) fn header(text: &str) -> Result<HeaderValue, String> {
    HeaderValue::from_str(text).map_err(|_| "cannot be sent in a header".to_owned())
}

/// A network, or one address.
pub(super) fn network(text: &str) -> Result<IpNet, String> {
    let address = || text.parse::<IpAddr>().map(IpNet::from);
    text.parse::<IpNet>().or_else(|_| address()).map_err(|_| format!("holds {text:?}, which is no network"))
}

/// The parts of a list that commas separate.
pub(super) fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty())
}
