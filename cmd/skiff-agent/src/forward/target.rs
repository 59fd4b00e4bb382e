//! Where a service is: its name, and the address that cluster DNS has for it.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    str::FromStr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use hickory_proto::rr::Name;

use crate::{address::addresses, dns::forward::Upstream};

/// How long the name server may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long an address is taken for granted, as long as it works.
const KEPT: Duration = Duration::from_secs(30);

/// A service by name and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Service {
    name: Name,
    port: u16,
}

impl FromStr for Service {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, port) = text.rsplit_once(':').ok_or("expected NAME:PORT")?;
        let port = port.parse().map_err(|_| format!("`{port}` is no port"))?;
        let mut name = Name::from_ascii(name).map_err(|error| error.to_string())?;
        name.set_fqdn(true);
        if name.is_root() { Err("the name is missing".to_owned()) } else { Ok(Self { name, port }) }
    }
}

/// Finds the service.
#[derive(Debug)]
pub(super) struct Target {
    service: Service,
    dns: Upstream,
    last: Mutex<Option<(Instant, SocketAddr)>>,
}

impl Target {
    pub(super) fn new(service: Service, dns: SocketAddr) -> Self {
        Self { service, dns: Upstream::new(dns), last: Mutex::default() }
    }

    /// Its address.
    pub(super) async fn address(&self) -> io::Result<SocketAddr> {
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((when, address)) = last
            && when.elapsed() < KEPT
        {
            return Ok(address);
        }
        let address = SocketAddr::new(self.look_up().await?, self.service.port);
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), address));
        Ok(address)
    }

    /// Looks the name up anew the next time.
    pub(super) fn forget(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    async fn look_up(&self) -> io::Result<IpAddr> {
        let name = &self.service.name;
        let found = addresses(&self.dns, name, PATIENCE).await?;
        let none = || io::Error::new(io::ErrorKind::NotFound, format!("{name} has no address"));
        found.first().copied().ok_or_else(none)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_has_a_name_and_a_port() {
        let service: Service = "registry.kube-system.svc.cluster.local:5000".parse().unwrap();
        assert_eq!(
            (service.name.to_string().as_str(), service.port),
            ("registry.kube-system.svc.cluster.local.", 5000)
        );
        for bad in ["registry", "registry:", "registry:99999", ":5000", "a..b:1"] {
            assert!(bad.parse::<Service>().is_err(), "{bad}");
        }
    }
}
