//! A host for each mesh: an address of the loopback network that nobody else has. A port of 127.0.0.1 that was free a
//! moment ago may be somebody's by the time that a member comes back to it.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU8, Ordering};

static NEXT: AtomicU8 = AtomicU8::new(1);

/// The next one. Its ports are free, whatever else runs.
pub(crate) fn own() -> IpAddr {
    let [.., high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, high.max(1), low, NEXT.fetch_add(1, Ordering::Relaxed)).into()
}
