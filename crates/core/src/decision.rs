//! Why an instance runs where it runs: kept with the placement, so that the question can be answered
//! later.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use crate::time::span;
use crate::{
    Arch, CellName, Country, DatacenterName, GpuName, Level, Market, MicroDollars, Offer,
    ProviderName, Resources, SpotPolicy, Terms, Timestamp, WorkloadName,
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

/// What would have had to be otherwise for a candidate to be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instead {
    /// The whole machine would have had to cost no more than this an hour.
    AtPrice(MicroDollars),
    /// No price would do: it would have had to be this much nearer to the demand.
    Nearer {
        /// Microseconds of the mean round-trip time.
        us: u32,
    },
}

impl Decision {
    /// What would have had to be otherwise, all else being as it was, for a copy to be in a cell that would do instead of the
    /// dearest place that was chosen. None where it was chosen or refused, or nothing was chosen at all.
    pub fn instead(&self, candidate: &Candidate) -> Option<Instead> {
        let quote = candidate.quote.as_ref().filter(|_| candidate.verdict == Verdict::Costlier)?;
        let chosen = self.candidates.iter().filter(|c| matches!(c.verdict, Verdict::Chosen(_)));
        let totals = chosen.filter_map(|c| Some(c.quote.as_ref()?.total_micros_per_hour()));
        let over = quote.total_micros_per_hour() - totals.max()?;
        let price = quote.adds_micros_per_hour - over;
        if quote.adds_micros_per_hour > MicroDollars::ZERO && price > MicroDollars::ZERO {
            return Some(Instead::AtPrice(quote.by_the_hour(price)));
        }
        let us = over.0.saturating_mul(1_000).checked_div(self.latency_price_micros_per_ms_hour.0);
        let us = u32::try_from(us?).ok().filter(|us| *us > 0)?;
        (us <= candidate.latency_us?).then_some(Instead::Nearer { us })
    }
}

impl Decision {
    /// Whether both refuse the same cells for the same reasons, whatever the figures.
    pub fn is_for_the_same_reasons(&self, other: &Self) -> bool {
        let told = |decision: &Self| {
            let candidates = decision.candidates.iter();
            let mut told: Vec<_> = candidates
                .map(|candidate| {
                    let why = match &candidate.verdict {
                        Verdict::Refused(refusal) => Some(std::mem::discriminant(refusal)),
                        Verdict::Chosen(_) | Verdict::Costlier => None,
                    };
                    (candidate.datacenter.clone(), candidate.cell.clone(), why)
                })
                .collect();
            told.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
            told
        };
        told(self) == told(other)
    }
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
        match (first, self.candidates.is_empty()) {
            (true, true) => f.write_str("no datacenter is known"),
            (true, false) => f.write_str("what was chosen has no room for more"),
            (false, _) => Ok(()),
        }
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
    /// What is preferred to it is worth so much more.
    pub preference_micros_per_hour: MicroDollars,
    /// What moving there costs, by the hour of an expected stay.
    pub moving_micros_per_hour: MicroDollars,
}

impl Quote {
    /// The same as meshes before version 7 have it.
    #[must_use]
    pub fn plain(self) -> Self {
        Self {
            adds_micros_per_hour: self.price_micros_per_hour,
            preference_micros_per_hour: MicroDollars::ZERO,
            moving_micros_per_hour: MicroDollars::ZERO,
            ..self
        }
    }

    /// What it adds to what is paid by the hour, whatever hours are paid whole.
    pub fn adds_by_the_hour(&self) -> MicroDollars {
        let bought =
            self.source != Source::Running && self.adds_micros_per_hour > MicroDollars::ZERO;
        if bought { self.price_micros_per_hour } else { self.adds_micros_per_hour }
    }

    /// What a machine that is bought costs by the hour, where that comes to so much of what it adds: less where hours are paid
    /// whole that nobody stays for.
    fn by_the_hour(&self, adds: MicroDollars) -> MicroDollars {
        if self.source != Source::Buy || self.adds_micros_per_hour <= MicroDollars::ZERO {
            return adds;
        }
        let price = i128::from(adds.0) * i128::from(self.price_micros_per_hour.0);
        let price = price / i128::from(self.adds_micros_per_hour.0);
        MicroDollars(i64::try_from(price).unwrap_or(i64::MAX))
    }

