//! The sandbox: machines that are agent processes on this host, at the prices of a real region. It stands in
//! for a provider wherever there is none, and takes nobody's money.

mod agents;

use std::fs::{self, File};
use std::io::{self, Write};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use kato_core::{MachineId, OrderId};

pub use self::agents::Agents;
use crate::{BoxFuture, Create, Provided, Provider, ProviderError, Token};

/// How the sandbox makes machines.
pub struct Sandbox {
    /// Where machines live, one directory each.
    pub directory: PathBuf,
    /// The `kato` program.
    pub program: PathBuf,
    /// The first host port of its machines; each has [`PORTS_PER_MACHINE`].
    pub first_port: u16,
    /// Writes a machine's certificate and key into a directory, as `agent.pem` and `agent-key.pem`.
    pub enroll: Box<Enroll>,
    /// The configuration file of a machine's agent: of the machine that is wanted, in a directory, with host ports.
    /// Its certificate and key are there as `enroll` writes them; its data belongs into [`DATA`].
    pub configure: Box<Configure>,
    /// The agents of its machines.
    pub agents: Agents,
}

/// See [`Sandbox::enroll`].
pub type Enroll = dyn Fn(&MachineId, &Path) -> Result<(), String> + Send + Sync;

/// See [`Sandbox::configure`].
pub type Configure =
    dyn Fn(&Create, &Path, RangeInclusive<u16>) -> Result<String, String> + Send + Sync;

/// Host ports of one machine.
pub const PORTS_PER_MACHINE: u16 = 100;
/// What a machine's directory holds.
const CONFIG: &str = "agent.toml";
const TOKEN: &str = "token";
/// Where in it its agent keeps its state.
pub const DATA: &str = "data";

impl Sandbox {
    /// Starts the agents of all machines that are not running: a machine comes back when its host does.
    pub fn start_all(&self) -> io::Result<()> {
        for (_, directory) in self.machines()? {
            self.agents.start(&self.program, &directory)?;
        }
        Ok(())
    }

    /// The machines and their directories, by name.
    fn machines(&self) -> io::Result<Vec<(Provided, PathBuf)>> {
        fs::create_dir_all(&self.directory)?;
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let directory = entry?.path();
            let Ok(text) = fs::read_to_string(directory.join(TOKEN)) else { continue };
            found.extend(parse_token(&text).map(|provided| (provided, directory)));
        }
        found.sort_by_key(|(provided, _)| provided.token);
        Ok(found)
    }

    fn make(&self, wanted: &Create) -> Result<(), ProviderError> {
        let unavailable = |error: io::Error| ProviderError::Unavailable(error.to_string());
        let machines = self.machines().map_err(unavailable)?;
        if let Some((_, directory)) =
            machines.iter().find(|(provided, _)| provided.token == wanted.token)
        {
            return self.agents.start(&self.program, directory).map_err(unavailable);
        }
        let directory = self.directory.join(wanted.machine.machine.as_str());
        fs::create_dir_all(directory.join(DATA)).map_err(unavailable)?;
        (self.enroll)(&wanted.machine, &directory).map_err(ProviderError::Refused)?;
        let number = u16::try_from(machines.len()).unwrap_or(u16::MAX);
        let first = self.first_port.saturating_add(number.saturating_mul(PORTS_PER_MACHINE));
        let ports = first..=first.saturating_add(PORTS_PER_MACHINE - 1);
        let config = (self.configure)(wanted, &directory, ports).map_err(ProviderError::Refused)?;
        write(&directory.join(CONFIG), &config).map_err(unavailable)?;
        // The token goes last: a machine without one was never made.
        let token = format!("{} {} {}", wanted.token.order.0, wanted.token.attempt, wanted.machine);
        write(&directory.join(TOKEN), &token).map_err(unavailable)?;
        self.agents.start(&self.program, &directory).map_err(unavailable)
    }
}

impl Provider for Sandbox {
    fn name(&self) -> &'static str {
        "sandbox"
    }

    fn create(&self, wanted: Create) -> BoxFuture<'_, Result<(), ProviderError>> {
        Box::pin(async move { self.make(&wanted) })
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<Provided>, ProviderError>> {
        Box::pin(async move {
            let machines = self.machines();
            let machines =
                machines.map_err(|error| ProviderError::Unavailable(error.to_string()))?;
            Ok(machines.into_iter().map(|(provided, _)| provided).collect())
        })
    }
}

/// Writes a file so that it is whole or not there.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let unfinished = path.with_extension("tmp");
    let mut file = File::create(&unfinished)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(unfinished, path)
}

fn parse_token(text: &str) -> Option<Provided> {
    let mut words = text.split_whitespace();
    let order = OrderId(words.next()?.parse().ok()?);
    let attempt = words.next()?.parse().ok()?;
    let machine = words.next()?.parse().ok()?;
    Some(Provided { token: Token { order, attempt }, machine })
}
