//! From the text of a setting to its value, or to what is wrong with it.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::{FeatureGate, Problem};

/// Reads settings and collects what is wrong with them.
#[derive(Default)]
pub(super) struct Reading {
    pub(super) problems: Vec<Problem>,
}

impl Reading {
    pub(super) fn maybe<T, E: ToString>(
        &mut self,
        setting: &'static str,
        text: Option<&str>,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        match parse(text?) {
            Ok(value) => Some(value),
            Err(error) => {
                self.problems.push(Problem::usage(setting, error.to_string()));
                None
            }
        }
    }

    pub(super) fn one<T, E: ToString>(
        &mut self,
        setting: &'static str,
        text: Option<&str>,
        default: T,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> T {
        self.maybe(setting, text, parse).unwrap_or(default)
    }

    pub(super) fn all<T, E: ToString>(
        &mut self,
        setting: &'static str,
        texts: Option<&[String]>,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Vec<T> {
        texts.unwrap_or_default().iter().filter_map(|text| self.maybe(setting, Some(text), &parse)).collect()
    }
}

pub(super) fn net(octets: [u8; 4], length: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::from(octets), length)
}

pub(super) fn network(text: &str) -> Result<Ipv4Net, String> {
    match text.parse::<Ipv4Net>() {
        Ok(network) if network.addr() == network.network() => Ok(network),
        Ok(network) => Err(format!("`{text}` has bits set beyond its prefix: the network is {}", network.trunc())),
        Err(_) => Err(format!("`{text}` is not an IPv4 network: write it like 10.96.0.0/12")),
    }
}

/// A network of IPv4, and one of IPv6 beside it if two are given.
pub(super) fn networks(text: &str) -> Result<(Ipv4Net, Option<Ipv6Net>), String> {
    let Some((one, other)) = text.split_once(',') else { return Ok((network(text)?, None)) };
    let (one, other) = (one.trim(), other.trim());
    // Kubernetes' own order is free; ours begins with what the nodes speak among themselves.
    let (ipv4, ipv6) = if one.contains(':') { (other, one) } else { (one, other) };
    match ipv6.parse::<IpNet>() {
        Ok(IpNet::V6(found)) if found.addr() == found.network() => Ok((network(ipv4)?, Some(found))),
        Ok(IpNet::V6(found)) => {
            Err(format!("`{ipv6}` has bits set beyond its prefix: the network is {}", found.trunc()))
        }
        _ => Err(format!("`{text}` is not a network of IPv4 and one of IPv6: write them like 10.96.0.0/12,fd00::/112")),
    }
}

/// What `--ip-family` says, in kind's words: true for both.
pub(super) fn speaks_both(text: &str) -> Result<bool, String> {
    match text {
        "ipv4" => Ok(false),
        "dual" => Ok(true),
        "ipv6" => Err("`ipv6` alone cannot be had, as nodes find each other by IPv4: with `dual`, pods and services \
                       have addresses of both"
            .to_owned()),
        _ => Err(format!("`{text}` is not a family of addresses: use ipv4 or dual")),
    }
}

pub(super) fn address(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| format!("`{text}` is not an IP address"))
}

pub(super) fn port(text: &str) -> Result<u16, String> {
    text.parse().ok().filter(|port| *port != 0).ok_or_else(|| format!("`{text}` is not a port: use 1 to 65535"))
}

pub(super) fn yes_or_no(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| format!("`{text}` is neither true nor false"))
}

pub(super) fn number_of_nodes(text: &str) -> Result<u32, String> {
    text.parse().ok().filter(|count| *count > 0).ok_or_else(|| format!("`{text}` is not a number of nodes"))
}

pub(super) fn dns_name(text: &str) -> Result<String, String> {
    let label = |label: &str| {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        (1..=63).contains(&label.len()) && label.chars().all(inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    let bare = text.strip_prefix("*.").unwrap_or(text);
    if bare.len() <= 253 && bare.split('.').all(label) {
        Ok(text.to_owned())
    } else {
        Err(format!("`{text}` is not a DNS name"))
    }
}

pub(super) fn feature_gate(text: &str) -> Result<FeatureGate, String> {
    let shape = || format!("`{text}` is not a feature gate: write Name=true or Name=false");
    let (name, value) = text.split_once('=').ok_or_else(shape)?;
    let enabled = value.parse().map_err(|_| shape())?;
    if !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric()) {
        Ok(FeatureGate { name: name.to_owned(), enabled })
    } else {
        Err(shape())
    }
}