    /// The objective: what it adds to what is paid, priced latency, preferences that are not met, and what moving costs.
    pub fn total_micros_per_hour(&self) -> MicroDollars {
        self.adds_micros_per_hour
            + self.latency_micros_per_hour
            + self.preference_micros_per_hour
            + self.moving_micros_per_hour
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
    /// It is in none of `Countries=` and `Continents=`, or does not say where it is.
    Country(Option<Country>),
    /// It is not labelled as `Labels=` asks.
    Label {
        /// The label's key.
        key: String,
        /// The value that is asked for.
        wants: String,
        /// The value that it has.
        has: Option<String>,
    },
    /// Its users are farther than `MaxLatency=`.
    TooFar {
        /// Estimated round-trip time from the farthest place of demand that counts.
        latency_us: u32,
        /// `MaxLatency=`.
        latency_ms_max: u32,
        /// The share of the demand that counts, in percent, if that is not all of it.
        percentile: Option<u32>,
    },
    /// Another workload is not there that must be, or is there and must not be.
    Neighbour {
        /// Which.
        workload: WorkloadName,
        /// What together means.
        over: Level,
        /// Whether it must be there.
        together: bool,
    },
    /// As many copies are together with it as `Spread=` allows.
    Spread {
        /// What together means.
        over: Level,
        /// The most that may be.
        most: u32,
    },
    /// It has machines on spot alone for another copy, and as many are on spot as `OnDemand=` leaves.
    OnDemand {
        /// The most that may be on spot.
        spot_max: u32,
    },
    /// Nothing that its regions sell is large enough, in the markets that `Spot=` admits.
    NoOffer {
        /// What was asked for.
        request: Resources,
        /// Where it was looked for.
        spot: SpotPolicy,
        /// Which processors would do; empty: `x86_64`.
        arches: BTreeSet<Arch>,
        /// Whose offers would do; empty: anybody's.
        providers: BTreeSet<ProviderName>,
        /// Which GPUs would do; empty: any.
        gpus: BTreeSet<GpuName>,
        /// The worst terms that would do.
        terms: Terms,
    },
    /// What is on sale there was priced too long ago.
    Stale {
        /// How old the newest price is, in seconds.
        age_s: u64,
        /// `MaxPriceAge=`.
        age_s_max: u64,
    },
    /// The cheapest thing that would do costs more than `MaxPrice=`.
    TooExpensive {
        /// What it costs.
        price_micros_per_hour: MicroDollars,
        /// `MaxPrice=`.
        max_micros_per_hour: MicroDollars,
    },
    /// With another copy, all together would cost more than `MaxTotalPrice=`.
    OverBudget {
        /// What they would cost.
        total_micros_per_hour: MicroDollars,
        /// `MaxTotalPrice=`.
        max_micros_per_hour: MicroDollars,
    },
    /// A machine would be bought, for more than the mesh's budget has left.
    MeshBudget {
        /// What the machine costs.
        price_micros_per_hour: MicroDollars,
        /// What is left, with what was planned at the same time.
        left_micros_per_hour: MicroDollars,
    },
    /// No machine has room, and the cell may not buy another.
    NoRoom {
        /// What the machine that comes nearest lacks, if one would do at all.
        lacks: Option<Resources>,
    },
    /// The datacenter's coordinator said lately that it has no room.
    RefusedByCell,
}

impl Refusal {
    /// Whether it says something that meshes before version 7 have no word for.
    #[must_use]
    pub fn is_newer(&self) -> bool {
        *self != self.clone().plain()
            || matches!(
                self,
                Self::Country(_)
                    | Self::Label { .. }
                    | Self::Stale { .. }
                    | Self::Neighbour { .. }
                    | Self::OverBudget { .. }
            )
    }

