//! A coordinator's configuration file, as an operator writes it and `kato dev` does.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use kato_core::{
    CellName, CellSpec, Coordinates, Country, DatacenterName, DatacenterSpec, LABEL_BYTES_MAX,
    LABELS_MAX, ProviderName, RegionName, is_label,
};
use kato_net::Domain;
use kato_raft::{Member, NodeId, Timing};
use serde::Deserialize;

use crate::ip_locations::IP_LOCATIONS_MAX;

/// The most coordinators that vote. More would make every write slower and protect against little.
const MEMBERS_MAX: usize = 7;

/// One coordinator's configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// The mesh's root DNS name.
    pub domain: Domain,
    /// This coordinator's number in the mesh.
    pub member: NodeId,
    /// The members that found the mesh.
    pub members: BTreeMap<NodeId, Member>,
    /// The datacenter, as it is registered in the mesh.
    pub datacenter: DatacenterSpec,
    /// The address to listen on.
    pub listen: String,
    /// Where log, snapshots and the sandbox's machines are kept.
    pub data_dir: PathBuf,
    /// Certificates.
    pub tls: Tls,
    /// The authority that signs this datacenter's agents.
    pub authority: Option<KeyPair>,
    /// Timeouts that follow from the longest round trip.
    pub timing: Timing,
    /// How long a datacenter must have been up before instances are moved there to save.
    pub rebalance_after: Duration,
    /// A catalogue of offers in place of the built-in one.
    pub catalog: Option<PathBuf>,
    /// Whether lines of it that are wrong are left out.
    pub catalog_in_part: bool,
    /// Databases of where IP addresses are.
    pub ip_locations: Vec<PathBuf>,
    /// Whether machines are bought from the sandbox.
    pub sandbox: Option<SandboxConfig>,
}

/// Where a peer's certificates are.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The mesh's root certificate.
    pub ca: PathBuf,
    /// The own certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// A certificate and its key.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyPair {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// How the sandbox makes machines.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SandboxConfig {
    /// The first host port of the machines that it makes.
    pub first_port: u16,
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
    /// It is not TOML, or a key is unknown, missing or of the wrong kind.
    #[error("the configuration {} is wrong: {message}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What, where, and what would be right.
        message: String,
    },
    /// A value makes no sense.
    #[error("the configuration {} is wrong: {key}: {message}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// What is wrong with it.
        message: String,
    },
}

/// What a mesh begins with where nothing else is configured, in milliseconds: the longest round trip between two regions
/// of the same provider is some 400 ms.
const RTT_MS_DEFAULT: u64 = 400;

/// How long a datacenter must have been up before instances are moved there, unless it is configured: one that is lost again
/// and again would send them to and fro. And the longest, a week.
const REBALANCE_AFTER_S_DEFAULT: u64 = 600;
const REBALANCE_AFTER_S_MAX: u64 = 7 * 24 * 3_600;

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    domain: String,
    datacenter: String,
    member: NodeId,
    listen: String,
    advertise: Option<String>,
    data_dir: PathBuf,
    location: [f64; 2],
    country: Option<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    rtt_ms_max: Option<u64>,
    rebalance_after_s: Option<u64>,
    catalog: Option<PathBuf>,
    #[serde(default)]
    catalog_in_part: bool,
    #[serde(default)]
    ip_locations: Vec<PathBuf>,
    tls: Tls,
    authority: Option<KeyPair>,
    sandbox: Option<SandboxConfig>,
    #[serde(default)]
    regions: Vec<RegionFile>,
    cells: BTreeMap<String, CellFile>,
    members: Vec<MemberFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RegionFile {
    provider: String,
    region: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CellFile {
    machines_max: u32,
    zone: Option<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MemberFile {
    id: NodeId,
    datacenter: String,
    address: String,
}

impl Config {
    /// Reads a configuration file. Paths in it are relative to it.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        let file: File = toml::from_str(&text).map_err(|error| ConfigError::Syntax {
            path: path.to_owned(),
            message: error.to_string(),
        })?;
        let mut config = Self::check(file).map_err(|(key, message)| ConfigError::Value {
            path: path.to_owned(),
            key: key.to_owned(),
            message,
        })?;
        config.resolve(path.parent().unwrap_or(Path::new(".")));
        Ok(config)
    }

    fn check(file: File) -> Result<Self, (&'static str, String)> {
        let wrong = |key| move |error: &dyn std::fmt::Display| (key, error.to_string());
        let name: DatacenterName =
            file.datacenter.parse().map_err(|error| wrong("datacenter")(&error))?;
        let [latitude, longitude] = file.location;
        let location = Coordinates::from_degrees(latitude, longitude)
            .map_err(|error| wrong("location")(&error))?;
        let members = members(&file.members)?;
        match members.get(&file.member) {
            Some(member) if member.datacenter == name => {}
            Some(member) => {
                let text = format!("member {} is {}, not {name}", file.member, member.datacenter);
                return Err(("member", text));
            }
            None => {
                let text = format!("{} is not among the members below", file.member);
                return Err(("member", text));
            }
        }
        let cell = |(name, cell): (&String, &CellFile)| {
            let name: CellName = name.parse().map_err(|error| wrong("cells")(&error))?;
            let labels = labels(&cell.labels).map_err(|text| ("cells", text))?;
            let zone = cell.zone.clone();
            if let Some(zone) = zone.as_deref().filter(|zone| !is_label(zone)) {
                return Err(("cells", not_a_label("zone", zone)));
            }
            Ok((name, CellSpec { machines_max: cell.machines_max, zone, labels }))
        };
        let region = |region: &RegionFile| {
            let provider = region.provider.parse().map_err(|error| wrong("regions")(&error))?;
            let region = region.region.parse().map_err(|error| wrong("regions")(&error))?;
            Ok((provider, region))
        };
        let regions: BTreeSet<(ProviderName, RegionName)> =
            file.regions.iter().map(region).collect::<Result<_, _>>()?;
        let country = match file.country {
            Some(country) => Some(country.parse().map_err(|error: String| ("country", error))?),
            None => common_country(&regions),
        };
        let datacenter = DatacenterSpec {
            location,
            address: file.advertise.unwrap_or_else(|| members[&file.member].address.clone()),
            regions,
            cells: file.cells.iter().map(cell).collect::<Result<_, _>>()?,
            country,
            labels: labels(&file.labels).map_err(|text| ("labels", text))?,
            name,
        };
        Ok(Self {
            domain: file.domain.parse().map_err(|error| wrong("domain")(&error))?,
            member: file.member,
            members,
            datacenter,
            listen: file.listen,
            data_dir: file.data_dir,
            tls: file.tls,
            authority: file.authority,
            timing: Timing::for_rtt_ms(file.rtt_ms_max.unwrap_or(RTT_MS_DEFAULT))
                .map_err(|error| wrong("rtt_ms_max")(&error))?,
            rebalance_after: rebalance_after(file.rebalance_after_s)
                .map_err(|text| ("rebalance_after_s", text))?,
            catalog: file.catalog,
            catalog_in_part: file.catalog_in_part,
            ip_locations: ip_locations(file.ip_locations)?,
            sandbox: file.sandbox,
        })
    }

    /// Makes relative paths relative to the file that they stand in.
    fn resolve(&mut self, base: &Path) {
        let mut paths = vec![
            &mut self.data_dir,
            &mut self.tls.ca,
            &mut self.tls.certificate,
            &mut self.tls.key,
        ];
        paths.extend(
            self.authority.iter_mut().flat_map(|pair| [&mut pair.certificate, &mut pair.key]),
        );
        paths.extend(self.catalog.iter_mut());
        paths.extend(&mut self.ip_locations);
        for path in paths {
            *path = base.join(&path);
        }
    }
}

