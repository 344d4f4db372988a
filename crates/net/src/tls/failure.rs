//! Why a handshake failed, told apart from what rustls and the kernel say.

use std::error::Error;
use std::io;
use std::time::Duration;

use rustls::{AlertDescription, CertificateError};

use crate::Refusal;

/// How long a handshake may take: a hundred round trips of the slowest link.
pub(super) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a handshake failed.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// This side refuses the peer.
    #[error("the peer is refused")]
    Refused(#[source] Box<Refusal>),
    /// The peer refuses this side.
    #[error("the peer refuses this side's certificate; its log says why")]
    RefusedByPeer(#[source] rustls::Error),
    /// The peer speaks something else.
    #[error("the peer does not speak TLS 1.3 as it should")]
    NotTls(#[source] rustls::Error),
    /// The connection broke.
    #[error("the connection broke during the handshake")]
    Broken(#[source] io::Error),
    /// The peer stalled.
    #[error("the handshake took longer than {HANDSHAKE_TIMEOUT:?}")]
    Slow,
}

impl HandshakeError {
    /// What kind of I/O error this is to those who know no other.
    pub(super) fn kind(&self) -> io::ErrorKind {
        match self {
            Self::Refused(_) | Self::RefusedByPeer(_) => io::ErrorKind::PermissionDenied,
            Self::NotTls(_) => io::ErrorKind::InvalidData,
            Self::Broken(source) => source.kind(),
            Self::Slow => io::ErrorKind::TimedOut,
        }
    }
}

impl From<io::Error> for HandshakeError {
    fn from(error: io::Error) -> Self {
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match tls.cloned() {
            Some(tls) => tls.into(),
            None => Self::Broken(error),
        }
    }
}

impl From<rustls::Error> for HandshakeError {
    fn from(error: rustls::Error) -> Self {
        match &error {
            rustls::Error::NoCertificatesPresented => Self::Refused(Refusal::NoCertificate.into()),
            rustls::Error::AlertReceived(
                AlertDescription::AccessDenied
                | AlertDescription::BadCertificate
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateRequired
                | AlertDescription::CertificateRevoked
                | AlertDescription::CertificateUnknown
                | AlertDescription::UnknownCA
                | AlertDescription::UnsupportedCertificate,
            ) => Self::RefusedByPeer(error),
            rustls::Error::InvalidCertificate(CertificateError::Other(other)) => {
                let refusal = (&*other.0 as &(dyn Error + 'static)).downcast_ref::<Refusal>();
                match refusal.cloned() {
                    Some(refusal) => Self::Refused(refusal.into()),
                    None => Self::NotTls(error),
                }
            }
            _ => Self::NotTls(error),
        }
    }
}
