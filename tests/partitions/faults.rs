//! What goes wrong: cuts between hosts, processes that stand still or die, and the leader on the wrong side.

use std::time::Duration;

use anyhow::Result;
use rustix::process::Signal;

use crate::hosts::{Hosts, coordinator_of, hosts_of, machine_of};
use crate::net::Net;

/// The longest fault. A lease is 5.4 s, and a datacenter is given up 8 s after it was last heard.
const LONGEST: Duration = Duration::from_secs(16);
/// The longest that guards may stand still with all else. Only for as long as a lease is waited for do leases alone
/// keep one singleton; what comes after that is the epoch's business (docs/leases.md).
const LONGEST_WITH_GUARDS: Duration = Duration::from_secs(4);

/// One thing that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    Isolate,
    Deafen,
    Mute,
    Sever,
    SeverOneWay,
    Part,
    LeaderAlone,
    LeaderWithSingleton,
    StopCoordinator,
    KillCoordinator,
    StopAgent,
    KillAgent,
    StopDatacenter,
    KillDatacenter,
    StopWithGuards,
    PowerOff,
}

pub(crate) const FAULTS: [Fault; 16] = [
    Fault::Isolate,
    Fault::Deafen,
    Fault::Mute,
    Fault::Sever,
    Fault::SeverOneWay,
    Fault::Part,
    Fault::LeaderAlone,
    Fault::LeaderWithSingleton,
    Fault::StopCoordinator,
    Fault::KillCoordinator,
    Fault::StopAgent,
    Fault::KillAgent,
    Fault::StopDatacenter,
    Fault::KillDatacenter,
    Fault::StopWithGuards,
    Fault::PowerOff,
];

/// Datacenters by number: where it happens, another one, and where the leader and the singleton are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scene {
    pub(crate) at: usize,
    pub(crate) other: usize,
    pub(crate) leader: usize,
    pub(crate) home: usize,
}

impl Fault {
    /// What it does to the datacenter where it happens.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Isolate => "cut off",
            Self::Deafen => "cut off inwards: it hears nobody",
            Self::Mute => "cut off outwards: nobody hears it",
            Self::Sever => "cut from one other",
            Self::SeverOneWay => "cut from one other, which does not hear it",
            Self::Part => "its machine is cut from its coordinator",
            Self::LeaderAlone => "the leader is cut off, alone",
            Self::LeaderWithSingleton => "the leader is cut off, with the singleton's machine",
            Self::StopCoordinator => "SIGSTOP of its coordinator",
            Self::KillCoordinator => "SIGKILL of its coordinator",
            Self::StopAgent => "SIGSTOP of its agent",
            Self::KillAgent => "SIGKILL of its agent",
            Self::StopDatacenter => "SIGSTOP of coordinator and agent",
            Self::KillDatacenter => "SIGKILL of coordinator and agent",
            Self::StopWithGuards => "SIGSTOP of everything, guards and units too",
            Self::PowerOff => "SIGKILL of everything, guards and units too",
        }
    }

    /// The longest that it may last.
    pub(crate) fn longest(self) -> Duration {
        if self == Self::StopWithGuards { LONGEST_WITH_GUARDS } else { LONGEST }
    }

    /// Where it happens, if not just anywhere.
    pub(crate) fn place(self, scene: Scene) -> Scene {
        match self {
            Self::LeaderAlone | Self::LeaderWithSingleton => Scene { at: scene.leader, ..scene },
            _ => scene,
        }
    }

    pub(crate) fn begin(self, scene: Scene, hosts: &Hosts) -> Result<()> {
        let (coordinator, machine) = (coordinator_of(scene.at), machine_of(scene.at));
        let (here, there) = (hosts_of(scene.at), hosts_of(scene.other));
        let net = &hosts.net;
        let both = |signal| {
            hosts.signal(machine, signal)?;
            hosts.signal(coordinator, signal)
        };
        match self {
            Self::Isolate => Net::sever(&here, &net.all_but(&here)),
            Self::Deafen => Net::cut(&net.all_but(&here), &here),
            Self::Mute => Net::cut(&here, &net.all_but(&here)),
            Self::Sever => Net::sever(&here, &there),
            Self::SeverOneWay => Net::cut(&here, &there),
            Self::Part => Net::sever(&[coordinator], &[machine]),
            Self::LeaderAlone => Net::sever(&[coordinator], &net.all_but(&[coordinator])),
            Self::LeaderWithSingleton => {
                let side = [coordinator, machine_of(scene.home)];
                Net::sever(&side, &net.all_but(&side))
            }
            Self::StopCoordinator => hosts.signal(coordinator, Signal::STOP),
            Self::KillCoordinator => hosts.signal(coordinator, Signal::KILL),
            Self::StopAgent => hosts.signal(machine, Signal::STOP),
            Self::KillAgent => hosts.signal(machine, Signal::KILL),
            Self::StopDatacenter => both(Signal::STOP),
            Self::KillDatacenter => both(Signal::KILL),
            Self::StopWithGuards => here.iter().try_for_each(|host| Hosts::freeze(*host)),
            Self::PowerOff => here.iter().try_for_each(|host| Hosts::power_off(*host)),
        }
    }
}
