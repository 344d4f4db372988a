//! Where rustls asks whether a peer's certificate is good: our rules first, for they say which intermediates
//! webpki may use, then webpki.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, VerifierBuilderError, WebPkiClientVerifier};
use rustls::time_provider::TimeProvider;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError,
    PeerIncompatible, SignatureScheme,
};

use super::credentials::Trust;
use super::provider;
use crate::Expect;
use crate::chain::{Judged, Refusal, judge};
use crate::clock::Clock;
use crate::date::Date;

/// Our clock, as rustls asks for it.
pub(super) struct VerifierClock(pub(super) Arc<dyn Clock>);

impl fmt::Debug for VerifierClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VerifierClock")
    }
}

impl TimeProvider for VerifierClock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_millis(self.0.wall().0)))
    }
}

/// Checks the server that this side dialed.
#[derive(Debug)]
pub(super) struct ServerVerifier {
    trust: Arc<Trust>,
    /// Nobody in particular only in the configuration from which those of connections are made; it is then
    /// nobody at all.
    expect: Option<Expect>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerVerifier {
    pub(super) fn new(trust: Arc<Trust>, expect: Option<Expect>) -> Self {
        Self { trust, expect, algorithms: provider().signature_verification_algorithms }
    }
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let trust = &self.trust;
        let judged = judge(&trust.domain, &trust.roots, end_entity, intermediates);
        let judged = judged.map_err(refuse)?;
        let verified = verify_server_cert_signed_by_trust_anchor(
            &ParsedCertificate::try_from(end_entity)?,
            &trust.anchors,
            judged.intermediates,
            now,
            self.algorithms.all,
        );
        verified.map_err(|error| refuse(explain(error, &judged)))?;
        match &self.expect {
            Some(expect) if expect.allows(&judged.identity.role) => {
                Ok(ServerCertVerified::assertion())
            }
            Some(expect) => {
                let (found, expected) = (judged.identity.into(), expect.clone());
                Err(refuse(Refusal::Unexpected { found, expected }))
            }
            None => Err(CertificateError::ApplicationVerificationFailure.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::ServerDoesNotSupportTls12Or13.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Checks the clients that dialed this side.
#[derive(Debug)]
pub(super) struct ClientVerifier {
    trust: Arc<Trust>,
    webpki: Arc<dyn ClientCertVerifier>,
}

impl ClientVerifier {
    pub(super) fn new(
        trust: Arc<Trust>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, VerifierBuilderError> {
        let (anchors, provider) = (Arc::clone(&trust.anchors), Arc::clone(provider));
        let webpki = WebPkiClientVerifier::builder_with_provider(anchors, provider).build()?;
        Ok(Self { trust, webpki })
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.webpki.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let trust = &self.trust;
        let judged = judge(&trust.domain, &trust.roots, end_entity, intermediates);
        let judged = judged.map_err(refuse)?;
        let verified = self.webpki.verify_client_cert(end_entity, judged.intermediates, now);
        verified.map_err(|error| refuse(explain(error, &judged)))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.webpki.supported_verify_schemes()
    }
}

/// Our reason, in the form in which rustls passes it through.
fn refuse(refusal: Refusal) -> Error {
    CertificateError::Other(OtherError(Arc::new(refusal))).into()
}

/// What webpki found, with the name of the peer and dates that people can read.
fn explain(error: Error, judged: &Judged<'_>) -> Refusal {
    const LEAF: &str = "certificate";
    const AUTHORITY: &str = "authority behind the certificate";
    let identity = Box::new(judged.identity.clone());
    let date =
        |time: UnixTime| Date::from_unix_seconds(i64::try_from(time.as_secs()).unwrap_or(i64::MAX));
    match error {
        Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. }) => {
            let end = date(not_after);
            let which = if end == judged.leaf_expires { LEAF } else { AUTHORITY };
            Refusal::Expired { which, identity, date: end.to_string() }
        }
        Error::InvalidCertificate(CertificateError::NotValidYetContext { not_before, .. }) => {
            Refusal::Early { identity, date: date(not_before).to_string() }
        }
        source => Refusal::Invalid { identity, source },
    }
}
