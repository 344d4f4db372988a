//! The mesh's files: certificates, and a configuration for each host.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use kato_core::{Arch, MachineId, Market, Offer};
use kato_net::Role;
use kato_net::clock::{Clock as _, SystemClock};
use kato_net::pki::{Authority, Overwrite};
use kato_placement::Catalogue;

use crate::hosts::{DATACENTERS, PORT, coordinator_of, machine_of};
use crate::net::address;

/// How long the certificates are valid.
const VALIDITY: Duration = Duration::from_hours(90 * 24);

/// A host's configuration.
pub(crate) fn config(directory: &Path, host: usize) -> PathBuf {
    directory.join(format!("host-{host}.toml"))
}

/// Writes all files.
pub(crate) fn write(directory: &Path) -> Result<()> {
    let now = SystemClock.wall();
    let root = Authority::root("demo.com".parse()?, now, VALIDITY)?;
    root.store(directory, "ca", Overwrite::Refuse)?;
    let issue = |by: &Authority, name: &str, role: Role| -> Result<()> {
        let issued = by.issue(role, &[], now, VALIDITY)?;
        Ok(issued.store(directory, name, Overwrite::Refuse)?)
    };
    issue(&root, "ada", Role::Operator("ada".parse()?))?;
    for (number, (name, region, location)) in DATACENTERS.iter().enumerate() {
        issue(&root, name, Role::Coordinator(name.parse()?))?;
        fs::write(config(directory, coordinator_of(number)), coordinator(number, location))?;
        let machine: MachineId = format!("core-1.cell-1.{name}").parse()?;
        let authority = root.intermediate(name.parse()?, now, VALIDITY)?;
        issue(&authority, &format!("core-{name}"), Role::Agent(machine.clone()))?;
        let agent = agent(directory, number, region, machine)?;
        fs::write(config(directory, machine_of(number)), agent)?;
    }
    Ok(())
}

fn coordinator(number: usize, location: &str) -> String {
    let name = DATACENTERS[number].0;
    let members = DATACENTERS.iter().enumerate().map(|(other, (name, ..))| {
        let (id, address) = (other + 1, address(coordinator_of(other)));
        format!("[[members]]\nid = {id}\ndatacenter = \"{name}\"\naddress = \"{address}:{PORT}\"\n")
    });
    let (member, members) = (number + 1, members.collect::<String>());
    format!(
        "domain = \"demo.com\"\ndatacenter = \"{name}\"\nmember = {member}\nlisten = \"0.0.0.0:{PORT}\"\n\
         data_dir = \"{name}\"\nlocation = {location}\nrtt_ms_max = 5\n\
         [tls]\nca = \"ca.pem\"\ncertificate = \"{name}.pem\"\nkey = \"{name}-key.pem\"\n\
         [cells.cell-1]\nmachines_max = 1\n{members}"
    )
}

fn agent(directory: &Path, number: usize, region: &str, id: MachineId) -> Result<String> {
    let name = DATACENTERS[number].0;
    let catalogue = Catalogue::builtin();
    let (provider, region) = ("ec2".parse()?, region.parse()?);
    let fits = |offer: &&Arc<Offer>| offer.market == Market::OnDemand && offer.arch == Arch::X86_64;
    let mut offers = catalogue.offers(&provider, &region).filter(fits);
    let offer = offers.next().context("something is sold there")?;
    let path = |file: String| directory.join(file);
    let config = kato_agent::daemon::Config {
        id,
        coordinator: format!("{}:{PORT}", address(coordinator_of(number))),
        data_dir: path(format!("core-{name}")),
        address: address(machine_of(number)),
        ports: 20_000..=20_099,
        ca: path("ca.pem".to_owned()),
        certificate: path(format!("core-{name}.pem")),
        key: path(format!("core-{name}-key.pem")),
        offer: Arc::clone(offer),
        resources: offer.capacity,
        order: None,
    };
    Ok(config.to_toml()?)
}
