//! The transport of production: TCP with mutual TLS 1.3.
//!
//! Both sides show a certificate, and both check the other's: the chain with webpki, then the mesh's own
//! rules (`chain`). What counts is the identity in the certificate, never the DNS name. Sessions
//! are not resumed, because resumption would skip those checks.

mod credentials;
mod dial;
mod failure;
mod listen;
#[cfg(test)]
mod tests;
mod verify;

use std::io;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::server::StoresServerSessions;
use rustls::sign::SingleCertAndKey;
use rustls::time_provider::TimeProvider;
use rustls::version::TLS13;
use rustls::{ClientConfig, ServerConfig};

pub use credentials::{Credentials, CredentialsError};
pub use dial::ConnectError;
pub use failure::HandshakeError;
pub use listen::ListenError;

use crate::clock::Clock;
use crate::{BoxFuture, Expect, Identity, Io, Listener, Transport};
use verify::{ClientVerifier, ServerVerifier, VerifierClock};

/// What grpcurl, and every other gRPC client, asks for.
const ALPN: &[u8] = b"h2";

/// TCP with mutual TLS, under one identity.
pub struct TlsTransport {
    identity: Identity,
    clock: Arc<dyn Clock>,
    /// What new handshakes use; [`TlsTransport::renew`] replaces it.
    current: Arc<RwLock<Arc<Session>>>,
}

/// Both sides' configuration under one set of credentials.
struct Session {
    credentials: Credentials,
    client: ClientConfig,
    server: Arc<ServerConfig>,
}

impl TlsTransport {
    /// A transport that shows these credentials. The clock decides which certificates have expired.
    pub fn new(credentials: Credentials, clock: Arc<dyn Clock>) -> Result<Self, CredentialsError> {
        let identity = credentials.identity().clone();
        let session = Arc::new(Session::new(credentials, &clock)?);
        Ok(Self { identity, clock, current: Arc::new(RwLock::new(session)) })
    }

    /// Shows other credentials of the same identity from the next handshake on, also on addresses that are
    /// listened on already. Open connections go on.
    pub fn renew(&self, credentials: Credentials) -> Result<(), CredentialsError> {
        if *credentials.identity() != self.identity {
            return Err(CredentialsError::OtherIdentity {
                old: self.identity.clone().into(),
                new: credentials.identity().clone().into(),
            });
        }
        let session = Arc::new(Session::new(credentials, &self.clock)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = session;
        Ok(())
    }

    fn session(&self) -> Arc<Session> {
        current(&self.current)
    }
}

/// What a handshake that begins now uses.
fn current(sessions: &RwLock<Arc<Session>>) -> Arc<Session> {
    Arc::clone(&sessions.read().unwrap_or_else(PoisonError::into_inner))
}

impl Transport for TlsTransport {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn connect<'a>(
        &'a self,
        address: &'a str,
        expect: &'a Expect,
    ) -> BoxFuture<'a, io::Result<Box<dyn Io>>> {
        Box::pin(async move {
            let connected = dial::dial(&self.session(), address, expect).await;
            connected.map(|stream| Box::new(stream) as Box<dyn Io>).map_err(io::Error::from)
        })
    }

    fn listen<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let listener = listen::TlsListener::bind(address, Arc::clone(&self.current)).await;
            listener.map(|listener| Box::new(listener) as Box<dyn Listener>)
        })
    }
}

impl Session {
    fn new(credentials: Credentials, clock: &Arc<dyn Clock>) -> Result<Self, CredentialsError> {
        let unusable = |source| CredentialsError::Unusable {
            identity: credentials.identity().clone().into(),
            source,
        };
        let provider = Arc::new(provider());
        let time: Arc<dyn TimeProvider> = Arc::new(VerifierClock(Arc::clone(clock)));
        let resolver = Arc::new(SingleCertAndKey::from(credentials.certified_key()));

        let verifier = ServerVerifier::new(credentials.trust(), None);
        let mut client =
            ClientConfig::builder_with_details(Arc::clone(&provider), Arc::clone(&time))
                .with_protocol_versions(&[&TLS13])
                .map_err(unusable)?
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(verifier))
                .with_client_cert_resolver(Arc::clone(&resolver) as _);
        client.alpn_protocols = vec![ALPN.to_vec()];
        client.resumption = Resumption::disabled();
        // Addresses are not identities, and who is called is nobody's business on the way.
        client.enable_sni = false;

        let verifier = ClientVerifier::new(credentials.trust(), &provider)?;
        let mut server = ServerConfig::builder_with_details(provider, time)
            .with_protocol_versions(&[&TLS13])
            .map_err(unusable)?
            .with_client_cert_verifier(Arc::new(verifier))
            .with_cert_resolver(resolver);
        server.alpn_protocols = vec![ALPN.to_vec()];
        server.session_storage = Arc::new(Forgetful);
        server.send_tls13_tickets = 1;
        Ok(Self { credentials, client, server: Arc::new(server) })
    }

    /// The client's configuration for a peer that must be whom `expect` says.
    fn client(&self, expect: &Expect) -> Arc<ClientConfig> {
        let mut client = self.client.clone();
        let verifier = ServerVerifier::new(self.credentials.trust(), Some(expect.clone()));
        client.dangerous().set_certificate_verifier(Arc::new(verifier));
        Arc::new(client)
    }
}

/// The one provider of cryptography.
fn provider() -> CryptoProvider {
    rustls::crypto::ring::default_provider()
}

/// Says that it stores sessions, and keeps none. In TLS 1.3 a server has no other word for "I have taken your
/// certificate" than the ticket that follows; the dialing side waits for it, so that a refusal is an
/// error of connecting and not of some later read.
#[derive(Debug)]
struct Forgetful;

impl StoresServerSessions for Forgetful {
    fn put(&self, _: Vec<u8>, _: Vec<u8>) -> bool {
        true
    }

    fn get(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }

    fn take(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }

    fn can_cache(&self) -> bool {
        true
    }
}
