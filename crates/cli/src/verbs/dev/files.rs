//! What `kato dev` writes: certificates, and the configuration files that an operator would write.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use kato_core::{MachineId, Offer};
use kato_net::Role;
use kato_net::clock::{Clock, SystemClock};
use kato_net::pki::{Authority, Host, Overwrite};
use kato_placement::Catalogue;

use super::DevError;
use super::site::{CELL, DOMAIN, MACHINES, MACHINES_MAX, SITES, Site};
use crate::contexts::Context;

/// The layout of the data directory.
const FORMAT: u32 = 1;
const FORMAT_FILE: &str = "format";
/// How long everything that it signs is valid.
const VALIDITY: Duration = Duration::from_hours(10 * 365 * 24);
/// Host ports of instances: a block for each datacenter's first machines, then one for those that it buys.
const INSTANCE_PORTS: u16 = 20_000;
const PORTS_PER_DATACENTER: u16 = 3_000;
const PORTS_PER_MACHINE: u16 = 100;

/// The lock of whoever runs the mesh. It is the first thing in the directory.
const LOCK_FILE: &str = "dev.lock";
const PORTS_FILE: &str = "ports";
const PKI: &str = "pki";

/// The data directory.
#[derive(Debug, Clone)]
pub(super) struct Files {
    pub(super) root: PathBuf,
}

impl Files {
    /// Takes the directory over, making it if needed. Tells whether it holds a mesh already.
    pub(super) fn open(root: PathBuf) -> Result<(Self, bool), DevError> {
        let failed = |source| DevError::Directory { path: root.clone(), source };
        fs::create_dir_all(&root).map_err(failed)?;
        let format = root.join(FORMAT_FILE);
        let files = Self { root: root.clone() };
        match fs::read_to_string(&format) {
            Ok(text) if text.trim() == FORMAT.to_string() => Ok((files, true)),
            Ok(text) if text.trim().parse::<u32>().is_ok() => {
                let found = text.trim().to_owned();
                Err(DevError::Format { path: root.clone(), found, known: FORMAT })
            }
            Ok(_) => Err(DevError::Foreign { path: root }),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                if is_free(&root).map_err(failed)? {
                    Ok((files, false))
                } else {
                    Err(DevError::Foreign { path: root })
                }
            }
            Err(source) => Err(failed(source)),
        }
    }

    pub(super) fn lock(&self) -> PathBuf {
        self.root.join(LOCK_FILE)
    }

    /// Marks the directory as whole: everything in it was written.
    pub(super) fn seal(&self) -> anyhow::Result<()> {
        fs::write(self.root.join(FORMAT_FILE), format!("{FORMAT}\n"))?;
        Ok(())
    }

    pub(super) fn ca(&self) -> PathBuf {
        self.root.join("pki/ca.pem")
    }

    pub(super) fn operator(&self) -> (PathBuf, PathBuf) {
        (self.root.join("pki/operator.pem"), self.root.join("pki/operator-key.pem"))
    }

    pub(super) fn site(&self, site: &Site) -> PathBuf {
        self.root.join(site.name)
    }

    pub(super) fn coordinator_config(&self, site: &Site) -> PathBuf {
        self.root.join(format!("{}.toml", site.name))
    }

    pub(super) fn agent_config(&self, site: &Site, machine: &str) -> PathBuf {
        self.site(site).join(format!("{machine}.toml"))
    }

    pub(super) fn log(&self, site: &Site, process: &str) -> PathBuf {
        self.site(site).join(format!("{process}.log"))
    }

    /// How a client reaches the mesh as its operator.
    pub(super) fn context(&self, ports: [u16; 3]) -> Context {
        let (certificate, key) = self.operator();
        Context {
            addresses: ports.iter().map(|port| format!("127.0.0.1:{port}")).collect(),
            ca: Some(self.ca()),
            certificate: Some(certificate),
            key: Some(key),
        }
    }

    /// The coordinators' ports of a mesh that was founded before.
    pub(super) fn ports(&self) -> anyhow::Result<[u16; 3]> {
        let path = self.root.join(PORTS_FILE);
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let ports: Vec<u16> =
            text.split_whitespace().filter_map(|port| port.parse().ok()).collect();
        let read = <[u16; 3]>::try_from(ports);
        read.map_err(|_| anyhow::anyhow!("{} does not hold three ports", path.display()))
    }

    /// Makes a new mesh's certificates and configuration files.
    pub(super) fn write(
        &self,
        ports: [u16; 3],
        catalogue: &Catalogue,
        catalog: Option<&Path>,
    ) -> anyhow::Result<()> {
        let pki = self.root.join(PKI);
        fs::create_dir_all(&pki)?;
        let now = SystemClock.wall();
        let root = Authority::root(DOMAIN.parse()?, now, VALIDITY)?;
        root.store(&pki, "ca", Overwrite::Replace)?;
        for role in [Role::Operator("operator".parse()?), Role::Reader("reader".parse()?)] {
            let name = if matches!(role, Role::Operator(_)) { "operator" } else { "reader" };
            root.issue(role, &[], now, VALIDITY)?.store(&pki, name, Overwrite::Replace)?;
        }
        for site in &SITES {
            self.write_site(site, &root, ports, catalogue, catalog)?;
        }
        let text = ports.map(|port| port.to_string()).join(" ");
        fs::write(self.root.join(PORTS_FILE), text + "\n")?;
        Ok(())
    }

    fn write_site(
        &self,
        site: &Site,
        root: &Authority,
        ports: [u16; 3],
        catalogue: &Catalogue,
        catalog: Option<&Path>,
    ) -> anyhow::Result<()> {
        let directory = self.site(site);
        fs::create_dir_all(&directory)?;
        let now = SystemClock.wall();
        let hosts: Vec<Host> = vec![
            "localhost".parse()?,
            std::net::IpAddr::from([127, 0, 0, 1]).into(),
            format!("{}.{DOMAIN}", site.name).parse()?,
        ];
        let role = Role::Coordinator(site.name.parse()?);
        root.issue(role, &hosts, now, VALIDITY)?.store(
            &directory,
            "coordinator",
            Overwrite::Replace,
        )?;
        let authority = root.intermediate(site.name.parse()?, now, VALIDITY)?;
        authority.store(&directory, "authority", Overwrite::Replace)?;
        let config = coordinator_toml(site, ports, catalog)?;
        fs::write(self.coordinator_config(site), config)?;
        let offer = site.offer(catalogue).with_context(|| {
            format!("the catalogue has no offer for {} {}", site.provider, site.region)
        })?;
        for (number, machine) in (0_u16..).zip(MACHINES) {
            let id: MachineId = format!("{machine}.{CELL}.{}", site.name).parse()?;
            authority.issue(Role::Agent(id), &[], now, VALIDITY)?.store(
                &directory,
                machine,
                Overwrite::Replace,
            )?;
            let first = first_port(site) + number * PORTS_PER_MACHINE;
            let config = agent_toml(site, machine, ports, first, Arc::clone(&offer))?;
            fs::write(self.agent_config(site, machine), config)?;
        }
        Ok(())
    }
}

