//! Issuing: what goes into a peer's certificate.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use kato_core::Timestamp;
use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair};
use rcgen::{KeyUsagePurpose, SanType, SerialNumber};
use rustls::pki_types::CertificateDer;

use super::host::Name;
use super::{Authority, Host, Kind, Overwrite, PkiError};
use crate::date::Date;
use crate::{Domain, Identity, Role, pem};

/// How far before now a certificate begins: the peer's clock may be behind by as much.
const BACKDATE: Duration = Duration::from_mins(5);

/// The longest common name (RFC 5280 appendix A, ub-common-name). A domain always fits the organization's.
const COMMON_NAME_BYTES_MAX: usize = 64;

/// The length of a serial number: RFC 5280 §4.1.2.2 allows 20, and 64 random bits suffice.
const SERIAL_BYTES: usize = 16;

/// A peer's certificate, with that of the authority behind it where that is not the root, and its key.
pub struct Issued {
    identity: Identity,
    chain: Vec<CertificateDer<'static>>,
    key: KeyPair,
}

impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the key.
        f.debug_struct("Issued").field("identity", &self.identity).finish_non_exhaustive()
    }
}

impl Issued {
    /// Whose it is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The certificates in PEM, the peer's own first.
    pub fn chain_pem(&self) -> String {
        pem::certificates_pem(&self.chain)
    }

    /// The private key in PEM. It goes into a file of mode 0600, or over mutual TLS, and nowhere else.
    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// Writes `NAME.pem` and `NAME-key.pem` into `directory`.
    pub fn store(
        &self,
        directory: &Path,
        name: &str,
        overwrite: Overwrite,
    ) -> Result<(), PkiError> {
        Ok(pem::write_pair(directory, name, &self.chain_pem(), &self.key_pem(), overwrite)?)
    }
}

impl Authority {
    /// Issues a certificate, with a new key, for `role` at `hosts`. It begins five minutes before `now`, ends
    /// `validity` after it, and does not outlive the authority.
    pub fn issue(
        &self,
        role: Role,
        hosts: &[Host],
        now: Timestamp,
        validity: Duration,
    ) -> Result<Issued, PkiError> {
        if matches!(role, Role::Authority(_)) {
            let right = "make it with Authority::intermediate".to_owned();
            return Err(PkiError::MayNotIssue { authority: self.to_string(), role, right });
        }
        self.check_may_issue(&role)?;
        self.issue_unchecked(role, hosts, now, validity)
    }

    /// Issues for whomever: a stolen authority asks nobody, and the peers must refuse what it signs.
    pub(crate) fn issue_unchecked(
        &self,
        role: Role,
        hosts: &[Host],
        now: Timestamp,
        validity: Duration,
    ) -> Result<Issued, PkiError> {
        let identity = Identity { domain: self.domain.clone(), role };
        let make = |source| PkiError::Make { subject: identity.to_string(), source };
        let subject = subject(&identity.domain, &identity.role.to_string());
        let (mut params, _) = params(subject, now, validity, Some(self))?;
        params.subject_alt_names = subject_names(&identity, hosts).map_err(make)?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        if matches!(identity.role, Role::Coordinator(_)) {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        }
        let key = KeyPair::generate().map_err(make)?;
        let leaf = params.signed_by(&key, &self.issuer).map_err(make)?;
        let mut chain = vec![leaf.der().clone()];
        if self.kind != Kind::Root {
            chain.push(self.certificate.clone());
        }
        Ok(Issued { identity, chain, key })
    }
}

fn subject_names(identity: &Identity, hosts: &[Host]) -> Result<Vec<SanType>, rcgen::Error> {
    let mut names = vec![SanType::URI(identity.to_string().try_into()?)];
    for host in hosts {
        names.push(match &host.0 {
            Name::Dns(name) => SanType::DnsName(name.as_str().try_into()?),
            Name::Ip(address) => SanType::IpAddress(*address),
        });
    }
    Ok(names)
}

/// The name that tools show, and by which a certificate names its signer. Nothing is decided by it, so a name
/// that is too long may be cut.
pub(super) fn subject(domain: &Domain, name: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::OrganizationName, domain.as_str());
    subject.push(DnType::CommonName, name.get(..COMMON_NAME_BYTES_MAX).unwrap_or(name));
    subject
}

/// What every certificate has, and when it ends: no later than the authority `by` that signs it, because
/// peers refuse the whole chain from then on.
pub(super) fn params(
    subject: DistinguishedName,
    now: Timestamp,
    validity: Duration,
    by: Option<&Authority>,
) -> Result<(CertificateParams, Date), PkiError> {
    let now = Date(now);
    let mut end = now.plus(validity);
    if let Some(authority) = by {
        if authority.expires_at <= now {
            let date = authority.expires_at.to_string();
            return Err(PkiError::AuthorityExpired { authority: authority.to_string(), date });
        }
        end = end.min(authority.expires_at);
    }
    let too_long = || PkiError::Validity(validity);
    let mut params = CertificateParams::default();
    params.not_before = now.minus(BACKDATE).to_utc().ok_or_else(too_long)?;
    params.not_after = end.to_utc().ok_or_else(too_long)?;
    let end = Date::from_unix_seconds(params.not_after.unix_timestamp());
    params.serial_number = Some(serial_number()?);
    params.distinguished_name = subject;
    params.use_authority_key_identifier_extension = true;
    Ok((params, end))
}

/// A random number, positive and of constant length.
fn serial_number() -> Result<SerialNumber, PkiError> {
    let mut bytes = [0; SERIAL_BYTES];
    let random = rustls::crypto::ring::default_provider().secure_random;
    random.fill(&mut bytes).map_err(|_| PkiError::Random)?;
    bytes[0] = (bytes[0] & 0x7f) | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}
