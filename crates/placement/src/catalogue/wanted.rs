//! Which machines a workload may run on, whatever room they have.

use std::collections::BTreeSet;
use std::sync::Arc;

use kato_core::{
    Arch, GpuName, Market, Offer, ProviderName, STAY_S_DEFAULT, SpotPolicy, Terms, Timestamp,
    WorkloadSpec,
};

/// What a machine must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The markets that it may be from.
    pub spot: SpotPolicy,
    /// Its processor is one of these, which are in order.
    pub arches: Arc<[Arch]>,
    /// Its provider is one of these; empty: any.
    pub providers: Arc<BTreeSet<ProviderName>>,
    /// Its GPUs are of one of these kinds; empty: any, or none.
    pub gpus: Arc<BTreeSet<GpuName>>,
    /// Since when its price must have been read, if it is to be bought.
    pub priced_since: Option<Timestamp>,
    /// The worst terms that would do.
    pub terms: Terms,
    /// How long it is needed, in seconds, for who is paid for more than that; 0: for ever.
    pub stay_s: u64,
}

impl Wanted {
    /// A machine of this processor, from these markets.
    pub fn new(spot: SpotPolicy, arch: Arch) -> Self {
        Self {
            spot,
            arches: Arc::new([arch]),
            providers: Arc::default(),
            gpus: Arc::default(),
            priced_since: None,
            terms: Terms::default(),
            stay_s: 0,
        }
    }

    /// What a workload may run on, at this time.
    pub fn by(workload: &WorkloadSpec, now: Timestamp) -> Self {
        let rules = &workload.rules;
        let arches = if rules.arches.is_empty() {
            Arc::from([Arch::default()])
        } else {
            rules.arches.iter().copied().collect()
        };
        let since = |age_s: u64| Timestamp(now.0.saturating_sub(age_s.saturating_mul(1_000)));
        Self {
            spot: workload.spot,
            arches,
            providers: Arc::new(rules.providers.clone()),
            gpus: Arc::new(rules.gpus.clone()),
            priced_since: rules.price_age_s_max.map(since),
            terms: rules.terms,
            stay_s: rules.stay_s.unwrap_or(STAY_S_DEFAULT),
        }
    }

    /// Whether a machine that runs is one of these: for what its provider bills whole it is paid in any case.
    pub fn admits(&self, offer: &Offer) -> bool {
        self.admits_market(offer.market)
            && self.arches.contains(&offer.arch)
            && self.admits_provider(&offer.provider)
            && self.is_kept(offer)
            && (self.gpus.is_empty()
                || offer.gpu.as_ref().is_some_and(|gpu| self.gpus.contains(gpu)))
    }

    /// Whether a machine that is on sale is one of these.
    pub fn admits_to_buy(&self, offer: &Offer) -> bool {
        self.priced_since.is_none_or(|since| offer.priced_at >= since)
            && is_within(offer.terms.billed_s, self.terms.billed_s)
            && self.admits(offer)
    }

    /// Whether anything is asked of the terms.
    pub(crate) fn has_terms(&self) -> bool {
        self.terms != Terms::default()
    }

    /// Whether it is not taken back too often.
    fn is_kept(&self, offer: &Offer) -> bool {
        let (of, worst) = (offer.terms.interruption_percent, self.terms.interruption_percent);
        offer.market == Market::OnDemand || is_within(of, worst)
    }

    /// Whether it may be of this provider.
    pub fn admits_provider(&self, provider: &ProviderName) -> bool {
        self.providers.is_empty() || self.providers.contains(provider)
    }

    /// Whether it may be from this market.
    pub fn admits_market(&self, market: Market) -> bool {
        match self.spot {
            SpotPolicy::Allowed => true,
            SpotPolicy::Required => market == Market::Spot,
            SpotPolicy::Never => market == Market::OnDemand,
        }
    }

    /// What is wanted here, of this market alone.
    pub(crate) fn on(&self, market: Market) -> Self {
        let spot = match market {
            Market::OnDemand => SpotPolicy::Never,
            Market::Spot => SpotPolicy::Required,
        };
        Self { spot, ..self.clone() }
    }

    /// What is wanted here and there, of this market; none where nothing is both.
    pub(crate) fn and(&self, other: &Self, market: Market) -> Option<Self> {
        if !self.admits_market(market) || !other.admits_market(market) {
            return None;
        }
        let mut both = self.on(market);
        if self.arches != other.arches {
            both.arches =
                self.arches.iter().filter(|arch| other.arches.contains(arch)).copied().collect();
        }
        if self.providers != other.providers {
            both.providers = both_of(&self.providers, &other.providers)?;
        }
        if self.gpus != other.gpus {
            both.gpus = both_of(&self.gpus, &other.gpus)?;
        }
        both.priced_since = self.priced_since.max(other.priced_since);
        both.terms = self.terms.and(other.terms);
        both.stay_s = longer(self.stay_s, other.stay_s);
        (!both.arches.is_empty()).then_some(both)
    }
}

/// Whether something is no worse than the worst that would do. What is not known is worse than anything.
fn is_within(of: Option<u32>, worst: Option<u32>) -> bool {
    worst.is_none_or(|worst| of.is_some_and(|of| of <= worst))
}

/// The longer of two stays, of which nothing is for ever.
pub(crate) fn longer(a: u64, b: u64) -> u64 {
    if a == 0 || b == 0 { 0 } else { a.max(b) }
}

/// What is in both sets, of which an empty one has everything; none where that is nothing.
fn both_of<T: Clone + Ord>(a: &BTreeSet<T>, b: &BTreeSet<T>) -> Option<Arc<BTreeSet<T>>> {
    let both = match (a.is_empty(), b.is_empty()) {
        (true, _) => b.clone(),
        (_, true) => a.clone(),
        _ => a & b,
    };
    (!both.is_empty()).then(|| Arc::new(both))
}
