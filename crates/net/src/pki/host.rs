//! The names by which ordinary gRPC clients, such as grpcurl, check a server. Káto's own peers go by
//! identity, and ignore them.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use rustls::pki_types::DnsName;

/// A DNS name or an IP address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Host(pub(super) Name);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Name {
    Dns(String),
    Ip(IpAddr),
}

/// The text is neither.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is neither a DNS name nor an IP address; write \"dub.demo.com\" or \"127.0.0.1\"")]
pub struct HostError(String);

impl FromStr for Host {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, HostError> {
        if let Ok(address) = text.parse() {
            return Ok(Self(Name::Ip(address)));
        }
        let name = DnsName::try_from(text).map_err(|_| HostError(text.to_owned()))?;
        Ok(Self(Name::Dns(name.as_ref().to_owned())))
    }
}

impl From<IpAddr> for Host {
    fn from(address: IpAddr) -> Self {
        Self(Name::Ip(address))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Name::Dns(name) => f.pad(name),
            Name::Ip(address) => address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_or_addresses() {
        for text in ["localhost", "dub.demo.com", "127.0.0.1", "::1"] {
            assert_eq!(text.parse::<Host>().unwrap().to_string(), text);
        }
        for bad in ["", "dub:7440", "http://dub", "d b"] {
            assert!(bad.parse::<Host>().is_err(), "{bad:?} was taken");
        }
    }
}
