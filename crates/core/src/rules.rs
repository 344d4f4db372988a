//! What a workload asks of the places and machines that it runs on, beyond room.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::version::{FIRST, WITH_PLACEMENT, WITH_SURVIVAL, WITH_TERMS};
use crate::{
    Arch, Continent, Country, DatacenterName, GpuName, MicroDollars, ProviderName, Terms,
    WorkloadName,
};

/// The most preferences, and the most workloads to be with or apart from, that one workload may have.
pub const RULES_MAX: usize = 16;

/// The longest key or value of a label, in bytes.
pub const LABEL_BYTES_MAX: usize = 63;
/// The most labels of a datacenter or a cell, and the most that a workload may ask for.
pub const LABELS_MAX: usize = 32;

/// Whether a text may be a label's key or value.
pub fn is_label(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_./".contains(&b);
    (1..=LABEL_BYTES_MAX).contains(&text.len()) && text.bytes().all(allowed)
}

/// All of it; nothing by default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rules {
    /// Processors that its programs are built for. Empty: `x86_64`.
    pub arches: BTreeSet<Arch>,
    /// Kinds of GPU that its machines may have. Empty: any, or none.
    pub gpus: BTreeSet<GpuName>,
    /// Who may sell its machines. Empty: anybody.
    pub providers: BTreeSet<ProviderName>,
    /// Where its data may live. Empty: anywhere.
    pub countries: BTreeSet<Country>,
    /// Where its data may live. Empty: anywhere. With `countries` either is enough.
    pub continents: BTreeSet<Continent>,
    /// What the cell or its datacenter must be labelled with, all of it.
    pub labels: BTreeMap<String, String>,
    /// The share of its demand, in percent, that the largest round-trip time is a bound for. None: all of it, to the
    /// farthest place.
    pub latency_percentile: Option<u32>,
    /// The most that all of its copies may cost together.
    pub total_micros_per_hour_max: Option<MicroDollars>,
    /// How old the price of what is bought may be, in seconds.
    pub price_age_s_max: Option<u64>,
    /// How its copies are kept apart.
    pub spreads: Vec<Spread>,
    /// Where it would rather be, and what that is worth.
    pub preferences: Vec<Preference>,
    /// Workloads that it must be together with or apart from.
    pub neighbours: Vec<Neighbour>,
    /// Whether it is moved, while it runs, to where it costs less.
    pub rebalance: Rebalance,
    /// What moving a copy costs, all in all. None: [`MOVE_COST_DEFAULT`].
    pub move_micros: Option<MicroDollars>,
    /// How long a copy is taken to stay where it goes, in seconds. None: [`STAY_S_DEFAULT`].
    pub stay_s: Option<u64>,
    /// Who comes first where not everything has room: the highest.
    pub priority: u32,
    /// What may be lost without one of its copies being left without a place. None: that is not looked at.
    pub survives: Option<FailureDomain>,
    /// How many of its copies are on machines that no provider may take back, at least. None: any number.
    pub on_demand_min: Option<Most>,
    /// The worst terms that its machines may be sold on.
    pub terms: Terms,
}

/// What moving a copy costs unless its workload says otherwise: a cent.
pub const MOVE_COST_DEFAULT: MicroDollars = MicroDollars(10_000);
/// How long a copy is taken to stay unless its workload says otherwise, in seconds: a day.
pub const STAY_S_DEFAULT: u64 = 24 * 60 * 60;
/// The highest priority.
pub const PRIORITY_MAX: u32 = 1_000;

/// Whether what runs is moved to where it costs less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Rebalance {
    /// Once that saves more than the move costs.
    #[default]
    Auto,
    /// It stays where it runs.
    Never,
}

/// What fails at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FailureDomain {
    /// All machines of a provider.
    Provider,
    /// All machines of one of a provider's regions.
    Region,
    /// All machines of a datacenter.
    Datacenter,
}

/// A workload that another one must be together with, or apart from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Neighbour {
    /// Which.
    pub workload: WorkloadName,
    /// What together means: not a provider.
    pub over: Level,
    /// Whether a copy must have one of its copies beside it, or must have none.
    pub together: bool,
}

/// A limit on how many copies are together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spread {
    /// What together means.
    pub over: Level,
    /// The most in each; none where targets say it.
    pub most: Option<Most>,
    /// The most by name, in percent of all copies: what has no target may have none.
    pub targets: BTreeMap<String, u32>,
    /// What a copy beyond it costs an hour. None: there must be none.
    pub excess_micros_per_hour: Option<MicroDollars>,
}

/// What copies share that are together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// The provider of their machines.
    Provider,
    /// A datacenter.
    Datacenter,
    /// A zone of a datacenter: cells that say the same, or nothing.
    Zone,
    /// A cell.
    Cell,
    /// Spot machines of one kind in one region, which are taken back together. Whatever is on demand is together with nothing.
    Pool,
}

/// So many copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Most {
    /// This many.
    Copies(u32),
    /// This share of all, in percent, rounded up.
    Percent(u32),
}