/// Whether a mesh may be made in the directory: it is empty, or holds what a `kato dev` that was stopped had made so far.
/// Somebody else's certificates would be written over.
fn is_free(root: &Path) -> std::io::Result<bool> {
    let names = fs::read_dir(root)?.map(|entry| Ok(entry?.file_name()));
    let names = names.collect::<std::io::Result<Vec<_>>>()?;
    let is_made = |name: &std::ffi::OsString| {
        let name = name.to_string_lossy();
        let name = name.as_ref();
        let site = Site::named(name.strip_suffix(".toml").unwrap_or(name));
        site.is_some() || [LOCK_FILE, PORTS_FILE, PKI].contains(&name)
    };
    Ok(names.is_empty()
        || (names.iter().any(|name| name == LOCK_FILE) && names.iter().all(is_made)))
}

/// The first host port of a datacenter's instances.
fn first_port(site: &Site) -> u16 {
    let number = u16::try_from(site.member - 1).unwrap_or_default();
    INSTANCE_PORTS + number * PORTS_PER_DATACENTER
}

fn coordinator_toml(
    site: &Site,
    ports: [u16; 3],
    catalog: Option<&Path>,
) -> anyhow::Result<String> {
    let name = site.name;
    let [latitude, longitude] = site.location;
    let port = ports[usize::try_from(site.member - 1)?];
    let catalog = match catalog {
        Some(path) => format!("catalog = {:?}\n", std::path::absolute(path)?.display().to_string()),
        None => String::new(),
    };
    let member = |(site, port): (&Site, u16)| {
        format!(
            "\n[[members]]\nid = {}\ndatacenter = \"{}\"\naddress = \"127.0.0.1:{port}\"\n",
            site.member, site.name
        )
    };
    let members = SITES.iter().zip(ports).map(member).collect::<Vec<_>>().concat();
    let bought = first_port(site) + u16::try_from(MACHINES.len())? * PORTS_PER_MACHINE;
    Ok(format!(
        "# The coordinator of {city}. Started with: kato coordinator --config {name}.toml\n\
         domain = \"{DOMAIN}\"\n\
         datacenter = \"{name}\"\n\
         member = {member}\n\
         listen = \"127.0.0.1:{port}\"\n\
         data_dir = \"{name}/coordinator\"\n\
         location = [{latitude:?}, {longitude:?}]\n\
         # The longest round trip between coordinators; timeouts follow from it.\n\
         rtt_ms_max = 5\n\
         # Instances come back to a datacenter that has been up for so long, in seconds.\n\
         rebalance_after_s = 20\n\
         {catalog}\n\
         [tls]\n\
         ca = \"pki/ca.pem\"\n\
         certificate = \"{name}/coordinator.pem\"\n\
         key = \"{name}/coordinator-key.pem\"\n\n\
         # Signs the machines that are bought here.\n\
         [authority]\n\
         certificate = \"{name}/authority.pem\"\n\
         key = \"{name}/authority-key.pem\"\n\n\
         # Machines are processes on this host, at the prices of the region below.\n\
         [sandbox]\n\
         first_port = {bought}\n\n\
         [[regions]]\n\
         provider = \"{provider}\"\n\
         region = \"{region}\"\n\n\
         [cells.{CELL}]\n\
         machines_max = {MACHINES_MAX}\n\
         {members}",
        city = site.city,
        member = site.member,
        provider = site.provider,
        region = site.region,
    ))
}