/// The country of all regions, if each is known and they are in one.
fn common_country(regions: &BTreeSet<(ProviderName, RegionName)>) -> Option<Country> {
    let country = |(provider, region): &(ProviderName, RegionName)| {
        kato_placement::regions::country(provider, region)
    };
    let first = country(regions.first()?)?;
    regions.iter().all(|region| country(region) == Some(first)).then_some(first)
}

/// Labels that a workload can ask for in `Labels=`.
fn labels(labels: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, String> {
    if labels.len() > LABELS_MAX {
        return Err(format!("{} labels, {LABELS_MAX} at most", labels.len()));
    }
    match labels.iter().find(|(key, value)| !is_label(key) || !is_label(value)) {
        Some((key, value)) => Err(not_a_label(key, value)),
        None => Ok(labels.clone()),
    }
}

fn not_a_label(key: &str, value: &str) -> String {
    format!(
        "{key} = \"{value}\": keys and values are 1 to {LABEL_BYTES_MAX} letters, digits and \"-\", \"_\", \".\", \"/\""
    )
}

fn ip_locations(paths: Vec<PathBuf>) -> Result<Vec<PathBuf>, (&'static str, String)> {
    if paths.len() > IP_LOCATIONS_MAX {
        let text = format!("{} files, {IP_LOCATIONS_MAX} at most", paths.len());
        return Err(("ip_locations", text));
    }
    Ok(paths)
}

fn rebalance_after(seconds: Option<u64>) -> Result<Duration, String> {
    let seconds = seconds.unwrap_or(REBALANCE_AFTER_S_DEFAULT);
    if seconds > REBALANCE_AFTER_S_MAX {
        return Err(format!("{seconds} seconds, {REBALANCE_AFTER_S_MAX} at most"));
    }
    Ok(Duration::from_secs(seconds))
}

fn members(files: &[MemberFile]) -> Result<BTreeMap<NodeId, Member>, (&'static str, String)> {
    if files.is_empty() || files.len() > MEMBERS_MAX {
        return Err(("members", format!("{} of them, 1 to {MEMBERS_MAX} may vote", files.len())));
    }
    let mut members: BTreeMap<NodeId, Member> = BTreeMap::new();
    for file in files {
        let datacenter: DatacenterName =
            file.datacenter.parse().map_err(|error| ("members", format!("{error}")))?;
        if members.values().any(|member| member.datacenter == datacenter) {
            return Err(("members", format!("{datacenter} has two")));
        }
        let member = Member { datacenter, address: file.address.clone() };
        if members.insert(file.id, member).is_some() {
            return Err(("members", format!("two of them have the id {}", file.id)));
        }
    }
    Ok(members)
}
