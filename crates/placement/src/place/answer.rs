//! From what was packed to the answer for one workload: a quote for each copy, and for every cell what became of it.

use std::cmp::Ordering;
use std::sync::Arc;

use kato_core::{Candidate, Decision, MicroDollars, Quote, Refusal, Source, Verdict};

use super::assess::Assessed;
use super::stalls::{Split, most_in};
use super::{Answer, Chosen, Host, Question, Site, budget};
use crate::pack::{Packing, Use};

/// What an answer is made from.
pub(super) struct Seen<'a> {
    pub(super) packing: &'a Packing<'a>,
    /// What is left of the mesh's budget, where that was short.
    pub(super) left: Option<MicroDollars>,
    pub(super) split: &'a Split<'a>,
    pub(super) sites: &'a [&'a Site],
    pub(super) question: &'a Question<'a>,
}

impl Seen<'_> {
    /// The answer for an item and what its copies are on.
    pub(super) fn answer(&self, item: usize, uses: &[Use]) -> Answer {
        let mut placements = self.placements(uses);
        placements.sort_by(|a, b| {
            let rank = |chosen: &Chosen| {
                let quote = &chosen.quote;
                (quote.total_micros_per_hour(), quote.price_micros_per_hour, chosen.site)
            };
            // Whatever order machines came in: what they are decides before which they are.
            let (one, other) = (&a.quote.offer, &b.quote.offer);
            let by_offer =
                || if Arc::ptr_eq(one, other) { Ordering::Equal } else { one.cmp(other) };
            rank(a).cmp(&rank(b)).then_with(by_offer).then(a.on.cmp(&b.on))
        });
        let sites = 0..self.question.assessed.len();
        let mut candidates: Vec<Candidate> =
            sites.map(|site| self.candidate(item, site, &placements)).collect();
        self.refuse_over_budget(item, &placements, &mut candidates);
        // Stable: those that are equal stay in the order of their names.
        candidates.sort_by(compare);
        let Question { ask, now, .. } = self.question;
        let latency_price_micros_per_ms_hour = ask.workload.latency_price_micros_per_ms_hour;
        let decision = Decision { at: *now, latency_price_micros_per_ms_hour, candidates };
        let placed = u32::try_from(placements.len()).unwrap_or(u32::MAX);
        Answer { decision, placements, unplaced: ask.copies.saturating_sub(placed) }
    }

    /// Refuses what would do, where it would be too much together with what was placed.
    fn refuse_over_budget(&self, item: usize, placed: &[Chosen], candidates: &mut [Candidate]) {
        let sum = placed.iter().map(|chosen| chosen.quote.price_micros_per_hour).sum();
        let packed = self.packing.copies(item);
        for candidate in candidates.iter_mut().filter(|c| c.verdict == Verdict::Costlier) {
            let Some(quote) = &candidate.quote else { continue };
            let another = quote.price_micros_per_hour;
            let refusal = budget::refusal(self.question.ask, packed, sum, another);
            if let Some(refusal) = refusal.or_else(|| self.over_mesh_budget(quote)) {
                candidate.verdict = Verdict::Refused(refusal);
            }
        }
    }

    /// Why another machine is not bought, if the mesh's budget is why.
    fn over_mesh_budget(&self, quote: &Quote) -> Option<Refusal> {
        let (left, price) = (self.left?, quote.offer.price_micros_per_hour);
        let buys = quote.source == Source::Buy && quote.adds_micros_per_hour > MicroDollars::ZERO;
        let is_over = buys && price > left;
        is_over.then_some(Refusal::MeshBudget {
            price_micros_per_hour: price,
            left_micros_per_hour: left,
        })
    }

    /// The copies of the item, each with its place.
    fn placements(&self, uses: &[Use]) -> Vec<Chosen> {
        let mut placements = Vec::new();
        for used in uses {
            let on = used.machine.map_or(Host::Bought(used.number), Host::Machine);
            let site = self.split.owners[used.stall].site;
            let chosen = Chosen { site, on, quote: self.quote(used) };
            placements.extend(std::iter::repeat_n(chosen, used.copies as usize));
        }
        placements
    }

    fn candidate(&self, item: usize, site: usize, placements: &[Chosen]) -> Candidate {
        let assessed = &self.question.assessed[site];
        let mut here = placements.iter().filter(|chosen| chosen.site == site);
        let count = u32::try_from(here.clone().count()).unwrap_or(u32::MAX);
        // The dearest: what others are compared with.
        let (quote, verdict) = match here.next_back() {
            Some(last) => (Some(last.quote.clone()), Verdict::Chosen(count)),
            None => self.not_chosen(item, site, assessed),
        };
        Candidate {
            datacenter: assessed.site.datacenter.clone(),
            cell: assessed.one_of_several.then(|| assessed.site.cell.clone()),
            latency_us: assessed.latency.map(|latency| latency.mean_us),
            quote,
            verdict,
        }
    }

    /// What a copy would cost in a cell that has none of those that were placed, beside all that was placed, and why it has
    /// none.
    fn not_chosen(
        &self,
        item: usize,
        site: usize,
        assessed: &Assessed,
    ) -> (Option<Quote>, Verdict) {
        if let Some(refusal) = assessed.refusal.clone().filter(|_| assessed.is_closed()) {
            return (None, Verdict::Refused(refusal));
        }
        let ones = self.split.of(site).filter_map(|stall| self.packing.one_more(item, stall));
        let one = ones.min_by_key(|(dear, used)| {
            let is_full = self.packing.full_level(item, used.stall).is_some();
            let preference = self.split.preference(self.question.ask.workload, used.stall);
            (is_full, *dear, used.adds + preference)
        });
        let one = one.map(|(_, used)| used);
        let workload = self.question.ask.workload;
        let max = workload.price_micros_per_hour_max;
        let refusal = assessed.refusal.clone().or_else(|| self.together(item, site, one.as_ref()));
        let refusal = refusal.or_else(|| match (&one, max) {
            (None, _) => Some(self.why_none(item, site)),
            (Some(one), Some(max)) if one.price > max => Some(Refusal::TooExpensive {
                price_micros_per_hour: one.price,
                max_micros_per_hour: max,
            }),
            // Last, because it passes: the other reasons hold whatever room there is.
            (Some(_), _) => assessed.refused.then_some(Refusal::RefusedByCell),
        });
        let verdict = refusal.map_or(Verdict::Costlier, Verdict::Refused);
        (one.map(|one| self.quote(&one)), verdict)
    }

    /// The limit on what is together that is reached where another copy would be in a cell, or wherever it might be.
    fn together(&self, item: usize, site: usize, one: Option<&Use>) -> Option<Refusal> {
        let workload = self.question.ask.workload;
        let stalls = match one {
            Some(one) => one.stall..one.stall + 1,
            None => self.split.of(site),
        };
        let mut full = None;
        for stall in stalls {
            full = Some((stall, self.packing.full_level(item, stall)?));
        }
        let (stall, level) = full?;
        let Some(rule) = workload.rules.spreads.get(level) else {
            let spot_max = workload.rules.on_spot_max(workload.count);
            return Some(Refusal::OnDemand { spot_max });
        };
        let name = self.split.name(rule.over, stall, self.sites);
        let most = most_in(rule, &name, workload.count);
        Some(Refusal::Spread { over: rule.over, most })
    }

    /// Why no machine of a cell takes another copy at any price.
    fn why_none(&self, item: usize, site: usize) -> Refusal {
        let workload = self.question.ask.workload;
        let mut stalls = self.split.of(site);
        if let Some(newest) = stalls.find_map(|stall| self.packing.stale(item, stall))
            && let Some(age_s_max) = workload.rules.price_age_s_max
        {
            let age_s = self.question.now.0.saturating_sub(newest.0) / 1_000;
            return Refusal::Stale { age_s, age_s_max };
        }
        let sold = self.split.of(site).any(|stall| self.packing.sells(item, stall));
        let lacks = self.split.of(site).filter_map(|stall| self.packing.nearest(item, stall)).min();
        let buys = self.sites[site].machines_to_buy_max > 0;
        if sold || (lacks.is_some() && !buys) {
            return Refusal::NoRoom { lacks: lacks.map(|(_, lacks)| lacks) };
        }
        Refusal::NoOffer {
            request: workload.request,
            spot: workload.spot,
            arches: workload.rules.arches.clone(),
            providers: workload.rules.providers.clone(),
            gpus: workload.rules.gpus.clone(),
            terms: workload.rules.terms,
        }
    }

    fn quote(&self, used: &Use) -> Quote {
        let site = self.split.owners[used.stall].site;
        let assessed = &self.question.assessed[site];
        let preference =
            assessed.preference + self.split.preference(self.question.ask.workload, used.stall);
        Quote {
            offer: Arc::clone(used.offer),
            source: if used.machine.is_some() { Source::Running } else { Source::Buy },
            price_micros_per_hour: used.price,
            adds_micros_per_hour: used.adds,
            latency_micros_per_hour: assessed.latency_price,
            preference_micros_per_hour: preference,
            moving_micros_per_hour: assessed.moving,
        }
    }
}

/// Those that were chosen, then those that would do, by total, then those that were refused.
fn compare(a: &Candidate, b: &Candidate) -> Ordering {
    let rank = |candidate: &Candidate| match candidate.verdict {
        Verdict::Chosen(_) => 0,
        Verdict::Costlier => 1,
        Verdict::Refused(_) => 2,
    };
    let total = |candidate: &Candidate| {
        let feasible = !matches!(candidate.verdict, Verdict::Refused(_));
        candidate.quote.as_ref().filter(|_| feasible).map(Quote::total_micros_per_hour)
    };
    (rank(a), total(a)).cmp(&(rank(b), total(b)))
}
