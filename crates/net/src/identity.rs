//! Who holds a certificate: one URI SAN in the form of a SPIFFE ID
//! (<https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE-ID.md>), with the mesh's domain as
//! the trust domain: `spiffe://demo.com/coordinator/dub`.

use std::fmt;
use std::str::FromStr;

use kato_core::{DatacenterName, MachineId, NameError, NodeName};

/// The root DNS name of one mesh: `demo.com`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Domain(String);

/// The longest domain: the longest DNS name (253, RFC 1035 §2.3.4), less three labels for machine,
/// cell and datacenter.
const DOMAIN_BYTES_MAX: usize = 253 - 3 * 64;

impl Domain {
    /// The domain as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Domain {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let labels = text.split('.').all(|label| NodeName::new(label).is_ok());
        if text.len() > DOMAIN_BYTES_MAX || !labels {
            return Err(IdentityError::Domain(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What the holder of a certificate may be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// A person or program that may change the mesh's wishes.
    Operator(NodeName),
    /// A person or program that may look.
    Reader(NodeName),
    /// A datacenter's coordinator.
    Coordinator(DatacenterName),
    /// A datacenter's intermediate authority, which signs its agents and nothing else.
    Authority(DatacenterName),
    /// A machine's agent.
    Agent(MachineId),
}

/// A role in one mesh.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// The mesh.
    pub domain: Domain,
    /// The role in it.
    pub role: Role,
}

/// Why a text is not an identity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// The domain is not a DNS name, or too long.
    #[error("\"{0}\" is not a domain of at most {DOMAIN_BYTES_MAX} bytes, such as \"demo.com\"")]
    Domain(String),
    /// The URI has another form.
    #[error("\"{0}\" is not an identity, such as \"spiffe://demo.com/coordinator/dub\"")]
    Form(String),
    /// A name in it is wrong.
    #[error("a name in the identity is wrong")]
    Name(#[from] NameError),
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operator(name) => write!(f, "operator/{name}"),
            Self::Reader(name) => write!(f, "reader/{name}"),
            Self::Coordinator(datacenter) => write!(f, "coordinator/{datacenter}"),
            Self::Authority(datacenter) => write!(f, "authority/{datacenter}"),
            Self::Agent(machine) => write!(f, "agent/{machine}"),
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "spiffe://{}/{}", self.domain, self.role)
    }
}

impl FromStr for Role {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let (role, name) =
            text.split_once('/').ok_or_else(|| IdentityError::Form(text.to_owned()))?;
        match role {
            "operator" => Ok(Self::Operator(name.parse()?)),
            "reader" => Ok(Self::Reader(name.parse()?)),
            "coordinator" => Ok(Self::Coordinator(name.parse()?)),
            "authority" => Ok(Self::Authority(name.parse()?)),
            "agent" => Ok(Self::Agent(name.parse()?)),
            _ => Err(IdentityError::Form(text.to_owned())),
        }
    }
}

impl FromStr for Identity {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let form = || IdentityError::Form(text.to_owned());
        let rest = text.strip_prefix("spiffe://").ok_or_else(form)?;
        let (domain, role) = rest.split_once('/').ok_or_else(form)?;
        Ok(Self { domain: domain.parse()?, role: role.parse()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_reads_back_what_it_shows() {
        for text in [
            "spiffe://demo.com/operator/admin",
            "spiffe://demo.com/reader/grafana",
            "spiffe://demo.com/coordinator/dub",
            "spiffe://demo.com/authority/dub",
            "spiffe://demo.com/agent/core-1.cell-1.dub",
        ] {
            assert_eq!(text.parse::<Identity>().unwrap().to_string(), text);
        }
        for bad in [
            "https://demo.com/operator/admin",
            "spiffe://demo.com/owner/admin",
            "spiffe://demo.com/operator",
            "spiffe://demo.com/operator/",
            "spiffe:///operator/admin",
            "spiffe://demo.com/agent/core-1",
            "spiffe://demo.com/coordinator/dub/extra",
        ] {
            assert!(bad.parse::<Identity>().is_err(), "{bad:?} was taken");
        }
    }
}
