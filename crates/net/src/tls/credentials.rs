//! What a process shows of itself, and whom it trusts: its own certificate and key, and the mesh's root.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kato_core::Timestamp;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::sign::CertifiedKey;

use super::provider;
use crate::chain::{Refusal, claimed, judge};
use crate::date::Date;
use crate::pem::{self, PemError};
use crate::{Domain, Identity};

/// Why credentials cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// A file could not be read.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// The root certificate cannot be used.
    #[error("{path} holds a certificate that cannot be the root of a mesh")]
    Root {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: rustls::Error,
    },
    /// The peers would refuse the certificate.
    #[error("every peer that trusts {ca} would refuse the certificate in {path}")]
    Refused {
        /// The certificate's file.
        path: PathBuf,
        /// The root's file.
        ca: PathBuf,
        /// Why.
        source: Box<Refusal>,
    },
    /// The key is not the certificate's.
    #[error("the key in {key} does not fit the certificate in {certificate}")]
    Key {
        /// The key's file.
        key: PathBuf,
        /// The certificate's file.
        certificate: PathBuf,
        /// What is wrong.
        source: rustls::Error,
    },
    /// TLS cannot be set up with them.
    #[error("TLS cannot use the credentials of {identity}")]
    Unusable {
        /// Whose.
        identity: Box<Identity>,
        /// Why not.
        source: rustls::Error,
    },
    /// The root cannot check clients.
    #[error("TLS cannot check clients against the root")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
    /// The new credentials are somebody else's.
    #[error(
        "the new credentials are those of {new}, but this process is {old}; restart it instead"
    )]
    OtherIdentity {
        /// Who this process is.
        old: Box<Identity>,
        /// Whose the credentials are.
        new: Box<Identity>,
    },
}

/// The mesh's root, and a certificate and key that it vouches for.
#[derive(Clone)]
pub struct Credentials {
    identity: Identity,
    trust: Arc<Trust>,
    key: CertifiedKey,
    expires_at: Date,
}

/// Whom to trust: the certificates of `ca.pem`, and the mesh that this side belongs to.
#[derive(Debug)]
pub(super) struct Trust {
    pub(super) domain: Domain,
    /// As the rules read them.
    pub(super) roots: Vec<CertificateDer<'static>>,
    /// As webpki reads them.
    pub(super) anchors: Arc<RootCertStore>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the key.
        f.debug_struct("Credentials").field("identity", &self.identity).finish_non_exhaustive()
    }
}

impl Credentials {
    /// Reads the files that [`pki`](crate::pki) writes: the root (several, while one replaces the other), the
    /// certificate with its authority's, and the key, which nobody else may be able to read.
    ///
    /// Refuses what the peers would refuse, other than for its time: that is for the peers' clocks to judge,
    /// and for [`Credentials::expires_at`] to tell beforehand.
    pub fn load(ca: &Path, certificate: &Path, key: &Path) -> Result<Self, CredentialsError> {
        let roots = pem::read_certificates(ca, "the root certificate of the mesh")?;
        let chain = pem::read_certificates(certificate, "a certificate")?;
        let mut anchors = RootCertStore::empty();
        for root in &roots {
            let added = anchors.add(root.clone());
            added.map_err(|source| CredentialsError::Root { path: ca.into(), source })?;
        }
        let refused = |source: Refusal| {
            let (path, ca, source) = (certificate.into(), ca.into(), source.into());
            CredentialsError::Refused { path, ca, source }
        };
        let domain = claimed(&chain[0]).map_err(refused)?.domain;
        let judged = judge(&domain, &roots, &chain[0], &chain[1..]).map_err(refused)?;
        let (identity, expires_at) = (judged.identity, judged.expires);
        let fits = CertifiedKey::from_der(chain.clone(), pem::read_key(key)?, &provider());
        let certified = fits.map_err(|source| CredentialsError::Key {
            key: key.into(),
            certificate: certificate.into(),
            source,
        })?;
        let trust = Arc::new(Trust { domain, roots, anchors: Arc::new(anchors) });
        Ok(Self { identity, trust, key: certified, expires_at })
    }

    /// Who this is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The last moment at which peers accept them: load them anew before, and hand them to
    /// [`TlsTransport::renew`](super::TlsTransport::renew).
    pub fn expires_at(&self) -> Timestamp {
        self.expires_at.0
    }

    pub(super) fn trust(&self) -> Arc<Trust> {
        Arc::clone(&self.trust)
    }

    pub(super) fn certified_key(&self) -> CertifiedKey {
        self.key.clone()
    }

    /// The same, but showing another certificate and trusting others: what an impostor does.
    #[cfg(test)]
    pub(super) fn showing(self, key: CertifiedKey, trust: Arc<Trust>) -> Self {
        Self { trust, key, ..self }
    }
}
