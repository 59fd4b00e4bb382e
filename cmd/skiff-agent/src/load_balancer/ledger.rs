//! Who gets which address: pure. The services' statuses are the books.

use std::{collections::BTreeMap, net::Ipv4Addr};

use super::{
    range::Pool,
    service::{Key, Service},
};

/// What is to become of a service's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It has what it shall have.
    Keep(Ipv4Addr),
    /// It gets this one.
    Give(Ipv4Addr),
    /// It has one and shall not.
    Clear,
    /// It cannot get what it wants; what it has from us is taken away.
    Refuse(String),
    /// Somebody else cares for it, or there is nothing to do.
    Leave,
}

/// Goes through the books. The answer depends on nothing but the services, so every instance finds the same.
pub(super) fn judge(services: &BTreeMap<Key, Service>, pool: &Pool) -> BTreeMap<Key, Verdict> {
    let mut oldest_first: Vec<&Service> = services.values().collect();
    oldest_first.sort_by_key(|service| (&service.created, &service.uid));
    let mut books = Books::default();
    let mut verdicts = BTreeMap::new();
    for service in &oldest_first {
        if let Some(address) = may_keep(service, pool).filter(|address| books.taker(*address, service).is_none()) {
            books.enter(address, service);
            verdicts.insert(service.key.clone(), Verdict::Keep(address));
        }
    }
    // Those who ask for an address go before those who take any.
    for asks in [true, false] {
        for service in oldest_first.iter().filter(|service| service.asks.is_some() == asks) {
            if !verdicts.contains_key(&service.key) {
                let verdict = books.serve(service, pool);
                verdicts.insert(service.key.clone(), verdict);
            }
        }
    }
    verdicts
}

/// The address that a service has, if it may stay so.
fn may_keep(service: &Service, pool: &Pool) -> Option<Ipv4Addr> {
    let address = service.address().filter(|address| service.wants && pool.contains(*address))?;
    let asked = service.asks.as_deref().is_none_or(|text| text.parse() == Ok(address));
    asked.then_some(address)
}

/// Who has an address.
#[derive(Default)]
struct Books<'a>(BTreeMap<Ipv4Addr, Vec<&'a Service>>);

impl<'a> Books<'a> {
    fn enter(&mut self, address: Ipv4Addr, service: &'a Service) {
        self.0.entry(address).or_default().push(service);
    }

    /// A service that has one of the ports at that address. Others may share it.
    fn taker(&self, address: Ipv4Addr, service: &Service) -> Option<(&'a Service, String)> {
        self.0.get(&address).into_iter().flatten().find_map(|other| {
            let port = other.ports.iter().find(|port| service.ports.contains(port))?;
            Some((*other, format!("{}/{}", port.1, port.0)))
        })
    }

    fn serve(&mut self, service: &'a Service, pool: &Pool) -> Verdict {
        let ours = service.written_here || service.address().is_some_and(|address| pool.contains(address));
        match (service.wants, service.has.is_empty()) {
            (_, false) if !ours => return Verdict::Leave,
            (false, false) => return Verdict::Clear,
            (false, true) => return Verdict::Leave,
            (true, _) => {}
        }
        match self.find(service, pool) {
            Ok(address) => {
                self.enter(address, service);
                Verdict::Give(address)
            }
            Err(reason) => Verdict::Refuse(reason),
        }
    }

    fn find(&self, service: &Service, pool: &Pool) -> Result<Ipv4Addr, String> {
        let Some(text) = &service.asks else {
            let free = pool.addresses().find(|address| !self.0.contains_key(address));
            return free.ok_or_else(|| format!("every address of {pool} is taken"));
        };
        let address: Ipv4Addr = text.parse().map_err(|_| format!("loadBalancerIP {text} is not an IPv4 address"))?;
        if !pool.contains(address) {
            return Err(format!("loadBalancerIP {address} is not one of {pool}, the addresses of this cluster"));
        }
        match self.taker(address, service) {
            Some((other, port)) => Err(format!("{} has {address} port {port}", other.key)),
            None => Ok(address),
        }
    }
}

#[cfg(test)]
#[path = "ledger/tests.rs"]
mod tests;
