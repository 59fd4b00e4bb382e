//! Ports of this host.

use std::{
    net::{Ipv4Addr, TcpListener},
    ops::Range,
    process,
    sync::atomic::{AtomicU16, Ordering},
};

/// Below those that the kernel gives to connections, and those that skiff takes for its clusters: a port of these
/// stays free while nobody listens on it.
const RANGE: Range<u16> = 12_000..20_000;
const COUNT: u16 = RANGE.end - RANGE.start;

/// A port of this host that nobody listens on, and that no other test of this program gets.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Another program with tests begins elsewhere.
    let begin = u16::try_from(process::id() % u32::from(COUNT)).expect("a small number");
    let port = |_| RANGE.start + begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    RANGE.map(port).find(is_free).expect("a free port")
}
