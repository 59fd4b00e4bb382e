//! What keeps packets and downloads from arriving.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use skiff_report::ExitCode;

use super::resources::sysctl;
use crate::{Facts, Finding};

/// Where the host's ports for clusters come from: outgoing connections must not take them.
const PORTS: (u64, u64) = (20_000, 32_000);
/// What is inside of clusters, and so never behind a proxy: nodes, pods, services.
const INSIDE: [(&str, Ipv4Addr); 4] = [
    ("127.0.0.1", Ipv4Addr::new(127, 0, 0, 1)),
    ("192.168.0.0/16", Ipv4Addr::new(192, 168, 49, 2)),
    ("10.96.0.0/12", Ipv4Addr::new(10, 96, 0, 1)),
    ("10.244.0.0/16", Ipv4Addr::new(10, 244, 0, 2)),
];

pub(super) fn forwarding(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(on) = facts.ip_forward {
        findings.push(if on {
            Finding::good("ip-forward", "is on")
        } else {
            let message = "is off: nothing in a cluster can reach anything outside of it";
            Finding::blocking("ip-forward", ExitCode::NETWORK_ERROR, message, sysctl("net.ipv4.ip_forward", 1))
        });
    }
    if let Some((first, last)) = facts.local_ports
        && first < PORTS.1
        && last >= PORTS.0
    {
        let message = format!("outgoing connections take ports from {first} on, and so those of clusters");
        let fix = "sudo sysctl -w net.ipv4.ip_local_port_range='32768 60999' && echo \
                   'net.ipv4.ip_local_port_range=32768 60999' | sudo tee -a /etc/sysctl.d/99-skiff.conf";
        findings.push(Finding::warning("local-ports", message, fix));
    }
    findings
}

pub(super) fn proxies(facts: &Facts) -> Vec<Finding> {
    let proxies = &facts.proxies;
    let Some((name, value)) = proxies.proxies.first() else { return Vec::new() };
    let exceptions = proxies.exceptions.as_deref().unwrap_or_default();
    let missing: Vec<&str> =
        INSIDE.iter().filter(|(_, address)| !excepted(exceptions, *address)).map(|(net, _)| *net).collect();
    let mut findings = Vec::new();
    if missing.is_empty() {
        findings.push(Finding::good("proxy", format!("{name} is set, and NO_PROXY leaves clusters out")));
    } else {
        let all: Vec<&str> =
            exceptions.split(',').map(str::trim).filter(|word| !word.is_empty()).chain(missing.clone()).collect();
        let message = format!("{name} is set, and NO_PROXY does not leave out {}", missing.join(", "));
        findings.push(Finding::warning("proxy", message, format!("export NO_PROXY={}", all.join(","))));
    }
    if ["127.", "localhost", "[::1]"].iter().any(|local| host_of(value).starts_with(local)) {
        let message = format!("{name} names this host's loopback, which nodes cannot reach");
        let fix = "Let the proxy listen on an address of the host's network, and name that one.";
        findings.push(Finding::warning("proxy-loopback", message, fix));
    }
    findings
}

/// `http://user:password@host:port/` without all but the host: the rest may be secret.
fn host_of(proxy: &str) -> &str {
    let rest = proxy.split_once("://").map_or(proxy, |(_, rest)| rest);
    rest.rsplit_once('@').map_or(rest, |(_, host)| host)
}

/// Whether an address is among the exceptions, as most programs read them.
fn excepted(exceptions: &str, address: Ipv4Addr) -> bool {
    exceptions.split(',').map(str::trim).any(|word| {
        let net = word.parse::<Ipv4Net>().is_ok_and(|net| net.contains(&address));
        word == "*" || net || word.parse() == Ok(address)
    })
}

pub(super) fn authorities(facts: &Facts) -> Option<Finding> {
    Some(match &facts.authorities {
        Some(path) => Finding::good("authorities", format!("{} says whom to trust", path.display())),
        None => {
            let message = "this host trusts no authority: downloads over https fail";
            let fix = "sudo apt-get install ca-certificates (or what your system calls it), or set SSL_CERT_FILE";
            Finding::warning("authorities", message, fix)
        }
    })
}
