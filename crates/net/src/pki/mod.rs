//! The mesh's authorities, and the certificates that they issue.
//!
//! One root per mesh, kept where operators keep such things; one authority per datacenter, held by its
//! coordinator, so that machines can join while the root is in a drawer. The keys are P-256, which every
//! TLS stack takes. Who may sign for whom is decided by the peers (in `chain`), not here: what is
//! refused here would be refused there.
//!
//! The time is an argument: whoever issues knows it.

mod host;
mod issue;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;
use std::time::Duration;

use kato_core::{DatacenterName, Timestamp};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rcgen::{PublicKeyData, SanType};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

pub use host::{Host, HostError};
pub use issue::Issued;

pub use crate::pem::{Overwrite, PemError};

use crate::date::Date;
use crate::pem;
use crate::{Domain, Identity, Role};

/// Why an authority could not be made, loaded, or did not issue.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// The authority does not speak for such a role.
    #[error("{authority} may not issue a certificate for {role}: {right}")]
    MayNotIssue {
        /// Who was asked.
        authority: String,
        /// For whom.
        role: Role,
        /// Who issues such a certificate.
        right: String,
    },
    /// The authority's own time is over.
    #[error("{authority} expired on {date}: renew it first")]
    AuthorityExpired {
        /// The authority.
        authority: String,
        /// When, in RFC 3339.
        date: String,
    },
    /// The validity cannot be written into a certificate.
    #[error("a validity of {0:?} does not end before the year 9999")]
    Validity(Duration),
    /// A file could not be read or written.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// The certificate file does not hold an authority.
    #[error("{path} is not the certificate of an authority: {reason}")]
    NotAnAuthority {
        /// The file.
        path: String,
        /// Why not.
        reason: &'static str,
    },
    /// The key cannot be used.
    #[error("{path} is not a P-256 key in PKCS #8; convert it: openssl pkcs8 -topk8 -nocrypt")]
    Key {
        /// The file.
        path: String,
        /// Why not.
        source: rcgen::Error,
    },
    /// Key and certificate are of different authorities.
    #[error("the key in {key} is not that of the certificate in {certificate}")]
    Mismatch {
        /// The certificate's file.
        certificate: String,
        /// The key's file.
        key: String,
    },
    /// The certificate could not be made.
    #[error("cannot make the certificate of {subject}")]
    Make {
        /// Whose.
        subject: String,
        /// Why not.
        source: rcgen::Error,
    },
    /// The operating system gave no random bytes.
    #[error("the operating system gives no random bytes for a serial number")]
    Random,
}

/// What an authority speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Root,
    Datacenter(DatacenterName),
}

/// A certificate that signs others, and its key.
pub struct Authority {
    kind: Kind,
    domain: Domain,
    certificate: CertificateDer<'static>,
    expires_at: Date,
    issuer: Issuer<'static, KeyPair>,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the key.
        f.debug_struct("Authority").field("name", &self.to_string()).finish_non_exhaustive()
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Root => write!(f, "the root of {}", self.domain),
            Kind::Datacenter(datacenter) => {
                write!(f, "spiffe://{}/authority/{datacenter}", self.domain)
            }
        }
    }
}

impl Authority {
    /// Makes the root of a new mesh.
    pub fn root(domain: Domain, now: Timestamp, validity: Duration) -> Result<Self, PkiError> {
        let make = |source| PkiError::Make { subject: format!("the root of {domain}"), source };
        let key = KeyPair::generate().map_err(make)?;
        let subject = issue::subject(&domain, "root");
        let (mut params, expires_at) = issue::params(subject, now, validity, None)?;
        // A trust domain's own SPIFFE ID has no path (SPIFFE X.509-SVID §4.1).
        let uri = format!("spiffe://{domain}");
        params.subject_alt_names.push(SanType::URI(uri.try_into().map_err(make)?));
        // One intermediate below the root, and leaves below that.
        make_authority(&mut params, 1);
        let certificate = params.self_signed(&key).map_err(make)?.der().clone();
        let issuer = Issuer::new(params, key);
        Ok(Self { kind: Kind::Root, domain, certificate, expires_at, issuer })
    }

    /// Makes the authority of a datacenter, which signs that datacenter's agents. It does not outlive the
    /// root.
    pub fn intermediate(
        &self,
        datacenter: DatacenterName,
        now: Timestamp,
        validity: Duration,
    ) -> Result<Self, PkiError> {
        let role = Role::Authority(datacenter.clone());
        self.check_may_issue(&role)?;
        let identity = Identity { domain: self.domain.clone(), role };
        let make = |source| PkiError::Make { subject: identity.to_string(), source };
        let key = KeyPair::generate().map_err(make)?;
        let subject = issue::subject(&identity.domain, &identity.role.to_string());
        let (mut params, expires_at) = issue::params(subject, now, validity, Some(self))?;
        let uri = identity.to_string().try_into().map_err(make)?;
        params.subject_alt_names.push(SanType::URI(uri));
        make_authority(&mut params, 0);
        let certificate = params.signed_by(&key, &self.issuer).map_err(make)?.der().clone();
        let (kind, domain) = (Kind::Datacenter(datacenter), identity.domain);
        Ok(Self { kind, domain, certificate, expires_at, issuer: Issuer::new(params, key) })
    }

