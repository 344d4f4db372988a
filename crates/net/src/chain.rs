//! The mesh's own rules for certificate chains, beyond those of X.509: who may be a peer, and who may have
//! signed for it. Both sides of a connection apply them, and so does whoever loads its own certificate.
//!
//! The root alone speaks for coordinators, operators and readers. A datacenter's authority speaks for that
//! datacenter's agents and for nobody else, so that a stolen one can mint neither an operator nor another
//! datacenter's agent. X.509 cannot say this: its name constraints for URIs reach the host only, and webpki
//! does not tell which chain it found.
//!
//! Nothing here knows the time, and nothing here replaces webpki, which checks validity, key usage and the
//! path. [`judge`] checks identities and signatures, and gives webpki those intermediates only that the
//! rules allow.

use kato_core::DatacenterName;
use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::date::Date;
use crate::{Domain, Expect, Identity, IdentityError, Role};

/// Why a peer is not taken for what its certificate says.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Refusal {
    /// The peer sent no certificate.
    #[error("the peer shows no certificate")]
    NoCertificate,
    /// A certificate is not X.509.
    #[error("the {0} certificate cannot be read")]
    Unreadable(&'static str),
    /// Not exactly one URI SAN.
    #[error(
        "the {which} certificate holds {found} URI SANs; it needs one, \
         such as \"spiffe://demo.com/coordinator/dub\""
    )]
    UriCount {
        /// Which certificate of the chain.
        which: &'static str,
        /// How many it has.
        found: usize,
    },
    /// The URI SAN is not an identity.
    #[error("the {which} certificate's URI SAN is not an identity")]
    Uri {
        /// Which certificate of the chain.
        which: &'static str,
        /// Why not.
        source: IdentityError,
    },
    /// The peer belongs to another mesh.
    #[error("{found} is not of the mesh \"{domain}\"")]
    Domain {
        /// Who it says it is.
        found: Box<Identity>,
        /// This mesh.
        domain: Domain,
    },
    /// An authority signs and does nothing else.
    #[error("{0} is an authority, which may sign but never be a peer")]
    AuthorityAsPeer(Identity),
    /// The certificate must be signed by the root, and is not.
    #[error("the certificate of {0} is not signed by the root of this mesh")]
    NotByRoot(Identity),
    /// An authority signed for somebody whom it does not speak for.
    #[error("{authority} signed the certificate of {identity}, for whom it may not sign")]
    Overreach {
        /// Who it was signed for.
        identity: Box<Identity>,
        /// Who signed.
        authority: Box<Identity>,
    },
    /// An agent's certificate comes without that of its authority.
    #[error(
        "the certificate of {identity} comes without the one of authority/{authority}, \
         which must follow it"
    )]
    NoIntermediate {
        /// The agent.
        identity: Box<Identity>,
        /// The authority of its datacenter.
        authority: DatacenterName,
    },
    /// The certificate that follows an agent's did not sign it.
    #[error("the certificate of {identity} is not signed by {intermediate}, whose one follows it")]
    NotByIntermediate {
        /// The agent.
        identity: Box<Identity>,
        /// Who follows.
        intermediate: Box<Identity>,
    },
    /// The peer proved to be somebody else than was asked for.
    #[error("the peer is {found}, expected {expected}")]
    Unexpected {
        /// Who it is.
        found: Box<Identity>,
        /// Who was asked for.
        expected: Expect,
    },
    /// The certificate's time is over.
    #[error("the {which} of {identity} expired on {date}, by the clock of this machine")]
    Expired {
        /// The certificate, or that of its authority.
        which: &'static str,
        /// Whose.
        identity: Box<Identity>,
        /// When, in RFC 3339.
        date: String,
    },
    /// The certificate's time has not come.
    #[error("the certificate of {identity} begins on {date}, later than the clock of this machine")]
    Early {
        /// Whose.
        identity: Box<Identity>,
        /// When, in RFC 3339.
        date: String,
    },
    /// The certificate breaks another rule of X.509, such as its extended key usage.
    #[error("the certificate of {identity} is not valid here")]
    Invalid {
        /// Whose.
        identity: Box<Identity>,
        /// The rule.
        source: rustls::Error,
    },
}

/// A chain that keeps the mesh's rules. Valid it is only after webpki has seen it too.
#[derive(Debug)]
pub(crate) struct Judged<'c> {
    /// Whose certificate it is.
    pub(crate) identity: Identity,
    /// The intermediates that webpki may use.
    pub(crate) intermediates: &'c [CertificateDer<'c>],
    /// The last moment of the leaf's validity.
    pub(crate) leaf_expires: Date,
    /// The last moment of the whole chain's validity.
    pub(crate) expires: Date,
}

#[cfg(test)]
mod tests;

const LEAF: &str = "peer's";
const INTERMEDIATE: &str = "intermediate";

