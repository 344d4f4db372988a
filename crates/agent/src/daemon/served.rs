//! Who serves this machine: its own coordinator, or a neighbour that stands in for it. The largest term that was seen is
//! kept on the disk, and whoever claims less is not believed: a coordinator that was cut off does not know that it was
//! replaced.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io};

use kato_core::{DatacenterName, MachineId};
use kato_net::{Expect, MESSAGE_BYTES_MAX, Role, Timeouts, Transport, channel};
use kato_proto::mesh_v1 as pb;
use kato_proto::mesh_v1::agents_client::AgentsClient;
use kato_proto::{Field, InvalidMessage};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tonic::transport::Channel;

use super::durable;

const FILE: &str = "served.toml";
/// Between two signs of life of a connection.
const KEEPALIVE: Duration = Duration::from_secs(2);

/// A coordinator that agents may turn to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Coordinator {
    pub(super) datacenter: DatacenterName,
    pub(super) address: String,
}

impl Coordinator {
    /// A machine's own.
    pub(super) fn new(machine: &MachineId, address: String) -> Self {
        Self { datacenter: machine.cell.datacenter.clone(), address }
    }

    /// A connection to it, opened when it is first used.
    pub(super) fn dial(
        &self,
        transport: &Arc<dyn Transport>,
        connect: Duration,
    ) -> AgentsClient<Channel> {
        let expect = Expect::Role(Role::Coordinator(self.datacenter.clone()));
        let timeouts = Timeouts { connect, keepalive: KEEPALIVE };
        let channel = channel(Arc::clone(transport), self.address.clone(), expect, timeouts);
        AgentsClient::new(channel)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
    }
}

/// What is known of the coordinators. The own one is where the configuration says, whatever others say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    /// Which mesh the term is of.
    mesh: u64,
    /// The revision of the delegation; 0 where only the own one ever served this machine.
    term: u64,
    by: Coordinator,
    home: Coordinator,
    /// The others, the nearest first.
    neighbours: Vec<Coordinator>,
}

/// What is kept of it: the last message that was believed.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct File {
    home: String,
    mesh: u64,
    term: u64,
    by: String,
    coordinators: Vec<CoordinatorFile>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct CoordinatorFile {
    datacenter: String,
    address: String,
}

impl File {
    fn new(home: &Coordinator, message: pb::Served) -> Self {
        let pb::Served { term, by, coordinators, mesh } = message;
        let coordinator = |pb::Coordinator { datacenter, address }: pb::Coordinator| {
            CoordinatorFile { datacenter, address }
        };
        let coordinators = coordinators.into_iter().map(coordinator).collect();
        Self { home: home.datacenter.to_string(), mesh, term, by, coordinators }
    }

    fn message(self) -> pb::Served {
        let Self { mesh, term, by, coordinators, .. } = self;
        let coordinator = |CoordinatorFile { datacenter, address }: CoordinatorFile| {
            pb::Coordinator { datacenter, address }
        };
        let coordinators = coordinators.into_iter().map(coordinator).collect();
        pb::Served { term, by, coordinators, mesh }
    }
}

impl Known {
    /// What is known before anybody has said anything.
    fn new(home: Coordinator) -> Self {
        Self { mesh: 0, term: 0, by: home.clone(), home, neighbours: Vec::new() }
    }

    /// Who serves this machine.
    pub(super) fn by(&self) -> &Coordinator {
        &self.by
    }

    /// Whom to ask when that one is gone: the own one, then the others.
    pub(super) fn others(&self) -> impl Iterator<Item = &Coordinator> {
        let all = std::iter::once(&self.home).chain(&self.neighbours);
        all.filter(|coordinator| coordinator.datacenter != self.by.datacenter)
    }

    /// What a message makes of it.
    fn told(&self, message: pb::Served) -> Result<Self, InvalidMessage> {
        let coordinator = |message: pb::Coordinator| {
            let datacenter = message.datacenter.parse().field("coordinator.datacenter")?;
            Ok(Coordinator { datacenter, address: message.address })
        };
        let by: DatacenterName = message.by.parse().field("served.by")?;
        let all = message.coordinators.into_iter().map(coordinator);
        let mut neighbours = all.collect::<Result<Vec<_>, InvalidMessage>>()?;
        neighbours.retain(|found| found.datacenter != self.home.datacenter);
        let mut known = std::iter::once(&self.home).chain(&neighbours);
        let by = known.find(|found| found.datacenter == by).cloned().field("served.by")?;
        let (mesh, term, home) = (message.mesh, message.term, self.home.clone());
        Ok(Self { mesh, term, by, home, neighbours })
    }
}

/// The same, kept. Clones share it.
#[derive(Clone)]
pub(super) struct Served {
    directory: Arc<PathBuf>,
    known: Arc<watch::Sender<Known>>,
}

impl Served {
    /// What was known when the agent ended; at first, that its own coordinator serves it. Nothing of safety rests on it,
    /// so an agent starts without it as well.
    pub(super) fn load(directory: &Path, home: Coordinator) -> Self {
        let known = Known::new(home);
        let known = match read(directory, &known) {
            Ok(Some(known)) => known,
            Ok(None) => known,
            Err(error) => {
                let (path, error) = (directory.join(FILE), &error as &dyn std::error::Error);
                tracing::warn!(path = %path.display(), error, "who served this machine is forgotten");
                known
            }
        };
        let directory = Arc::new(directory.to_owned());
        Self { directory, known: Arc::new(watch::Sender::new(known)) }
    }

