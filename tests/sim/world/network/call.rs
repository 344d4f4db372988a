//! Connecting: a knock that may be lost and is repeated, an answer, and an end for each side.

use std::io;
use std::task::{Poll, Waker};
use std::time::Duration;

use super::io::{End, Stream};
use super::pipe::{Pipe, wake};
use super::{Backlog, HostId, Network, Shared};

/// The first time after which a knock is repeated; each later one is twice as long.
const RETRY_FIRST: Duration = Duration::from_secs(1);

/// A connection that is being made.
pub(super) struct Call {
    from: HostId,
    to: HostId,
    port: u16,
    phase: Phase,
    waker: Option<Waker>,
}

enum Phase {
    /// The knock was sent; it arrives, or is repeated at the second time.
    Knocking { arrives: Option<Duration>, again: Duration, pause: Duration },
    /// The answer is under way; none if nobody listens.
    Answered { at: Duration, end: Option<End> },
}

/// A call in the hands of a process, which may give it up.
struct Calling {
    network: Network,
    id: u64,
}

impl Drop for Calling {
    fn drop(&mut self) {
        let mut shared = self.network.shared();
        if let Some(Call { phase: Phase::Answered { end: Some(end), .. }, .. }) =
            shared.calls.remove(&self.id)
        {
            shared.close(end);
        }
    }
}

impl Network {
    /// Connects from a machine to `name:port`.
    pub(super) async fn connect(&self, from: HostId, address: &str) -> io::Result<Stream> {
        let unknown = || io::Error::new(io::ErrorKind::NotFound, format!("no host {address}"));
        let (name, port) = address.split_once(':').ok_or_else(unknown)?;
        let port = port.parse().map_err(|_| unknown())?;
        let id = {
            let mut shared = self.shared();
            let to = shared.hosts.iter().position(|host| host.name == name);
            let to = to.ok_or_else(unknown)?;
            let (id, arrives) = (shared.number(), shared.arrival(from, to));
            let again = shared.now + RETRY_FIRST;
            let phase = Phase::Knocking { arrives, again, pause: RETRY_FIRST };
            shared.calls.insert(id, Call { from, to, port, phase, waker: None });
            id
        };
        let calling = Calling { network: self.clone(), id };
        let end = std::future::poll_fn(|cx| {
            let mut shared = self.shared();
            let now = shared.now;
            let Some(call) = shared.calls.get_mut(&id) else {
                return Poll::Ready(None);
            };
            match call.phase {
                Phase::Answered { at, end } if at <= now => {
                    shared.calls.remove(&id);
                    Poll::Ready(end)
                }
                _ => {
                    call.waker = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await;
        drop(calling);
        let end = end.ok_or(io::ErrorKind::ConnectionRefused)?;
        Ok(Stream { network: self.clone(), end })
    }

    /// Listens on a port of a machine.
    pub(super) fn listen(&self, host: HostId, port: u16) -> io::Result<()> {
        let mut shared = self.shared();
        if shared.listeners.contains_key(&(host, port)) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        shared.listeners.insert((host, port), Backlog::default());
        Ok(())
    }

    /// Listens no more; those who wait are sent away.
    pub(super) fn deafen(&self, host: HostId, port: u16) {
        let mut shared = self.shared();
        let backlog = shared.listeners.remove(&(host, port));
        for end in backlog.into_iter().flat_map(|backlog| backlog.waiting) {
            shared.close(end);
        }
    }

    /// The next connection to a port.
    pub(super) async fn accept(&self, host: HostId, port: u16) -> Stream {
        let end = std::future::poll_fn(|cx| {
            let mut shared = self.shared();
            let Some(backlog) = shared.listeners.get_mut(&(host, port)) else {
                return Poll::Pending;
            };
            if let Some(end) = backlog.waiting.pop_front() {
                return Poll::Ready(end);
            }
            backlog.waker = Some(cx.waker().clone());
            Poll::Pending
        });
        Stream { network: self.clone(), end: end.await }
    }
}

impl Shared {
    pub(super) fn step_calls(&mut self) {
        let now = self.now;
        let calls: Vec<u64> = self.calls.keys().copied().collect();
        for id in calls {
            let Some(call) = self.calls.get(&id) else { continue };
            let (from, to, port) = (call.from, call.to, call.port);
            let next = match call.phase {
                Phase::Knocking { arrives: Some(at), .. } if at <= now => {
                    self.answer(from, to, port)
                }
                Phase::Knocking { again, pause, .. } if again <= now => {
                    let (pause, arrives) = (pause * 2, self.arrival(from, to));
                    Some(Phase::Knocking { arrives, again: now + pause, pause })
                }
                _ => None,
            };
            let Some(call) = self.calls.get_mut(&id) else { continue };
            if let Some(next) = next {
                call.phase = next;
            }
            if matches!(call.phase, Phase::Answered { at, .. } if at <= now) {
                wake(&mut call.waker);
            }
        }
    }

    /// A knock has arrived. Where the answer is lost the knock is repeated, as if it had not been heard.
    fn answer(&mut self, from: HostId, to: HostId, port: u16) -> Option<Phase> {
        let at = self.arrival(to, from)?;
        if !self.listeners.contains_key(&(to, port)) {
            return Some(Phase::Answered { at, end: None });
        }
        let (forth, back) = (self.number(), self.number());
        self.pipes.insert(forth, Pipe::new(from, to, back));
        self.pipes.insert(back, Pipe::new(to, from, forth));
        let theirs = End { reads: forth, writes: back, owner: to, peer: from };
        if let Some(backlog) = self.listeners.get_mut(&(to, port)) {
            backlog.waiting.push_back(theirs);
            wake(&mut backlog.waker);
        }
        let end = End { reads: back, writes: forth, owner: from, peer: to };
        Some(Phase::Answered { at, end: Some(end) })
    }
}
