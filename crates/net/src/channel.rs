//! A gRPC channel over a [`Transport`]: one kept connection, opened when first used, and reopened after
//! it broke.

use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tonic::transport::{Channel, Endpoint, Uri};
use tower::service_fn;

use crate::{Expect, Transport};

/// The largest message between a coordinator and its agents or another coordinator, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The largest message between a client and a coordinator, in bytes: what gRPC's libraries take where nobody tells them
/// otherwise.
pub const CALL_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How long a channel waits before it calls its connection dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For connecting, handshake included.
    pub connect: Duration,
    /// Between HTTP/2 keep-alive pings, and for the answer to one. A cut network may never say so: without
    /// pings a follower behind a healed partition stays behind.
    pub keepalive: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), keepalive: Duration::from_secs(5) }
    }
}

/// A channel to the peer at `address` that must prove to be whom `expect` says.
///
/// # Panics
/// Never: the URI is a constant; the true address stays with the transport.
pub fn channel(
    transport: Arc<dyn Transport>,
    address: String,
    expect: Expect,
    timeouts: Timeouts,
) -> Channel {
    let connector = service_fn(move |_: Uri| {
        let (transport, address, expect) =
            (Arc::clone(&transport), address.clone(), expect.clone());
        async move { transport.connect(&address, &expect).await.map(TokioIo::new) }
    });
    Endpoint::from_static("http://peer.kato.internal")
        .connect_timeout(timeouts.connect)
        .http2_keep_alive_interval(timeouts.keepalive)
        .keep_alive_timeout(timeouts.keepalive)
        .keep_alive_while_idle(true)
        .tcp_nodelay(true)
        .connect_with_connector_lazy(connector)
}