/// A place that is better than others, by a price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preference {
    /// What is preferred.
    pub what: Preferred,
    /// What a copy there is worth more than elsewhere.
    pub worth_micros_per_hour: MicroDollars,
}

/// What may be preferred.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Preferred {
    /// A datacenter.
    Datacenter(DatacenterName),
    /// Machines of a provider.
    Provider(ProviderName),
    /// A country.
    Country(Country),
    /// A continent.
    Continent(Continent),
    /// What is labelled so.
    Label(String, String),
}

impl Rules {
    /// The mesh version that has a word for all that they say.
    #[must_use]
    pub fn since(&self) -> u32 {
        let none = Self::default();
        let pools = self.spreads.iter().any(|spread| spread.over == Level::Pool);
        if pools || self.on_demand_min.is_some() || self.terms != none.terms {
            return WITH_TERMS;
        }
        let plain = Self {
            rebalance: none.rebalance,
            move_micros: None,
            stay_s: None,
            priority: 0,
            survives: None,
            gpus: BTreeSet::new(),
            ..self.clone()
        };
        if plain != *self {
            return WITH_SURVIVAL;
        }
        let one = Spread::one_in_each(Level::Datacenter);
        if *self == none || *self == (Self { spreads: vec![one], ..none }) {
            return FIRST;
        }
        WITH_PLACEMENT
    }

    /// How many of `count` copies may be on machines that their provider may take back.
    #[must_use]
    pub fn on_spot_max(&self, count: u32) -> u32 {
        let least = self.on_demand_min.map_or(0, |least| least.of(count));
        count.saturating_sub(least)
    }

    /// Who comes first where not everything has room: the highest. Of the same priority, what has room reserved for it.
    #[must_use]
    pub fn rank(&self) -> u32 {
        self.priority.saturating_mul(2).saturating_add(u32::from(self.survives.is_some()))
    }

    /// What elsewhere must be better by, an hour, for a copy to move there: what the move costs, over the time that it stays.
    #[must_use]
    pub fn move_micros_per_hour(&self) -> MicroDollars {
        let cost = i128::from(self.move_micros.unwrap_or(MOVE_COST_DEFAULT).0.max(0));
        let stay_s = i128::from(self.stay_s.unwrap_or(STAY_S_DEFAULT).max(1));
        let micros = (cost * 3_600 + stay_s - 1) / stay_s;
        MicroDollars(i64::try_from(micros).unwrap_or(i64::MAX))
    }
}

impl Most {
    /// How many of `count` that are; a share is rounded up.
    #[must_use]
    pub fn of(self, count: u32) -> u32 {
        match self {
            Self::Copies(copies) => copies,
            Self::Percent(percent) => {
                let copies = u64::from(count) * u64::from(percent);
                u32::try_from(copies.div_ceil(100)).unwrap_or(u32::MAX)
            }
        }
    }
}

impl Spread {
    /// `Spread=datacenter`: one in each.
    pub fn one_in_each(over: Level) -> Self {
        let most = Some(Most::Copies(1));
        Self { over, most, targets: BTreeMap::new(), excess_micros_per_hour: None }
    }

    /// The most of `count` copies that may be together under a name.
    pub fn most_in(&self, name: &str, count: u32) -> u32 {
        let target = self.targets.get(name).map(|target| Most::Percent(*target).of(count));
        let most = self.most.map(|most| most.of(count));
        match (target, most) {
            (Some(target), Some(most)) => target.min(most),
            (Some(target), None) => target,
            (None, Some(most)) => most,
            (None, None) => 0,
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Provider => "provider",
            Self::Datacenter => "datacenter",
            Self::Zone => "zone",
            Self::Cell => "cell",
            Self::Pool => "pool",
        })
    }
}

impl fmt::Display for FailureDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Provider => "provider",
            Self::Region => "region",
            Self::Datacenter => "datacenter",
        })
    }
}

impl fmt::Display for Most {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Copies(copies) => write!(f, "{copies}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

impl fmt::Display for Spread {
    /// As it is written: `datacenter max=2`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.over.fmt(f)?;
        match self.most {
            None | Some(Most::Copies(1)) => {}
            Some(most) => write!(f, " max={most}")?,
        }
        for (name, percent) in &self.targets {
            write!(f, " {name}={percent}%")?;
        }
        match self.excess_micros_per_hour {
            None => Ok(()),
            Some(excess) => write!(f, " excess={}", excess.dollars()),
        }
    }
}

impl fmt::Display for Neighbour {
    /// As it is written: `cache`, `cache zone`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.over {
            Level::Datacenter => self.workload.fmt(f),
            over => write!(f, "{} {over}", self.workload),
        }
    }
}

impl fmt::Display for Preferred {
    /// As it is written: `country=IE`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Datacenter(name) => write!(f, "datacenter={name}"),
            Self::Provider(name) => write!(f, "provider={name}"),
            Self::Country(country) => write!(f, "country={country}"),
            Self::Continent(continent) => write!(f, "continent={continent}"),
            Self::Label(key, value) => write!(f, "label={key}={value}"),
        }
    }
}

impl fmt::Display for Preference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} worth={}", self.what, self.worth_micros_per_hour.dollars())
    }
}
