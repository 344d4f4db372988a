//! A fault with a story: the leader loses its power, comes back, votes, and loses its power again before it hears from
//! the one that it voted for. The other two, who cannot hear each other, then both need its vote. Whoever forgets a vote
//! gives it twice.

use std::time::Duration;

use crate::mesh::SimMesh;
use crate::world::Death;

/// How long a machine without power stays so.
const DARK: Duration = Duration::from_millis(100);

/// Who is in it, by number, and how far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Amnesia {
    /// Who leads, and forgets.
    forgetful: usize,
    /// The two who do not hear each other. Of two votes of one term that for the larger number overrules the other, so
    /// the larger one is kept from the forgetful one until the smaller one has had its chance.
    smaller: usize,
    larger: usize,
    stage: Stage,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage {
    /// Without power, until then.
    Dark(Duration),
    /// Back, and has not voted in a later term than this one.
    Waits(u64),
    /// Has voted, and is without power until then.
    DarkAgain(Duration),
    /// Back again; the larger one is not heard until then.
    Courted(Duration),
    Over,
}

impl Amnesia {
    /// Begins, if somebody leads.
    pub(super) fn begin(mesh: &mut SimMesh) -> Option<Self> {
        let forgetful = mesh.leader()?;
        let mut others = (0..mesh.datacenters.len()).filter(|number| *number != forgetful);
        let (smaller, larger) = (others.next()?, others.next()?);
        mesh.end_coordinator(forgetful, Death::PowerCut);
        let stage = Stage::Dark(mesh.world.now() + DARK);
        Some(Self { forgetful, smaller, larger, stage })
    }

    /// Goes on; tells whether links change with that.
    pub(super) fn step(&mut self, mesh: &mut SimMesh) -> bool {
        let now = mesh.world.now();
        let found = &mesh.datacenters[self.forgetful];
        let (host, term) = (found.host, found.sight.get().map(|(_, leads)| leads.term));
        let next = match (&self.stage, term) {
            (Stage::Dark(until), _) if *until <= now => {
                mesh.world.start(host);
                Stage::Waits(0)
            }
            (Stage::Waits(0), Some(term)) => Stage::Waits(term),
            (Stage::Waits(before), Some(term)) if term > *before => {
                mesh.end_coordinator(self.forgetful, Death::PowerCut);
                Stage::DarkAgain(now + DARK)
            }
            (Stage::DarkAgain(until), _) if *until <= now => {
                mesh.world.start(host);
                Stage::Courted(now + mesh.timing().failover() * 3)
            }
            (Stage::Courted(until), _) if *until <= now => Stage::Over,
            _ => return false,
        };
        self.stage = next;
        true
    }

    /// Whether nothing gets from one datacenter to another.
    pub(super) fn cuts(&self, from: usize, to: usize) -> bool {
        let rivals = [(self.smaller, self.larger), (self.larger, self.smaller)];
        let unheard = matches!(self.stage, Stage::DarkAgain(_) | Stage::Courted(_));
        self.stage != Stage::Over
            && (rivals.contains(&(from, to))
                || unheard && (from, to) == (self.larger, self.forgetful))
    }

    /// Whether it has been told to its end.
    pub(super) fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }
}