fn agent_toml(
    site: &Site,
    machine: &str,
    ports: [u16; 3],
    first_port: u16,
    offer: Arc<Offer>,
) -> anyhow::Result<String> {
    let name = site.name;
    let port = ports[usize::try_from(site.member - 1)?];
    let config = kato_agent::daemon::Config {
        id: format!("{machine}.{CELL}.{name}").parse()?,
        coordinator: format!("127.0.0.1:{port}"),
        data_dir: machine.into(),
        address: "127.0.0.1".to_owned(),
        ports: first_port..=first_port + PORTS_PER_MACHINE - 1,
        ca: "../pki/ca.pem".into(),
        certificate: format!("{machine}.pem").into(),
        key: format!("{machine}-key.pem").into(),
        resources: offer.capacity,
        offer,
        order: None,
    };
    Ok(format!(
        "# A machine of {}. Started with: kato agent --config {name}/{machine}.toml\n\
         # Its offer is what it was bought as, whose price is the price of what runs on it.\n{}",
        site.city,
        config.to_toml()?
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mesh_is_made_in_nobodys_directory_alone() {
        for (held, free) in [
            (vec![], true),
            // A start that was stopped half-way.
            (vec!["dev.lock"], true),
            (vec!["dev.lock", "pki", "dub", "dub.toml", "ewr", "ports"], true),
            // What `kato pki init pki` made, and keys that nobody has twice.
            (vec!["pki"], false),
            (vec!["dev.lock", "pki", "thesis.txt"], false),
            (vec!["dub"], false),
            // Somebody's file that has the name of ours.
            (vec!["format"], false),
        ] {
            let directory = tempfile::tempdir().unwrap();
            for name in &held {
                fs::write(directory.path().join(name), "its own").unwrap();
            }
            match Files::open(directory.path().to_owned()) {
                Ok((_, resumed)) => assert!(free && !resumed, "{held:?}"),
                Err(error) => {
                    assert!(
                        !free && matches!(error, DevError::Foreign { .. }),
                        "{held:?}: {error}"
                    );
                    let hint = error.hint().unwrap();
                    assert!(hint.starts_with("use another directory"), "{hint}");
                    assert!(!hint.contains("remove"), "{hint}");
                }
            }
        }
    }
}