    /// Takes in what a coordinator says, unless it is of an earlier term of the same mesh.
    pub(super) fn take(&self, message: pb::Served) {
        let before = self.known.borrow().clone();
        // A mesh that does not say which one it is is older than one that did.
        let same = message.mesh == before.mesh || message.mesh == 0;
        if same && message.term < before.term || message.mesh == 0 && before.mesh != 0 {
            return tracing::info!(message.term, before.term, message.by, "an earlier term");
        }
        let known = match before.told(message.clone()) {
            Ok(known) if known == before => return,
            Ok(known) => known,
            Err(error) => return tracing::error!(%error, "who serves this machine makes no sense"),
        };
        if known.by != before.by {
            let (by, term) = (&known.by.datacenter, known.term);
            tracing::info!(%by, term, "another coordinator serves this machine");
        }
        let written = toml::to_string(&File::new(&known.home, message))
            .map_err(io::Error::other)
            .and_then(|text| durable::write(&self.directory, FILE, &text));
        if let Err(error) = written {
            // Believed all the same: only another start of the agent will not know of it.
            tracing::error!(%error, "who serves this machine cannot be written down");
        }
        self.known.send_replace(known);
    }

    /// The largest term that was seen.
    pub(super) fn term(&self) -> u64 {
        self.known.borrow().term
    }

    /// Follows what is known.
    pub(super) fn watch(&self) -> watch::Receiver<Known> {
        self.known.subscribe()
    }
}

/// What the file says; nothing where there is none, or it is another datacenter's.
fn read(directory: &Path, known: &Known) -> io::Result<Option<Known>> {
    let wrong = |error: &dyn std::error::Error| {
        io::Error::new(io::ErrorKind::InvalidData, error.to_string())
    };
    let text = match fs::read_to_string(directory.join(FILE)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let file: File = toml::from_str(&text).map_err(|error| wrong(&error))?;
    if file.home != known.home.datacenter.as_str() {
        return Ok(None);
    }
    known.told(file.message()).map(Some).map_err(|error| wrong(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home() -> Coordinator {
        Coordinator::new(&"core-1.cell-1.ewr".parse().unwrap(), "10.0.0.1:7440".to_owned())
    }

    fn told(term: u64, by: &str) -> pb::Served {
        let coordinator = |name: &&str| pb::Coordinator {
            datacenter: (*name).to_owned(),
            address: format!("{name}.demo.com:7440"),
        };
        let coordinators = ["ewr", "dub", "sin"].iter().map(coordinator).collect();
        pb::Served { term, by: by.to_owned(), coordinators, mesh: 1 }
    }

    fn shown(served: &Served) -> String {
        let known = served.watch().borrow().clone();
        let others: Vec<&str> = known.others().map(|other| other.datacenter.as_str()).collect();
        format!("{} {} others {}", known.term, known.by().address, others.join(" "))
    }

    #[test]
    fn the_largest_term_is_believed_and_survives_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let load = || Served::load(directory.path(), home());
        let served = load();
        assert_eq!(shown(&served), "0 10.0.0.1:7440 others ");
        // The address of the own one is the configuration's.
        served.take(told(0, "ewr"));
        assert_eq!(shown(&served), "0 10.0.0.1:7440 others dub sin");
        served.take(told(9, "dub"));
        let dub = "9 dub.demo.com:7440 others ewr sin";
        assert_eq!(shown(&served), dub);
        // One that was cut off does not know yet; and nonsense changes nothing.
        for wrong in [told(0, "ewr"), told(8, "sin"), told(10, "fra"), told(10, "")] {
            served.take(wrong.clone());
            assert_eq!(shown(&served), dub, "{wrong:?}");
        }
        assert_eq!(shown(&load()), dub);
        served.take(told(12, "ewr"));
        assert_eq!(shown(&load()), "12 10.0.0.1:7440 others dub sin");

        fs::write(directory.path().join(FILE), "term = 1").unwrap();
        assert_eq!(shown(&load()), "0 10.0.0.1:7440 others ");
    }

    #[test]
    fn what_another_mesh_or_another_datacenter_knew_counts_for_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let served = Served::load(directory.path(), home());
        served.take(told(5_000, "dub"));
        // Founded anew: its terms begin anew.
        served.take(pb::Served { mesh: 2, ..told(0, "ewr") });
        assert_eq!(shown(&served), "0 10.0.0.1:7440 others dub sin");
        served.take(told(5_001, "sin"));
        let elsewhere =
            Coordinator::new(&"core-1.cell-1.dub".parse().unwrap(), "10.0.0.2:7440".to_owned());
        let moved = Served::load(directory.path(), elsewhere);
        assert_eq!(shown(&moved), "0 10.0.0.2:7440 others ");
    }

    #[test]
    fn a_disk_that_takes_nothing_keeps_nobody_from_being_served() {
        let served = Served::load(Path::new("/nonexistent"), home());
        served.take(told(9, "dub"));
        assert_eq!(shown(&served), "9 dub.demo.com:7440 others ewr sin");
    }
}
