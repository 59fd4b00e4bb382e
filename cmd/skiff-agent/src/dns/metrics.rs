//! What the DNS roles count.

use std::sync::Arc;

use hickory_proto::op::ResponseCode;

use super::zone::ZoneSize;
use crate::metrics::{Counter, Histogram, Page};

/// The counters of a server's sockets.
#[derive(Debug, Default)]
pub(crate) struct ServerMetrics {
    /// Requests over UDP.
    pub(crate) udp_requests: Counter,
    /// Requests over TCP.
    pub(crate) tcp_requests: Counter,
    /// Time from request to answer.
    pub(crate) duration: Histogram,
    no_error: Counter,
    nx_domain: Counter,
    serv_fail: Counter,
    other: Counter,
}

/// The counters of the DNS role.
#[derive(Debug, Default)]
pub(crate) struct DnsMetrics {
    /// Those of the sockets.
    pub(crate) server: Arc<ServerMetrics>,
    /// Foreign questions answered from the cache.
    pub(crate) cache_hits: Counter,
    /// Foreign questions that had to be forwarded.
    pub(crate) cache_misses: Counter,
    /// Forwarded questions that an upstream answered.
    pub(crate) forwards_answered: Counter,
    /// Forwarded questions that no upstream answered.
    pub(crate) forwards_failed: Counter,
    /// Questions not forwarded because too many were under way.
    pub(crate) forwards_refused: Counter,
    /// Failed watches of the API server.
    pub(crate) watch_errors: Counter,
}

impl ServerMetrics {
    /// Counts an answer by its code.
    pub(crate) fn responded(&self, code: ResponseCode) {
        match code {
            ResponseCode::NoError => self.no_error.add(),
            ResponseCode::NXDomain => self.nx_domain.add(),
            ResponseCode::ServFail => self.serv_fail.add(),
            _ => self.other.add(),
        }
    }

    /// Adds these counters to a page.
    pub(crate) fn write(&self, page: &mut Page) {
        page.counter(
            "skiff_dns_requests_total",
            "Requests received.",
            &[("transport=\"udp\"", self.udp_requests.get()), ("transport=\"tcp\"", self.tcp_requests.get())],
        );
        page.counter(
            "skiff_dns_responses_total",
            "Answers sent.",
            &[
                ("rcode=\"NOERROR\"", self.no_error.get()),
                ("rcode=\"NXDOMAIN\"", self.nx_domain.get()),
                ("rcode=\"SERVFAIL\"", self.serv_fail.get()),
                ("rcode=\"other\"", self.other.get()),
            ],
        );
        page.histogram("skiff_dns_request_duration_seconds", "Time from request to answer.", &self.duration);
    }
}

impl DnsMetrics {
    /// Everything as a page.
    pub(crate) fn page(&self, zone: ZoneSize, cached: usize, synced: bool) -> String {
        let mut page = Page::default();
        self.server.write(&mut page);
        page.counter(
            "skiff_dns_forwards_total",
            "Questions for upstream servers.",
            &[
                ("result=\"answered\"", self.forwards_answered.get()),
                ("result=\"failed\"", self.forwards_failed.get()),
                ("result=\"refused\"", self.forwards_refused.get()),
            ],
        );
        page.counter(
            "skiff_dns_cache_lookups_total",
            "Foreign questions looked up in the cache.",
            &[("result=\"hit\"", self.cache_hits.get()), ("result=\"miss\"", self.cache_misses.get())],
        );
        page.gauge("skiff_dns_cache_entries", "Foreign answers kept.", cached as u64);
        page.gauge("skiff_dns_services", "Services in the zone.", zone.services as u64);
        page.gauge("skiff_dns_addresses", "Addresses of services and endpoints in the zone.", zone.addresses as u64);
        page.gauge("skiff_dns_synced", "Whether the zone has been filled once.", u64::from(synced));
        page.counter("skiff_dns_watch_errors_total", "Failed watches.", &[("", self.watch_errors.get())]);
        page.finish()
    }
}
