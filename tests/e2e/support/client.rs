//! Calls without the command line in between: the API over mutual TLS, and any method at all with bytes of one's own.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};
use kato_net::clock::SystemClock;
use kato_net::tls::{Credentials, TlsTransport};
use kato_net::{Expect, Timeouts, channel};
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use super::certificates::pair;

/// How long one call may take.
const CALL: Duration = Duration::from_secs(5);

/// Runs a future to its end, on threads that are there for it.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.worker_threads(2).enable_all().build().unwrap().block_on(future)
}

/// A channel to a coordinator, as whoever holds `NAME.pem` and `NAME-key.pem`.
pub(crate) fn dial(ca: &Path, name: &Path, address: &str) -> Channel {
    let (certificate, key) = pair(name);
    let credentials = Credentials::load(ca, &certificate, &key).unwrap();
    let transport = TlsTransport::new(credentials, Arc::new(SystemClock)).unwrap();
    let timeouts = Timeouts { connect: Duration::from_secs(2), keepalive: Duration::from_secs(2) };
    channel(Arc::new(transport), address.to_owned(), Expect::AnyCoordinator, timeouts)
}

/// Calls a method with no message at all, and tells what came of it: none for an answer, or for none in time.
pub(crate) async fn knock(channel: Channel, method: &str) -> Option<Status> {
    let mut grpc = Grpc::new(channel);
    grpc.ready().await.unwrap();
    let path: PathAndQuery = method.parse().unwrap();
    let calling = async {
        let nothing = tokio_stream::empty::<Bytes>();
        let mut answers = grpc.streaming(Request::new(nothing), path, Raw).await?.into_inner();
        while answers.message().await?.is_some() {}
        Ok::<(), Status>(())
    };
    match tokio::time::timeout(CALL, calling).await {
        Ok(Err(status)) => Some(status),
        Ok(Ok(())) | Err(_) => None,
    }
}

/// Whether the door was kept shut.
pub(crate) fn is_refused(status: Option<&Status>) -> bool {
    status.is_some_and(|s| matches!(s.code(), Code::PermissionDenied | Code::Unauthenticated))
}

/// Messages as the bytes that they are.
#[derive(Debug, Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}
