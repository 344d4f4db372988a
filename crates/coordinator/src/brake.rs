//! The brake against mass moves (the promise no-mass-move), as far as it is shown: the leader alone holds it, and tells
//! the other coordinators with its reports, so that whoever is asked can say why nothing moves.

use std::fmt;

use kato_core::DatacenterName;
use kato_proto::{mesh_v1, v1};

/// The brake, while it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Brake {
    /// The datacenters that look dark from the leader, in the order of their names.
    pub(crate) dark: Vec<DatacenterName>,
    /// Of how many.
    pub(crate) of: usize,
}

impl Brake {
    /// Holds if so many look dark: when that is more than half of the mesh, the fault is more likely in what looks.
    pub(crate) fn holds(dark: Vec<DatacenterName>, of: usize) -> Option<Self> {
        (!dark.is_empty() && dark.len() * 2 > of).then_some(Self { dark, of })
    }

    /// How many of them must be heard again until it lets go.
    fn awaited(&self) -> usize {
        self.dark.len() - self.of / 2
    }

    /// As the other coordinators are told.
    pub(crate) fn to_wire(&self) -> mesh_v1::Brake {
        mesh_v1::Brake {
            dark: self.dark.iter().map(ToString::to_string).collect(),
            datacenters: number(self.of),
        }
    }

    /// As a leader tells; none if what it tells would not hold.
    pub(crate) fn from_wire(message: &mesh_v1::Brake) -> Option<Self> {
        let dark = message.dark.iter().filter_map(|name| name.parse().ok()).collect();
        Self::holds(dark, message.datacenters as usize)
    }

    /// As clients see it.
    pub(crate) fn to_client(&self) -> v1::Brake {
        v1::Brake {
            dark: self.dark.iter().map(ToString::to_string).collect(),
            datacenters: number(self.of),
            awaited: number(self.awaited()),
        }
    }
}

impl fmt::Display for Brake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.dark.iter().map(DatacenterName::as_str).collect();
        let look = if self.dark.len() == 1 { "looks" } else { "look" };
        let (dark, of, names) = (self.dark.len(), self.of, names.join(", "));
        write!(f, "{dark} of {of} datacenters ({names}) {look} dark from here: ")?;
        match self.awaited() {
            1 => f.write_str("nothing is moved until at least one is heard again"),
            more => write!(f, "nothing is moved until at least {more} are heard again"),
        }
    }
}

fn number(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 7] = ["ams", "cdg", "dub", "ewr", "fra", "lhr", "sin"];

    #[test]
    fn it_holds_above_half_and_lets_go_when_fewer_are_dark() {
        // How many are dark, of how many, and how many of those must be heard again.
        for (dark, of, awaited) in [
            (0, 0, None),
            (0, 3, None),
            (1, 1, Some(1)),
            (1, 2, None),
            (2, 2, Some(1)),
            (1, 3, None),
            (2, 3, Some(1)),
            (3, 3, Some(2)),
            (2, 4, None),
            (3, 4, Some(1)),
            (2, 5, None),
            (5, 7, Some(2)),
        ] {
            let names = |dark: usize| NAMES[..dark].iter().map(|name| name.parse().unwrap());
            let brake = Brake::holds(names(dark).collect(), of);
            assert_eq!(brake.as_ref().map(Brake::awaited), awaited, "{dark} of {of}");
            let Some(brake) = brake else { continue };
            let heard = |heard: usize| Brake::holds(names(dark - heard).collect(), of);
            assert_eq!(heard(brake.awaited()), None, "{brake}");
            assert!(heard(brake.awaited() - 1).is_some(), "{brake}");
            assert_eq!(Brake::from_wire(&brake.to_wire()), Some(brake));
        }
    }
}