    /// The same as those meshes have it, where they do.
    #[must_use]
    pub fn plain(self) -> Self {
        match self {
            Self::TooFar { latency_us, latency_ms_max, .. } => {
                Self::TooFar { latency_us, latency_ms_max, percentile: None }
            }
            Self::Spread { .. } | Self::OnDemand { .. } => {
                Self::Spread { over: Level::Datacenter, most: 1 }
            }
            Self::NoOffer { request, spot, .. } => {
                let (arches, providers, gpus, terms) = Default::default();
                Self::NoOffer { request: request.plain(), spot, arches, providers, gpus, terms }
            }
            Self::NoRoom { .. } => Self::NoRoom { lacks: None },
            other => other,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAllowed => f.write_str("Datacenters= does not name it"),
            Self::Unavailable => f.write_str("lost, suspended or silent"),
            Self::Country(None) => f.write_str(
                "does not say in which country it is: set country= in its configuration",
            ),
            Self::Country(Some(country)) => {
                write!(f, "in {country} ({}), not where the data may be", country.continent())
            }
            Self::Label { key, wants, has: None } => write!(f, "not labelled {key}={wants}"),
            Self::Label { key, wants, has: Some(has) } => {
                write!(f, "labelled {key}={has}, not {key}={wants}")
            }
            Self::TooFar { latency_us, latency_ms_max, percentile } => {
                f.write_str(&too_far(*latency_us, *latency_ms_max, *percentile))
            }
            Self::Neighbour { workload, over, together: true } => {
                write!(f, "no copy of {workload} is in its {over}, With={workload}")
            }
            Self::Neighbour { workload, over, together: false } => {
                write!(f, "a copy of {workload} is in its {over}, and the two are to be apart")
            }
            Self::Spread { over, most: 1 } => write!(f, "has a copy already, Spread={over}"),
            Self::Spread { over, most } => {
                write!(f, "has {most} copies already, the most of Spread={over}")
            }
            Self::OnDemand { spot_max } => {
                write!(f, "has room on spot alone, and OnDemand= leaves {spot_max} for that")
            }
            Self::NoOffer { request, spot, arches, providers, gpus, terms } => {
                let which = offers(*spot, arches, providers);
                let kinds: Vec<String> = gpus.iter().map(ToString::to_string).collect();
                let of = if kinds.is_empty() { "" } else { " of " };
                write!(f, "no {which}has {request}{of}{}{terms}", kinds.join(" or "))
            }
            Self::Stale { age_s, age_s_max } => {
                write!(f, "its prices are {} old, MaxPriceAge={}", span(*age_s), span(*age_s_max))
            }
            Self::TooExpensive { price_micros_per_hour, max_micros_per_hour } => write!(
                f,
                "costs {price_micros_per_hour}/h at least, {} over MaxPrice={max_micros_per_hour}",
                *price_micros_per_hour - *max_micros_per_hour
            ),
            Self::OverBudget { total_micros_per_hour, max_micros_per_hour } => write!(
                f,
                "with another copy all cost {total_micros_per_hour}/h, {} over MaxTotalPrice={max_micros_per_hour}",
                *total_micros_per_hour - *max_micros_per_hour
            ),
            Self::MeshBudget { price_micros_per_hour, left_micros_per_hour } => write!(
                f,
                "a machine for {price_micros_per_hour}/h would be bought, the mesh's budget has {left_micros_per_hour}/h left"
            ),
            Self::NoRoom { lacks: None } => {
                f.write_str("no machine has room, and the cell may buy no more")
            }
            Self::NoRoom { lacks: Some(lacks) } => {
                write!(
                    f,
                    "no machine has room, the nearest lacks {lacks}, and the cell may buy no more"
                )
            }
            Self::RefusedByCell => f.write_str("its coordinator found no room a moment ago"),
        }
    }
}

fn too_far(latency_us: u32, latency_ms_max: u32, percentile: Option<u32>) -> String {
    let over = latency_us.saturating_sub(latency_ms_max * 1_000);
    let from = match percentile {
        None => "from the farthest users".to_owned(),
        Some(percent) => format!("from {percent} % of the users"),
    };
    let ms = |us: u32| f64::from(us) / 1e3;
    format!(
        "{:.0} ms {from}, {:.0} ms over MaxLatency={latency_ms_max}ms",
        ms(latency_us),
        ms(over).max(1.0)
    )
}

/// `on-demand arm64 offer of ec2 or packet `.
fn offers(spot: SpotPolicy, arches: &BTreeSet<Arch>, providers: &BTreeSet<ProviderName>) -> String {
    let market = match spot {
        SpotPolicy::Never => format!("{} ", Market::OnDemand),
        SpotPolicy::Required => format!("{} ", Market::Spot),
        SpotPolicy::Allowed => String::new(),
    };
    let arches = joined(arches, " or ");
    let arches = if arches.is_empty() { arches } else { format!("{arches} ") };
    let providers = joined(providers, " or ");
    let of = if providers.is_empty() { providers } else { format!("of {providers} ") };
    format!("{market}{arches}offer {of}")
}

fn joined<T: fmt::Display>(all: &BTreeSet<T>, between: &str) -> String {
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join(between)
}
