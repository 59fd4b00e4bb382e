//! What the host has to offer.

use std::{num::NonZero, thread};

/// Processors of the host.
pub(crate) fn processors() -> u32 {
    thread::available_parallelism().map_or(1, NonZero::get).try_into().unwrap_or(u32::MAX)
}

/// Memory of the host in bytes.
#[cfg(target_os = "linux")]
pub(crate) async fn memory() -> u64 {
    let info = rustix::system::sysinfo();
    info.totalram.saturating_mul(u64::from(info.mem_unit))
}

/// Memory of the host in bytes.
#[cfg(not(target_os = "linux"))]
pub(crate) async fn memory() -> u64 {
    crate::platform::sysctl("hw.memsize").await.and_then(|bytes| bytes.parse().ok()).unwrap_or(0)
}