    /// The mesh.
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// The last moment at which it is valid.
    pub fn expires_at(&self) -> Timestamp {
        self.expires_at.0
    }

    /// The certificate in PEM: for a root, what `ca.pem` holds.
    pub fn certificate_pem(&self) -> String {
        pem::certificates_pem(std::slice::from_ref(&self.certificate))
    }

    /// Writes `NAME.pem` and `NAME-key.pem` into `directory`. A mesh's root is customarily named `ca`.
    pub fn store(
        &self,
        directory: &Path,
        name: &str,
        overwrite: Overwrite,
    ) -> Result<(), PkiError> {
        let key = self.issuer.key().serialize_pem();
        Ok(pem::write_pair(directory, name, &self.certificate_pem(), &key, overwrite)?)
    }

    /// Reads what [`Authority::store`] wrote.
    pub fn load(certificate_path: &Path, key_path: &Path) -> Result<Self, PkiError> {
        let certificates =
            pem::read_certificates(certificate_path, "the certificate of an authority")?;
        let key = pem::read_key(key_path)?;
        let path = || certificate_path.display().to_string();
        let refuse = |reason| PkiError::NotAnAuthority { path: path(), reason };
        let [certificate] = &certificates[..] else {
            return Err(refuse("it holds several certificates, which is right for ca.pem only"));
        };
        let read = describe(certificate).map_err(refuse)?;
        let unusable = |source| PkiError::Key { path: key_path.display().to_string(), source };
        let key = signing_key(&key).map_err(unusable)?;
        if key.subject_public_key_info() != read.public_key {
            let (certificate, key) = (path(), key_path.display().to_string());
            return Err(PkiError::Mismatch { certificate, key });
        }
        let issuer = Issuer::from_ca_cert_der(certificate, key);
        let issuer = issuer.map_err(|source| PkiError::Make { subject: path(), source })?;
        let (kind, domain, expires_at) = (read.kind, read.domain, read.expires_at);
        Ok(Self { kind, domain, certificate: certificate.clone(), expires_at, issuer })
    }

    /// Refuses what the peers would refuse.
    fn check_may_issue(&self, role: &Role) -> Result<(), PkiError> {
        let right = match (&self.kind, role) {
            (Kind::Root, Role::Agent(machine)) => {
                format!("authority/{} issues it", machine.cell.datacenter)
            }
            (Kind::Root, _) => return Ok(()),
            (Kind::Datacenter(own), Role::Agent(machine)) if machine.cell.datacenter == *own => {
                return Ok(());
            }
            (Kind::Datacenter(_), Role::Agent(machine)) => {
                format!("authority/{} issues it", machine.cell.datacenter)
            }
            (Kind::Datacenter(_), _) => format!("the root of {} issues it", self.domain),
        };
        Err(PkiError::MayNotIssue { authority: self.to_string(), role: role.clone(), right })
    }
}

/// An authority signs certificates, down to `depth` authorities below it, and nothing else.
fn make_authority(params: &mut CertificateParams, depth: u8) {
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(depth));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
}

/// What an authority's certificate says of it.
struct Described {
    kind: Kind,
    domain: Domain,
    public_key: Vec<u8>,
    expires_at: Date,
}

fn describe(certificate: &CertificateDer<'_>) -> Result<Described, &'static str> {
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| "it cannot be read")?;
    if !parsed.is_ca() {
        return Err("its basic constraints do not let it sign");
    }
    let names = parsed.subject_alternative_name().map_err(|_| "its SANs cannot be read")?;
    let names = names.map(|names| &names.value.general_names[..]).unwrap_or_default();
    let [GeneralName::URI(uri)] = names else {
        return Err("it should have one SAN, a URI such as \"spiffe://demo.com\"");
    };
    let (kind, domain) = match uri.parse::<Identity>() {
        Ok(Identity { domain, role: Role::Authority(datacenter) }) => {
            (Kind::Datacenter(datacenter), domain)
        }
        Ok(_) => return Err("its URI SAN is not that of an authority"),
        Err(_) => {
            let domain = uri.strip_prefix("spiffe://").and_then(|domain| domain.parse().ok());
            (Kind::Root, domain.ok_or("its URI SAN should be such as \"spiffe://demo.com\"")?)
        }
    };
    let expires_at = Date::from_unix_seconds(parsed.validity().not_after.timestamp());
    Ok(Described { kind, domain, public_key: parsed.public_key().raw.to_vec(), expires_at })
}

fn signing_key(key: &PrivateKeyDer<'_>) -> Result<KeyPair, rcgen::Error> {
    KeyPair::from_der_and_sign_algo(key, &rcgen::PKCS_ECDSA_P256_SHA256)
}
