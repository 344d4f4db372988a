//! Host ports for instances. A port is free if no instance of this sandbox holds it and nobody on this host
//! listens on it now; the second can change before the unit binds it, which no allocator can prevent.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, UdpSocket};
use std::ops::RangeInclusive;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kato_core::{InstanceId, PortName};
use kato_units::engine::Error;

/// Who holds which port.
#[derive(Debug)]
pub(super) struct Ports {
    range: RangeInclusive<u16>,
    held: Mutex<Held>,
}

#[derive(Debug)]
struct Held {
    by: BTreeMap<u16, InstanceId>,
    /// Where the search goes on, so that a port that was just given up is not given to another at once.
    next: u16,
}

impl Ports {
    /// The ports of `range`. Two sandboxes of one host that share a range begin at different places of it, each by
    /// its `seed`.
    pub(super) fn new(range: RangeInclusive<u16>, seed: u64) -> Self {
        let width = u64::from(range.end().saturating_sub(*range.start())) + 1;
        let offset = u16::try_from(seed % width).unwrap_or(0);
        let next = range.start().saturating_add(offset);
        Self { range, held: Mutex::new(Held { by: BTreeMap::new(), next }) }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what an instance was given by an earlier agent.
    pub(super) fn note(&self, instance: &InstanceId, ports: &BTreeMap<String, u16>) {
        let mut held = self.held();
        for port in ports.values() {
            held.by.entry(*port).or_insert_with(|| instance.clone());
        }
    }

    /// Gives an instance its ports: those that it had where they are still free, and others otherwise.
    pub(super) fn give(
        &self,
        instance: &InstanceId,
        wanted: &BTreeSet<PortName>,
        had: &BTreeMap<String, u16>,
    ) -> Result<BTreeMap<String, u16>, Error> {
        let mut held = self.held();
        held.by.retain(|_, holder| holder != instance);
        let mut given = BTreeMap::new();
        for name in wanted {
            let before = had.get(name.as_str()).copied();
            let before = before.filter(|port| self.range.contains(port) && is_free(&held, *port));
            let port = before
                .or_else(|| self.search(&mut held))
                .ok_or(Error::NoPort { first: *self.range.start(), last: *self.range.end() })?;
            held.by.insert(port, instance.clone());
            given.insert(name.to_string(), port);
        }
        Ok(given)
    }

    /// Takes an instance's ports back.
    pub(super) fn release(&self, instance: &InstanceId) {
        self.held().by.retain(|_, holder| holder != instance);
    }

    fn search(&self, held: &mut Held) -> Option<u16> {
        let (first, last) = (*self.range.start(), *self.range.end());
        let found = (held.next..=last).chain(first..held.next).find(|port| is_free(held, *port))?;
        held.next = if found == last { first } else { found + 1 };
        Some(found)
    }
}

fn is_free(held: &Held, port: u16) -> bool {
    !held.by.contains_key(&port)
        && TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
        && UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
        && is_free_of_version_6(port)
}

/// A host without IPv6 has nobody who listens on it.
fn is_free_of_version_6(port: u16) -> bool {
    match TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)) {
        Ok(_) => true,
        Err(error) => error.kind() != std::io::ErrorKind::AddrInUse,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_distinct_and_kept_and_never_taken_from_a_listener() {
        let names = |names: &[&str]| -> BTreeSet<PortName> {
            names.iter().map(|name| name.parse().unwrap()).collect()
        };
        let (one, two): (InstanceId, InstanceId) =
            ("web@1".parse().unwrap(), "web@2".parse().unwrap());
        let ports = Ports::new(30_000..=30_009, 7);
        let taken = (30_000..=30_009).find_map(|port| TcpListener::bind(("127.0.0.1", port)).ok());
        let taken = taken.unwrap();
        let first = ports.give(&one, &names(&["http", "grpc"]), &BTreeMap::new()).unwrap();
        let second = ports.give(&two, &names(&["http"]), &BTreeMap::new()).unwrap();
        let all: BTreeSet<u16> = first.values().chain(second.values()).copied().collect();
        assert_eq!(all.len(), 3);
        assert!(!all.contains(&taken.local_addr().unwrap().port()));
        // Another agent, to which the first instance comes back.
        let ports = Ports::new(30_000..=30_009, 7);
        ports.note(&two, &second);
        let again = ports.give(&one, &names(&["http"]), &first).unwrap();
        assert_eq!(again.get("http"), first.get("http"));
        let many: Vec<String> = (0..10).map(|n| format!("p{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(matches!(ports.give(&one, &names(&many), &first), Err(Error::NoPort { .. })));
    }
}
