//! The addresses of a name, as a name server tells them.

use std::{io, net::IpAddr, time::Duration};

use hickory_proto::{
    op::{Query, ResponseCode},
    rr::{Name, RData, RecordType},
};

use crate::{dns::forward::Upstream, wire};

/// All addresses of a name: those of IPv4, or of IPv6 where there are no others. Empty for a name that has none.
pub(crate) async fn addresses(server: &Upstream, name: &Name, patience: Duration) -> io::Result<Vec<IpAddr>> {
    for kind in [RecordType::A, RecordType::AAAA] {
        let question = wire::question(Query::query(name.clone(), kind), false, false);
        let reply = server.ask(&question, patience).await.map_err(io::Error::other)?;
        let code = reply.metadata.response_code;
        if !matches!(code, ResponseCode::NoError | ResponseCode::NXDomain) {
            return Err(io::Error::other(format!("the name server says {code}")));
        }
        let found = reply.answers.iter().filter_map(|record| match &record.data {
            RData::A(ip) => Some(IpAddr::V4(ip.0)),
            RData::AAAA(ip) => Some(IpAddr::V6(ip.0)),
            _ => None,
        });
        let found: Vec<IpAddr> = found.collect();
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Ok(Vec::new())
}
