//! Connecting: TCP, the handshake, and the peer's word that it has taken this side's certificate.

use std::io::{self, ErrorKind, Read};
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Session;
use super::failure::{HANDSHAKE_TIMEOUT, HandshakeError};
use crate::chain::Refusal;
use crate::date::Date;
use crate::{Expect, Identity};

/// How long TCP may take to connect; the kernel alone would try for two minutes.
const TCP_TIMEOUT: Duration = Duration::from_secs(5);

/// TLS wants a name of its peer. It is neither sent nor checked: identities are.
const SERVER_NAME: &str = "peer.kato.internal";

/// Why a peer could not be connected to. Callers of [`Transport::connect`](crate::Transport::connect) find it
/// inside the [`io::Error`].
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nothing answers.
    #[error("cannot reach {address}")]
    Unreachable {
        /// Where.
        address: String,
        /// Why not.
        source: io::Error,
    },
    /// Somebody else answers.
    #[error("the peer at {address} is {found}, expected {expected}")]
    Unexpected {
        /// Where.
        address: String,
        /// Who answers.
        found: Box<Identity>,
        /// Who should.
        expected: Expect,
    },
    /// The peer does not take this side's certificate.
    #[error("the peer at {address} refuses {identity}, whose certificate is valid until {expires}")]
    RefusedByPeer {
        /// Where.
        address: String,
        /// Who this side is.
        identity: Box<Identity>,
        /// When this side's certificate expires, in RFC 3339.
        expires: String,
        /// What the peer said.
        source: HandshakeError,
    },
    /// The handshake failed otherwise.
    #[error("no secure connection with the peer at {address}")]
    Handshake {
        /// Where.
        address: String,
        /// Why not.
        source: HandshakeError,
    },
}

impl From<ConnectError> for io::Error {
    fn from(error: ConnectError) -> Self {
        let kind = match &error {
            ConnectError::Unreachable { source, .. } => source.kind(),
            ConnectError::Unexpected { .. } => ErrorKind::PermissionDenied,
            ConnectError::RefusedByPeer { source, .. } | ConnectError::Handshake { source, .. } => {
                source.kind()
            }
        };
        Self::new(kind, error)
    }
}

/// Connects to `address`, whose peer must be whom `expect` says.
pub(super) async fn dial(
    session: &Session,
    address: &str,
    expect: &Expect,
) -> Result<TlsStream<TcpStream>, ConnectError> {
    let unreachable = |source| ConnectError::Unreachable { address: address.to_owned(), source };
    let connected = timeout(TCP_TIMEOUT, TcpStream::connect(address)).await.unwrap_or_else(|_| {
        let text = format!("no answer within {TCP_TIMEOUT:?}");
        Err(io::Error::new(ErrorKind::TimedOut, text))
    });
    let tcp = connected.map_err(unreachable)?;
    tcp.set_nodelay(true).map_err(unreachable)?;
    let failed = match timeout(HANDSHAKE_TIMEOUT, secure(session, tcp, expect)).await {
        Ok(Ok(stream)) => return Ok(stream),
        Ok(Err(failed)) => failed,
        Err(_) => HandshakeError::Slow,
    };
    let address = address.to_owned();
    Err(match failed {
        HandshakeError::Refused(refusal) => match *refusal {
            Refusal::Unexpected { found, expected } => {
                ConnectError::Unexpected { address, found, expected }
            }
            refusal => {
                ConnectError::Handshake { address, source: HandshakeError::Refused(refusal.into()) }
            }
        },
        source @ HandshakeError::RefusedByPeer(_) => ConnectError::RefusedByPeer {
            address,
            identity: session.credentials.identity().clone().into(),
            expires: Date(session.credentials.expires_at()).to_string(),
            source,
        },
        source => ConnectError::Handshake { address, source },
    })
}

async fn secure(
    session: &Session,
    tcp: TcpStream,
    expect: &Expect,
) -> Result<TlsStream<TcpStream>, HandshakeError> {
    let name = ServerName::try_from(SERVER_NAME).map_err(io::Error::other)?;
    let connector = TlsConnector::from(session.client(expect));
    let mut stream = connector.connect(name, tcp).await?;
    await_acceptance(&mut stream).await?;
    Ok(stream)
}

/// Waits until the peer has taken this side's certificate. In TLS 1.3 the client is done before the server has
/// seen that; the server's ticket, or an alert in its place, comes half a round trip later.
async fn await_acceptance(stream: &mut TlsStream<TcpStream>) -> Result<(), HandshakeError> {
    let (tcp, session) = stream.get_mut();
    while session.tls13_tickets_received() == 0 {
        tcp.readable().await?;
        match session.read_tls(&mut Ready(tcp)) {
            Ok(0) => return Err(HandshakeError::Broken(ErrorKind::UnexpectedEof.into())),
            Ok(_) => {
                session.process_new_packets()?;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// What the socket has received so far, as rustls reads it.
struct Ready<'s>(&'s TcpStream);

impl Read for Ready<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}
