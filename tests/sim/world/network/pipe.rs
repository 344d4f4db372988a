//! One direction of a connection.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::task::Waker;
use std::time::Duration;

use bytes::Bytes;

use super::{HostId, Shared};

/// What may be sent and not read yet, in bytes.
pub(super) const WINDOW: usize = 256 * 1024;
/// The first and the longest time after which what was lost is sent again.
const RETRY_FIRST: Duration = Duration::from_millis(200);
const RETRY_MAX: Duration = Duration::from_secs(10);
/// A sender that is not answered for this long gives its connection up. Linux does so after 15 minutes; what waits for
/// that hangs.
const GIVE_UP: Duration = Duration::from_mins(15);

/// Bytes from one machine to another, in order.
pub(super) struct Pipe {
    pub(super) from: HostId,
    pub(super) to: HostId,
    /// The pipe in the other direction.
    pub(super) twin: u64,
    /// What is under way.
    flight: VecDeque<Segment>,
    /// What has arrived and was not read yet.
    arrived: VecDeque<Bytes>,
    /// What is in `flight` and `arrived`.
    unread: usize,
    /// Whether everything has arrived that will.
    ended: bool,
    /// Why nothing more can be written or read.
    pub(super) broken: Option<ErrorKind>,
    /// When what was lost is sent again, how long it is waited for the next time, and since when it was.
    retry: Option<Retry>,
    pub(super) writer_gone: bool,
    pub(super) reader_gone: bool,
    pub(super) reader: Option<Waker>,
    pub(super) writer: Option<Waker>,
}

struct Segment {
    what: What,
    /// When it arrives, unless it was lost.
    arrives: Option<Duration>,
}

pub(super) enum What {
    Data(Bytes),
    /// The writer has ended.
    End,
    /// The other end knows nothing of this connection.
    Reset,
}

#[derive(Clone, Copy)]
struct Retry {
    since: Duration,
    at: Duration,
    pause: Duration,
}

impl Pipe {
    pub(super) fn new(from: HostId, to: HostId, twin: u64) -> Self {
        Self {
            from,
            to,
            twin,
            flight: VecDeque::new(),
            arrived: VecDeque::new(),
            unread: 0,
            ended: false,
            broken: None,
            retry: None,
            writer_gone: false,
            reader_gone: false,
            reader: None,
            writer: None,
        }
    }

    /// Takes the next bytes, at most `max`; none if there are none yet, an empty one at the end.
    pub(super) fn read(&mut self, max: usize) -> Option<io::Result<Bytes>> {
        if let Some(mut first) = self.arrived.pop_front() {
            if first.len() > max {
                self.arrived.push_front(first.split_off(max));
            }
            self.unread -= first.len();
            wake(&mut self.writer);
            return Some(Ok(first));
        }
        if let Some(kind) = self.broken {
            return Some(Err(kind.into()));
        }
        self.ended.then(|| Ok(Bytes::new()))
    }

    /// How many more bytes may be written.
    pub(super) fn room(&self) -> usize {
        WINDOW.saturating_sub(self.unread)
    }

    fn break_off(&mut self, kind: ErrorKind) {
        self.broken.get_or_insert(kind);
        self.flight.clear();
        wake(&mut self.reader);
        wake(&mut self.writer);
    }

    /// Whether nobody needs it any more.
    fn is_over(&self) -> bool {
        self.writer_gone && self.reader_gone && self.flight.is_empty()
    }
}

pub(super) fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

impl Shared {
    /// Sends into a pipe.
    pub(super) fn send(&mut self, id: u64, what: What) {
        let Some(pipe) = self.pipes.get(&id) else { return };
        let (from, to) = (pipe.from, pipe.to);
        // What waits behind something that was lost is not sent before that.
        let stuck = pipe.retry.is_some();
        let last = pipe.flight.back().and_then(|segment| segment.arrives);
        let arrives = if stuck { None } else { self.arrival(from, to) };
        let arrives = arrives.map(|at| at.max(last.unwrap_or_default()));
        let now = self.now;
        let Some(pipe) = self.pipes.get_mut(&id) else { return };
        if let What::Data(bytes) = &what {
            pipe.unread += bytes.len();
        }
        if arrives.is_none() && !stuck {
            pipe.retry = Some(Retry { since: now, at: now + RETRY_FIRST, pause: RETRY_FIRST });
        }
        pipe.flight.push_back(Segment { what, arrives });
        self.busy.insert(id);
    }

    /// A link is cut: what is under way on it is lost, and sent again later.
    pub(super) fn lose_what_is_under_way(&mut self, from: HostId, to: HostId) {
        let now = self.now;
        for pipe in self.pipes.values_mut().filter(|pipe| (pipe.from, pipe.to) == (from, to)) {
            for segment in &mut pipe.flight {
                segment.arrives = None;
            }
            if !pipe.flight.is_empty() && pipe.retry.is_none() {
                pipe.retry = Some(Retry { since: now, at: now + RETRY_FIRST, pause: RETRY_FIRST });
            }
        }
    }

    pub(super) fn step_pipes(&mut self) {
        let busy: Vec<u64> = self.busy.iter().copied().collect();
        for id in busy {
            self.try_again(id);
            self.deliver(id);
            let pipe = self.pipes.get(&id);
            if pipe.is_none_or(|pipe| pipe.flight.is_empty()) {
                self.busy.remove(&id);
            }
            if pipe.is_some_and(Pipe::is_over) {
                self.pipes.remove(&id);
            }
        }
    }

    /// Sends again what was lost, if it is time.
    fn try_again(&mut self, id: u64) {
        let now = self.now;
        let Some(pipe) = self.pipes.get(&id) else { return };
        let Some(retry) = pipe.retry.filter(|retry| retry.at <= now) else { return };
        let (from, to) = (pipe.from, pipe.to);
        if now.saturating_sub(retry.since) > GIVE_UP {
            return self.reset(id, ErrorKind::TimedOut);
        }
        let arrives = self.arrival(from, to);
        let Some(pipe) = self.pipes.get_mut(&id) else { return };
        if arrives.is_some() {
            let lost = pipe.flight.iter_mut().filter(|segment| segment.arrives.is_none());
            lost.for_each(|segment| segment.arrives = arrives);
            pipe.retry = None;
        } else {
            let pause = (retry.pause * 2).min(RETRY_MAX);
            pipe.retry = Some(Retry { since: retry.since, at: now + pause, pause });
        }
    }

    fn deliver(&mut self, id: u64) {
        let now = self.now;
        while let Some(pipe) = self.pipes.get_mut(&id) {
            let arrived = pipe.flight.front().and_then(|segment| segment.arrives);
            if arrived.is_none_or(|at| at > now) {
                return;
            }
            let Some(segment) = pipe.flight.pop_front() else { return };
            let twin = pipe.twin;
            match segment.what {
                What::Data(bytes) if !pipe.reader_gone => pipe.arrived.push_back(bytes),
                // Nobody is there: the kernel says so.
                What::Data(_) => self.send(twin, What::Reset),
                What::End => pipe.ended = true,
                What::Reset => self.reset(id, ErrorKind::ConnectionReset),
            }
            if let Some(pipe) = self.pipes.get_mut(&id) {
                wake(&mut pipe.reader);
            }
        }
    }

    /// Ends both directions of a connection, as one end sees it.
    fn reset(&mut self, id: u64, kind: ErrorKind) {
        let twin = self.pipes.get(&id).map(|pipe| pipe.twin);
        for id in [Some(id), twin].into_iter().flatten() {
            if let Some(pipe) = self.pipes.get_mut(&id) {
                pipe.break_off(kind);
            }
        }
    }
}
