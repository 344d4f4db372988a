//! Finding a coordinator: the addresses are tried one after another, so that one lost datacenter costs a
//! moment and not the command.

use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kato_net::tls::{ConnectError, TlsTransport};
use kato_net::{BoxFuture, Expect, Identity, Io, Listener, Timeouts, Transport, channel};
use tonic::transport::Channel;

use super::ClientError;

/// How long one coordinator may take to connect to: an order of magnitude more than the longest round trips
/// of TCP and TLS on Earth.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// What people can do something about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    /// Nothing listens there.
    Closed,
    /// Nobody answers.
    Silent,
    /// The address cannot be read or resolved.
    Address,
    /// The peer does not take this side's certificate.
    RefusedByPeer,
    /// This side does not take the peer's.
    Distrusted,
    Other,
}

/// A coordinator that could not be connected to.
#[derive(Debug)]
pub(crate) struct Attempt {
    address: String,
    reason: Reason,
    text: String,
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.address, self.text)
    }
}

impl Attempt {
    pub(super) fn new(address: &str, error: &io::Error) -> Self {
        let connect = error.get_ref().and_then(|inner| inner.downcast_ref::<ConnectError>());
        let reason = match (connect, error.kind()) {
            (Some(ConnectError::RefusedByPeer { .. }), _) => Reason::RefusedByPeer,
            (Some(ConnectError::Unexpected { .. } | ConnectError::Handshake { .. }), _) => {
                Reason::Distrusted
            }
            (_, ErrorKind::ConnectionRefused) => Reason::Closed,
            (_, ErrorKind::TimedOut) => Reason::Silent,
            (_, ErrorKind::InvalidInput) => Reason::Address,
            _ => Reason::Other,
        };
        // The outermost text of an unreachable peer repeats the address, which stands before it already.
        let unreachable = matches!(connect, Some(ConnectError::Unreachable { .. }));
        let mut texts: Vec<String> = Vec::new();
        let mut cause: Option<&(dyn Error + 'static)> = Some(error);
        while let Some(error) = cause {
            texts.push(error.to_string());
            cause = error.source();
        }
        let text = texts[usize::from(unreachable && texts.len() > 1)..].join(": ");
        Self { address: address.to_owned(), reason, text }
    }

    pub(super) fn silent(address: &str) -> Self {
        let text = format!("no answer within {CONNECT_TIMEOUT:?}");
        Self { address: address.to_owned(), reason: Reason::Silent, text }
    }
}

/// What to do where no coordinator could be connected to.
pub(super) fn hint(attempts: &[Attempt]) -> String {
    let has = |reason| attempts.iter().any(|attempt| attempt.reason == reason);
    let text = if has(Reason::RefusedByPeer) {
        "the coordinator answers but does not take your certificate; its log says why, and\n\
         `kato pki show FILE` shows whose it is"
    } else if has(Reason::Distrusted) {
        "somebody answers who is not a coordinator of your mesh: check the address, and that\n\
         --ca (KATO_CACERT) is this mesh's root"
    } else if has(Reason::Address) {
        "write an address as HOST:PORT, such as 127.0.0.1:7440"
    } else if has(Reason::Closed) {
        "is the coordinator running? `kato dev` starts a mesh on this machine; --address\n\
         (KATO_ADDR) takes several coordinators, separated by commas"
    } else {
        "check the network, or name coordinators of other datacenters: --address (KATO_ADDR)\n\
         takes several, separated by commas"
    };
    text.to_owned()
}

/// The coordinators, and which have not been tried yet.
pub(super) struct Dialer {
    transport: Arc<TlsTransport>,
    all: Vec<String>,
    rest: VecDeque<String>,
    /// The one that was connected to last.
    address: String,
}

impl Dialer {
    pub(super) fn new(transport: Arc<TlsTransport>, addresses: Vec<String>) -> Self {
        Self { transport, rest: addresses.clone().into(), all: addresses, address: String::new() }
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// All of them are to be tried again: first the one after the last that answered, and that one last.
    pub(super) fn begin_anew(&mut self) {
        let next = self.all.iter().position(|address| *address == self.address);
        let next = next.map_or(0, |at| at + 1);
        self.rest = self.all.iter().cloned().collect();
        self.rest.rotate_left(next);
    }

    /// Connects to the next coordinator that answers.
    pub(super) async fn next(&mut self) -> Result<Channel, ClientError> {
        let mut attempts = Vec::new();
        while let Some(address) = self.rest.pop_front() {
            match self.dial(&address).await {
                Ok(channel) => return Ok(channel),
                Err(attempt) => attempts.push(attempt),
            }
        }
        Err(ClientError::NoAnswer { attempts })
    }

    /// The same, until none is left; `last` is told of those that do not answer.
    pub(super) async fn next_known(
        &mut self,
        last: &mut Option<Box<ClientError>>,
    ) -> Option<Channel> {
        match self.next().await {
            Ok(channel) => Some(channel),
            Err(ClientError::NoAnswer { attempts }) if attempts.is_empty() => None,
            Err(error) => {
                *last = Some(error.into());
                None
            }
        }
    }

    async fn dial(&mut self, address: &str) -> Result<Channel, Attempt> {
        let connect = self.transport.connect(address, &Expect::AnyCoordinator);
        let io = match tokio::time::timeout(CONNECT_TIMEOUT, connect).await {
            Ok(Ok(io)) => io,
            Ok(Err(error)) => return Err(Attempt::new(address, &error)),
            Err(_) => return Err(Attempt::silent(address)),
        };
        address.clone_into(&mut self.address);
        let opened = Opened { transport: Arc::clone(&self.transport), io: Mutex::new(Some(io)) };
        let timeouts = Timeouts { connect: CONNECT_TIMEOUT, ..Timeouts::default() };
        let expect = Expect::AnyCoordinator;
        Ok(channel(Arc::new(opened), address.to_owned(), expect, timeouts))
    }
}

/// A transport whose first connection is open already: that is how an error of connecting is told from an
/// error of the first call.
struct Opened {
    transport: Arc<TlsTransport>,
    io: Mutex<Option<Box<dyn Io>>>,
}

impl Transport for Opened {
    fn identity(&self) -> &Identity {
        self.transport.identity()
    }

    fn connect<'a>(
        &'a self,
        address: &'a str,
        expect: &'a Expect,
    ) -> BoxFuture<'a, io::Result<Box<dyn Io>>> {
        match self.io.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(io) => Box::pin(async { Ok(io) }),
            None => self.transport.connect(address, expect),
        }
    }

    fn listen<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        self.transport.listen(address)
    }
}
