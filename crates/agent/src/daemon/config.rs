//! An agent's configuration file, as an operator writes it and the sandbox does.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kato_core::{
    MachineId, MachineSpec, Market, MicroDollars, Offer, OrderId, Resources, Timestamp,
};
use serde::Deserialize;

/// One agent's configuration.
#[derive(Debug, Clone)]
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
    offer: Arc<Offer>,
    resources: Resources,
    order: Option<OrderId>,
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
}

#[derive(Deserialize)]
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TlsFile {
    ca: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfferFile {
    provider: String,
    region: String,
    kind: String,
    market: String,
    arch: String,
    cpu_millis: u64,
    memory_bytes: u64,
    price_micros_per_hour: i64,
    priced_at_unix_ms: u64,
    source: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ResourcesFile {
    cpu_millis: u64,
    memory_bytes: u64,
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

    fn check(file: File, base: &Path) -> Result<Self, String> {
        let wrong = |key: &'static str| move |error: String| format!("{key}: {error}");
        let offer = file.offer;
        let capacity = Resources { cpu_millis: offer.cpu_millis, memory_bytes: offer.memory_bytes };
        let resources = file.resources.map_or(capacity, |own| Resources {
            cpu_millis: own.cpu_millis,
            memory_bytes: own.memory_bytes,
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
                provider: offer.provider.parse().map_err(named).map_err(wrong("offer.provider"))?,
                region: offer.region.parse().map_err(named).map_err(wrong("offer.region"))?,
                kind: offer.kind,
                market,
                arch: offer.arch.parse().map_err(wrong("offer.arch"))?,
                capacity,
                price_micros_per_hour: MicroDollars(offer.price_micros_per_hour),
                priced_at: Timestamp(offer.priced_at_unix_ms),
                source: offer.source,
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

/// A range such as `20000-20099`.
fn ports(text: &str) -> Result<RangeInclusive<u16>, String> {
    let wrong = || format!("\"{text}\" is not a range of ports, such as 20000-20099");
    let (first, last) = text.split_once('-').ok_or_else(wrong)?;
    let first: u16 = first.trim().parse().map_err(|_| wrong())?;
    let last: u16 = last.trim().parse().map_err(|_| wrong())?;
    if first == 0 || first > last { Err(wrong()) } else { Ok(first..=last) }
}
