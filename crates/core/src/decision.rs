//! Why an instance runs where it runs: kept with the placement, so that the question can be answered
//! later.

use std::fmt;
use std::sync::Arc;

use crate::{
    CellName, DatacenterName, Market, MicroDollars, Offer, Resources, SpotPolicy, Timestamp,
};

/// One choice among all datacenters, with what was known then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// When it was made.
    pub at: Timestamp,
    /// What a millisecond of latency cost an hour in it.
    pub latency_price_micros_per_ms_hour: MicroDollars,
    /// Every datacenter, the cheapest feasible one first, then those that a filter removed, by name.
    pub candidates: Vec<Candidate>,
}

impl fmt::Display for Decision {
    /// One line: every datacenter that was refused, and why.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        for candidate in &self.candidates {
            if let Verdict::Refused(refusal) = &candidate.verdict {
                let separator = if first { "" } else { "; " };
                write!(f, "{separator}{}: {refusal}", candidate.place())?;
                first = false;
            }
        }
        if first { f.write_str("no datacenter is known") } else { Ok(()) }
    }
}

/// One datacenter, or one of its cells, in a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Which.
    pub datacenter: DatacenterName,
    /// Which of its cells, where it has several.
    pub cell: Option<CellName>,
    /// Estimated round-trip time from the demand, weighted mean, in microseconds; none without demand.
    pub latency_us: Option<u32>,
    /// The cheapest thing there that would do, if there is one.
    pub quote: Option<Quote>,
    /// What became of it.
    pub verdict: Verdict,
}

impl Candidate {
    /// `dub`, or `cell-1.dub` where it has several cells.
    pub fn place(&self) -> impl fmt::Display {
        let cell = self.cell.as_ref().map(|cell| format!("{cell}.")).unwrap_or_default();
        format!("{cell}{}", self.datacenter)
    }
}

/// What one instance would cost in one datacenter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quote {
    /// The machine that it would run on. Shared: a decision quotes one for every datacenter, and most of
    /// them are the catalogue's.
    pub offer: Arc<Offer>,
    /// Whether that machine runs already, or is on order.
    pub source: Source,
    /// The price of the instance: its dominant share of a machine that runs already, its part of one that
    /// must be bought for it and others, the whole of one that is bought for it alone.
    pub price_micros_per_hour: MicroDollars,
    /// What it adds to what is paid: nothing on a machine that is paid for anyway.
    pub adds_micros_per_hour: MicroDollars,
    /// What its latency costs.
    pub latency_micros_per_hour: MicroDollars,
}

impl Quote {
    /// The objective: what it adds to what is paid, and priced latency.
    pub fn total_micros_per_hour(&self) -> MicroDollars {
        self.adds_micros_per_hour + self.latency_micros_per_hour
    }
}

/// Where the capacity comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// A machine that has room.
    Running,
    /// A machine that is on order for another instance, and will have room.
    Shared,
    /// A machine that would be bought.
    Buy,
}

/// What became of a candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Instances were placed there: this many.
    Chosen(u32),
    /// It would do, but costs more, price and latency together.
    Costlier,
    /// A hard constraint removed it.
    Refused(Refusal),
}

/// The hard constraint that removed a datacenter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// `Datacenters=` does not name it.
    NotAllowed,
    /// Its machines are suspended or it is lost.
    Unavailable,
    /// The farthest place of demand is farther than `MaxLatency=`, in microseconds.
    TooFar {
        /// Estimated round-trip time from the farthest place.
        latency_us: u32,
        /// `MaxLatency=`.
        latency_ms_max: u32,
    },
    /// `Spread=datacenter`, and a copy is there.
    Spread,
    /// Nothing that its regions sell is large enough, in the markets that `Spot=` admits.
    NoOffer {
        /// What was asked for.
        request: Resources,
        /// Where it was looked for.
        spot: SpotPolicy,
    },
    /// The cheapest thing that would do costs more than `MaxPrice=`.
    TooExpensive {
        /// What it costs.
        price_micros_per_hour: MicroDollars,
        /// `MaxPrice=`.
        max_micros_per_hour: MicroDollars,
    },
    /// No machine has room, and the cell may not buy another.
    NoRoom,
    /// The datacenter's coordinator said lately that it has no room.
    RefusedByCell,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAllowed => f.write_str("Datacenters= does not name it"),
            Self::Unavailable => f.write_str("lost, suspended or silent"),
            Self::TooFar { latency_us, latency_ms_max } => write!(
                f,
                "{:.0} ms from the farthest users, MaxLatency={latency_ms_max}ms",
                f64::from(*latency_us) / 1e3
            ),
            Self::Spread => f.write_str("has a copy already, Spread=datacenter"),
            Self::NoOffer { request, spot } => {
                let market = match spot {
                    SpotPolicy::Never => format!("{} ", Market::OnDemand),
                    SpotPolicy::Required => format!("{} ", Market::Spot),
                    SpotPolicy::Allowed => String::new(),
                };
                write!(f, "no {market}offer has {request}")
            }
            Self::TooExpensive { price_micros_per_hour, max_micros_per_hour } => write!(
                f,
                "costs {price_micros_per_hour}/h at least, MaxPrice={max_micros_per_hour}"
            ),
            Self::NoRoom => f.write_str("no machine has room, and the cell may buy no more"),
            Self::RefusedByCell => f.write_str("its coordinator found no room a moment ago"),
        }
    }
}
