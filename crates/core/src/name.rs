//! Names and identifiers. Every name is a DNS label, because every name ends in a domain name:
//! `core-1.cell-1.dub.demo.com`.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The longest DNS label (RFC 1035 §2.3.4), in bytes.
const LABEL_BYTES_MAX: usize = 63;

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The text is empty.
    #[error("the {what} is empty")]
    Empty {
        /// Which kind of name was read.
        what: &'static str,
    },
    /// The text is longer than a DNS label may be.
    #[error("the {what} \"{text}\" is longer than {LABEL_BYTES_MAX} bytes, the longest DNS label")]
    Long {
        /// Which kind of name was read.
        what: &'static str,
        /// The text.
        text: String,
    },
    /// The text holds something that a DNS label may not.
    #[error(
        "the {what} \"{text}\" is not a DNS label: use a-z, 0-9 and inner hyphens, such as \"web-1\""
    )]
    NotALabel {
        /// Which kind of name was read.
        what: &'static str,
        /// The text.
        text: String,
    },
    /// An identifier of several parts has another form than it should.
    #[error("\"{text}\" is not a {what}: it looks like \"{example}\"")]
    Form {
        /// Which kind of identifier was read.
        what: &'static str,
        /// The text.
        text: String,
        /// One of the right form.
        example: &'static str,
    },
}

/// Checks that `text` is a DNS label in lower case.
fn check_label(what: &'static str, text: &str) -> Result<(), NameError> {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if text.is_empty() {
        return Err(NameError::Empty { what });
    }
    if text.len() > LABEL_BYTES_MAX {
        return Err(NameError::Long { what, text: text.to_owned() });
    }
    if !text.bytes().all(inner) || text.starts_with('-') || text.ends_with('-') {
        return Err(NameError::NotALabel { what, text: text.to_owned() });
    }
    Ok(())
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident = $what:literal;)+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks and takes a name.
            pub fn new(text: impl Into<String>) -> Result<Self, NameError> {
                let text = text.into();
                check_label($what, &text)?;
                Ok(Self(text.into()))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    )+};
}

names! {
    /// A site with coordinates, one coordinator, and a region of one or more providers: `dub`.
    DatacenterName = "datacenter name";
    /// A group of machines in a datacenter that share one unit engine: `cell-1`.
    CellName = "cell name";
    /// A host: `core-1`.
    MachineName = "machine name";
    /// What the user runs: the `web` of `web@.service`.
    WorkloadName = "workload name";
    /// A port that a workload asks for: the `http` of `Port=http`.
    PortName = "port name";
    /// Who sells machines: `ec2`, `packet`.
    ProviderName = "provider name";
    /// A provider's name for a place: `eu-west-1`, `ewr1`.
    RegionName = "region name";
    /// Who a certificate without a datacenter belongs to: an operator or a reader.
    NodeName = "certificate name";
}

/// A cell and the datacenter that it is in, shown as `cell-1.dub`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CellId {
    /// The datacenter.
    pub datacenter: DatacenterName,
    /// The cell's name within it.
    pub cell: CellName,
}

impl fmt::Display for CellId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.cell, self.datacenter)
    }
}

impl FromStr for CellId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let form =
            || NameError::Form { what: "cell", text: text.to_owned(), example: "cell-1.dub" };
        let (cell, datacenter) = text.split_once('.').ok_or_else(form)?;
        Ok(Self { datacenter: datacenter.parse()?, cell: cell.parse()? })
    }
}

/// A machine and the cell that owns it, shown as `core-1.cell-1.dub`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MachineId {
    /// The cell.
    pub cell: CellId,
    /// The machine's name within it.
    pub machine: MachineName,
}

impl fmt::Display for MachineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.machine, self.cell)
    }
}

impl FromStr for MachineId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let form = || NameError::Form {
            what: "machine",
            text: text.to_owned(),
            example: "core-1.cell-1.dub",
        };
        let (machine, cell) = text.split_once('.').ok_or_else(form)?;
        Ok(Self { cell: cell.parse().map_err(|_| form())?, machine: machine.parse()? })
    }
}

/// One numbered copy of a workload, shown as `web@1`. Numbers start at 1.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceId {
    /// The workload.
    pub workload: WorkloadName,
    /// The copy's number, from 1.
    pub number: u32,
}

impl InstanceId {
    /// The `number`th copy of `workload`.
    pub fn new(workload: WorkloadName, number: u32) -> Self {
        Self { workload, number }
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}@{}", self.workload, self.number))
    }
}

impl FromStr for InstanceId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let form = || NameError::Form { what: "instance", text: text.to_owned(), example: "web@1" };
        let (workload, number) = text.split_once('@').ok_or_else(form)?;
        let number = number.parse().ok().filter(|n| *n > 0).ok_or_else(form)?;
        Ok(Self { workload: workload.parse()?, number })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_dns_labels() {
        for good in ["dub", "dc-1", "a", "1", &"a".repeat(63)] {
            assert_eq!(DatacenterName::new(good).unwrap().as_str(), good);
        }
        for bad in ["", "Dub", "dub_1", "-dub", "dub-", "d.b", "dúb", &"a".repeat(64)] {
            assert!(DatacenterName::new(bad).is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn identifiers_read_back_what_they_show() {
        let machine: MachineId = "core-1.cell-1.dub".parse().unwrap();
        assert_eq!(machine.to_string(), "core-1.cell-1.dub");
        let instance: InstanceId = "web@12".parse().unwrap();
        assert_eq!(instance.to_string(), "web@12");
        for bad in ["web", "web@", "web@0", "web@x", "@1"] {
            assert!(bad.parse::<InstanceId>().is_err(), "{bad:?} was taken");
        }
    }
}