/// Whether the chain of `leaf` and what was `presented` with it speaks for an identity of `domain`, under
/// any of the `roots`. What is presented beyond need is ignored: people append the root.
pub(crate) fn judge<'c>(
    domain: &Domain,
    roots: &[CertificateDer<'_>],
    leaf: &CertificateDer<'_>,
    presented: &'c [CertificateDer<'c>],
) -> Result<Judged<'c>, Refusal> {
    let leaf = parse(leaf, LEAF)?;
    let identity = identity(&leaf, LEAF)?;
    if identity.domain != *domain {
        return Err(Refusal::Domain { found: identity.into(), domain: domain.clone() });
    }
    let leaf_expires = expiry(&leaf);
    let (intermediates, expires) = match &identity.role {
        Role::Authority(_) => return Err(Refusal::AuthorityAsPeer(identity)),
        Role::Coordinator(_) | Role::Operator(_) | Role::Reader(_) => {
            check_by_root(roots, &leaf, &identity, presented)?;
            (&presented[..0], leaf_expires)
        }
        Role::Agent(machine) => {
            let own = &machine.cell.datacenter;
            let intermediate_expires = check_by_authority(roots, &leaf, &identity, own, presented)?;
            (&presented[..1], leaf_expires.min(intermediate_expires))
        }
    };
    Ok(Judged { identity, intermediates, leaf_expires, expires })
}

/// Who a certificate says its holder is; nothing is proven by it.
pub(crate) fn claimed(leaf: &CertificateDer<'_>) -> Result<Identity, Refusal> {
    identity(&parse(leaf, LEAF)?, LEAF)
}

/// The root itself must have signed.
fn check_by_root(
    roots: &[CertificateDer<'_>],
    leaf: &X509Certificate<'_>,
    identity: &Identity,
    presented: &[CertificateDer<'_>],
) -> Result<(), Refusal> {
    if is_signed_by_any(leaf, roots) {
        return Ok(());
    }
    // Say more, where more can be said: an authority that oversteps is stolen or misused.
    let signer = presented.first().and_then(|der| parse(der, INTERMEDIATE).ok());
    let signer = signer.filter(|signer| is_signed_by(leaf, signer));
    let signer = signer.and_then(|signer| self::identity(&signer, INTERMEDIATE).ok());
    Err(match signer {
        Some(authority) => overreach(identity, authority),
        None => Refusal::NotByRoot(identity.clone()),
    })
}

/// The authority of the agent's `own` datacenter must have signed, and the root for that authority. Returns
/// when the authority expires.
fn check_by_authority(
    roots: &[CertificateDer<'_>],
    leaf: &X509Certificate<'_>,
    identity: &Identity,
    own: &DatacenterName,
    presented: &[CertificateDer<'_>],
) -> Result<Date, Refusal> {
    let Some(der) = presented.first() else {
        let (identity, authority) = (identity.clone().into(), own.clone());
        return Err(Refusal::NoIntermediate { identity, authority });
    };
    let intermediate = parse(der, INTERMEDIATE)?;
    let authority = self::identity(&intermediate, INTERMEDIATE)?;
    if authority.domain != identity.domain {
        return Err(Refusal::Domain { found: authority.into(), domain: identity.domain.clone() });
    }
    if !is_signed_by_any(&intermediate, roots) {
        return Err(Refusal::NotByRoot(authority));
    }
    if !is_signed_by(leaf, &intermediate) {
        let (identity, intermediate) = (identity.clone().into(), authority.into());
        return Err(Refusal::NotByIntermediate { identity, intermediate });
    }
    if authority.role != Role::Authority(own.clone()) {
        return Err(overreach(identity, authority));
    }
    Ok(expiry(&intermediate))
}

fn overreach(identity: &Identity, authority: Identity) -> Refusal {
    Refusal::Overreach { identity: identity.clone().into(), authority: authority.into() }
}

fn parse<'d>(
    der: &'d CertificateDer<'_>,
    which: &'static str,
) -> Result<X509Certificate<'d>, Refusal> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(Refusal::Unreadable(which)),
    }
}

fn identity(certificate: &X509Certificate<'_>, which: &'static str) -> Result<Identity, Refusal> {
    let extension = certificate.subject_alternative_name();
    let extension = extension.map_err(|_| Refusal::Unreadable(which))?;
    let names = extension.iter().flat_map(|extension| &extension.value.general_names);
    let uris: Vec<&str> = names
        .filter_map(|name| if let GeneralName::URI(uri) = name { Some(*uri) } else { None })
        .collect();
    let [uri] = uris[..] else {
        return Err(Refusal::UriCount { which, found: uris.len() });
    };
    uri.parse().map_err(|source| Refusal::Uri { which, source })
}

fn is_signed_by_any(certificate: &X509Certificate<'_>, signers: &[CertificateDer<'_>]) -> bool {
    let mut signers = signers.iter().filter_map(|der| parse(der, INTERMEDIATE).ok());
    signers.any(|signer| is_signed_by(certificate, &signer))
}

/// Whether `signer` really signed: that its certificate lies beside means nothing.
fn is_signed_by(certificate: &X509Certificate<'_>, signer: &X509Certificate<'_>) -> bool {
    certificate.issuer().as_raw() == signer.subject().as_raw()
        && certificate.verify_signature(Some(signer.public_key())).is_ok()
}

fn expiry(certificate: &X509Certificate<'_>) -> Date {
    Date::from_unix_seconds(certificate.validity().not_after.timestamp())
}
