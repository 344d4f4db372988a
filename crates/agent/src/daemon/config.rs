//! An agent's configuration file: read here, and written here for those who make machines themselves.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kato_core::{
    BILLED_S_MAX, MachineId, MachineSpec, Market, MicroDollars, Offer, OrderId, Resources, Terms,
    Timestamp,
};
use serde::{Deserialize, Serialize};

/// One agent's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The machine.
    pub id: MachineId,
    /// Where its coordinator answers.
    pub coordinator: String,
    /// Where it keeps its state.
    pub data_dir: PathBuf,
    /// The address at which its instances answer.
    pub address: String,
    /// Host ports for instances.
    pub ports: RangeInclusive<u16>,
    /// The mesh's root certificate.
    pub ca: PathBuf,
    /// The own certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// What the machine was bought as.
    pub offer: Arc<Offer>,
    /// What instances may use of it.
    pub resources: Resources,
    /// The order that it was bought for, if any was.
    pub order: Option<OrderId>,
}

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// It is wrong.
    #[error("the configuration {} is wrong: {message}", path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// What, where, and what would be right.
        message: String,
    },
    /// It has something that TOML cannot hold.
    #[error("the configuration cannot be written as TOML")]
    Unwritable(#[from] toml::ser::Error),
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct File {
    machine: String,
    coordinator: String,
    data_dir: PathBuf,
    address: String,
    ports: String,
    order: Option<u64>,
    tls: TlsFile,
    offer: OfferFile,
    resources: Option<ResourcesFile>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct TlsFile {
    ca: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct OfferFile {
    provider: String,
    region: String,
    kind: String,
    market: String,
    arch: String,
    cpu_millis: u64,
    memory_bytes: u64,
    #[serde(default, skip_serializing_if = "is_none")]
    disk_bytes: u64,
    #[serde(default, skip_serializing_if = "is_none")]
    gpus: u64,
    /// The kind of its GPUs.
    #[serde(skip_serializing_if = "Option::is_none")]
    gpu: Option<String>,
    price_micros_per_hour: i64,
    priced_at_unix_ms: u64,
    source: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    interruption_percent: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    billed_s: Option<u32>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct ResourcesFile {
    cpu_millis: u64,
    memory_bytes: u64,
    /// None: all that the offer has.
    disk_bytes: Option<u64>,
    gpus: Option<u64>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // as serde calls it
fn is_none(size: &u64) -> bool {
    *size == 0
}

impl Config {
    /// Reads a configuration file. Paths in it are relative to it.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        let wrong = |message| ConfigError::Wrong { path: path.to_owned(), message };
        let file: File = toml::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        Self::check(file, path.parent().unwrap_or(Path::new("."))).map_err(wrong)
    }

    /// The text that [`Config::load`] reads: paths as they are, relative ones to the file that it will be.
    pub fn to_toml(&self) -> Result<String, ConfigError> {
        let offer = &*self.offer;
        let own = (self.resources != offer.capacity).then_some(self.resources);
        let file = File {
            machine: self.id.to_string(),
            coordinator: self.coordinator.clone(),
            data_dir: self.data_dir.clone(),
            address: self.address.clone(),
            ports: format!("{}-{}", self.ports.start(), self.ports.end()),
            order: self.order.map(|order| order.0),
            tls: TlsFile {
                ca: self.ca.clone(),
                certificate: self.certificate.clone(),
                key: self.key.clone(),
            },
            offer: OfferFile {
                provider: offer.provider.to_string(),
                region: offer.region.to_string(),
                kind: offer.kind.clone(),
                market: offer.market.to_string(),
                arch: offer.arch.to_string(),
                cpu_millis: offer.capacity.cpu_millis,
                memory_bytes: offer.capacity.memory_bytes,
                disk_bytes: offer.capacity.disk_bytes,
                gpus: offer.capacity.gpus,
                gpu: offer.gpu.as_ref().map(ToString::to_string),
                price_micros_per_hour: offer.price_micros_per_hour.0,
                priced_at_unix_ms: offer.priced_at.0,
                source: offer.source.clone(),
                interruption_percent: offer.terms.interruption_percent,
                billed_s: offer.terms.billed_s,
            },
            resources: own.map(|own| ResourcesFile {
                cpu_millis: own.cpu_millis,
                memory_bytes: own.memory_bytes,
                disk_bytes: Some(own.disk_bytes).filter(|own| *own != offer.capacity.disk_bytes),
                gpus: Some(own.gpus).filter(|own| *own != offer.capacity.gpus),
            }),
        };
        Ok(toml::to_string(&file)?)
    }

    fn check(file: File, base: &Path) -> Result<Self, String> {
        let wrong = |key: &'static str| move |error: String| format!("{key}: {error}");
        let offer = file.offer;
        let capacity = Resources {
            cpu_millis: offer.cpu_millis,
            memory_bytes: offer.memory_bytes,
            disk_bytes: offer.disk_bytes,
            gpus: offer.gpus,
        };
        let gpu = offer.gpu.map(|gpu| gpu.parse()).transpose().map_err(wrong("offer.gpu"))?;
        let resources = file.resources.map_or(capacity, |own| Resources {
            cpu_millis: own.cpu_millis,
            memory_bytes: own.memory_bytes,
            disk_bytes: own.disk_bytes.unwrap_or(capacity.disk_bytes),
            gpus: own.gpus.unwrap_or(capacity.gpus),
        });
        let market = match offer.market.as_str() {
            "on-demand" => Market::OnDemand,
            "spot" => Market::Spot,
            other => return Err(format!("offer.market: \"{other}\": on-demand or spot")),
        };
        let named = |error: kato_core::NameError| error.to_string();
        Ok(Self {
            id: file.machine.parse().map_err(named).map_err(wrong("machine"))?,
            coordinator: file.coordinator,
            data_dir: base.join(file.data_dir),
            address: file.address,
            ports: ports(&file.ports).map_err(wrong("ports"))?,
            ca: base.join(file.tls.ca),
            certificate: base.join(file.tls.certificate),
            key: base.join(file.tls.key),
            offer: Arc::new(Offer {
                gpu,
                provider: offer.provider.parse().map_err(named).map_err(wrong("offer.provider"))?,
                region: offer.region.parse().map_err(named).map_err(wrong("offer.region"))?,
                kind: offer.kind,
                market,
                arch: offer.arch.parse().map_err(wrong("offer.arch"))?,
                capacity,
                price_micros_per_hour: MicroDollars(offer.price_micros_per_hour),
                priced_at: Timestamp(offer.priced_at_unix_ms),
                source: offer.source,
                terms: Terms {
                    interruption_percent: within(offer.interruption_percent, 100)
                        .map_err(wrong("offer.interruption_percent"))?,
                    billed_s: within(offer.billed_s, BILLED_S_MAX)
                        .map_err(wrong("offer.billed_s"))?,
                },
            }),
            resources,
            order: file.order.map(OrderId),
        })
    }

    /// The machine as this start of its agent describes it.
    pub(super) fn machine(&self, incarnation: u64) -> MachineSpec {
        MachineSpec {
            id: self.id.clone(),
            resources: self.resources,
            offer: Arc::clone(&self.offer),
            address: self.address.clone(),
            incarnation,
            order: self.order,
        }
    }
}

/// A number from 1 to the most, if there is one.
fn within(number: Option<u32>, most: u32) -> Result<Option<u32>, String> {
    match number {
        Some(number) if !(1..=most).contains(&number) => {
            Err(format!("{number} is not from 1 to {most}"))
        }
        other => Ok(other),
    }
}

/// A range such as `20000-20099`.
fn ports(text: &str) -> Result<RangeInclusive<u16>, String> {
    let wrong = || format!("\"{text}\" is not a range of ports, such as 20000-20099");
    let (first, last) = text.split_once('-').ok_or_else(wrong)?;
    let first: u16 = first.trim().parse().map_err(|_| wrong())?;
    let last: u16 = last.trim().parse().map_err(|_| wrong())?;
    if first == 0 || first > last { Err(wrong()) } else { Ok(first..=last) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let capacity = Resources { disk_bytes: 9 << 30, gpus: 2, ..Resources::new(2000, 8192) };
        let less = Resources { cpu_millis: 1500, ..capacity };
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        for (market, resources, order, data) in [
            (Market::OnDemand, capacity, None, "/var/lib/kato"),
            (Market::Spot, less, Some(OrderId(7)), "data \"of\" a\\machine\n# é"),
        ] {
            let config = Config {
                id: "core-1.cell-1.dub".parse().unwrap(),
                coordinator: "dub.demo.com:7440".to_owned(),
                data_dir: directory.join(data),
                address: "192.0.2.1".to_owned(),
                ports: 20_000..=20_099,
                ca: directory.join("ca.pem"),
                certificate: directory.join("agent.pem"),
                key: directory.join("agent-key.pem"),
                offer: Arc::new(Offer {
                    gpu: Some("A100".parse().unwrap()),
                    provider: "ec2".parse().unwrap(),
                    region: "eu-west-1".parse().unwrap(),
                    kind: "m6i.large".to_owned(),
                    market,
                    arch: kato_core::Arch::X86_64,
                    capacity,
                    price_micros_per_hour: MicroDollars(107_000),
                    priced_at: Timestamp(1_795_354_948_000),
                    source: "a \"quoted\" source".to_owned(),
                    terms: Terms { interruption_percent: Some(10), billed_s: Some(60) },
                }),
                resources,
                order,
            };
            let path = directory.join("agent.toml");
            std::fs::write(&path, config.to_toml().unwrap()).unwrap();
            assert_eq!(Config::load(&path).unwrap(), config);
        }
    }
}
