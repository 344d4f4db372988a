//! The offers of one region and, for each question that a placement may ask (which markets, which
//! processor), a table from sizes to the cheapest offer.
//!
//! A region sells few distinct sizes (EC2: 21 numbers of processors, 60 of memory), so a table over
//! both, filled by a suffix minimum, answers with two binary searches and one load.

use std::sync::Arc;

use kato_core::{Arch, Offer, Resources, SpotPolicy};

use super::{Wanted, prefer};

/// The most cells of a table (4 MB). A region that sells more combinations is scanned instead.
const CELLS_MAX: usize = 1 << 20;
/// A cell that no offer fits.
const NONE: u32 = u32::MAX;
const POLICIES: [SpotPolicy; 3] = [SpotPolicy::Allowed, SpotPolicy::Required, SpotPolicy::Never];
const ARCHES: [Arch; 2] = [Arch::X86_64, Arch::Arm64];

/// One region's offers.
#[derive(Debug, Clone)]
pub(super) struct Shelf {
    /// In the order of `prefer`: a lower index is a better offer.
    offers: Vec<Arc<Offer>>,
    /// By policy and processor, in the order of the constants above.
    tables: Vec<Table>,
    /// The times that are paid whole, each once.
    billed_s: Vec<u64>,
}

/// Answers for one policy and processor.
#[derive(Debug, Clone)]
enum Table {
    /// `best[c * memories.len() + m]` is the best offer with `cpus[c]` or more and `memories[m]` or more.
    Grid { cpus: Vec<u64>, memories: Vec<u64>, best: Vec<u32> },
    /// Too many sizes for a grid: these offers in order, the first that fits.
    Scan(Vec<u32>),
}

impl Shelf {
    pub(super) fn new(offers: Vec<Arc<Offer>>) -> Self {
        Self::with_cells_max(offers, CELLS_MAX)
    }

    fn with_cells_max(mut offers: Vec<Arc<Offer>>, cells_max: usize) -> Self {
        // The whole offer is compared last, so that equals end in one order whatever they began in.
        offers.sort_unstable_by(|a, b| {
            (&a.kind, a.market, a.price_micros_per_hour)
                .cmp(&(&b.kind, b.market, b.price_micros_per_hour))
                .then_with(|| a.cmp(b))
        });
        offers.dedup_by(|next, kept| next.kind == kept.kind && next.market == kept.market);
        offers.sort_by(|a, b| prefer(a, b));
        let tables = POLICIES
            .iter()
            .flat_map(|policy| ARCHES.iter().map(move |arch| (*policy, *arch)))
            .map(|(policy, arch)| Table::new(&offers, policy, arch, cells_max))
            .collect();
        let billed_s =
            distinct(offers.iter().filter_map(|offer| offer.terms.billed_s).map(u64::from));
        Self { offers, tables, billed_s }
    }

    pub(super) fn offers(&self) -> impl Iterator<Item = &Arc<Offer>> {
        self.offers.iter()
    }

    pub(super) fn cheapest(&self, request: Resources, wanted: &Wanted) -> Option<&Arc<Offer>> {
        let fits = |offer: &Offer| wanted.admits_to_buy(offer) && request.fits(offer.capacity);
        if self.has_hours_to_waste(wanted.stay_s) {
            return self.cheapest_over(wanted.stay_s, fits);
        }
        // The tables know of processors and memory alone.
        let plain = request == request.plain() && wanted.gpus.is_empty();
        if wanted.priced_since.is_some() || wanted.has_terms() || !plain {
            return self.offers.iter().find(|offer| fits(offer));
        }
        let best = wanted.arches.iter().map(|arch| self.best(request, wanted.spot, *arch));
        // `NONE` lies past the end of every shelf.
        self.offers.get(best.min()? as usize)
    }

    /// Whether some of the offers are paid for longer than a stay.
    pub(super) fn has_hours_to_waste(&self, stay_s: u64) -> bool {
        !self.billed_s.iter().all(|billed_s| stay_s.is_multiple_of(*billed_s))
    }

    /// The cheapest offer for a stay that may end before what is paid for.
    fn cheapest_over(&self, stay_s: u64, fits: impl Fn(&Offer) -> bool) -> Option<&Arc<Offer>> {
        let mut best: Option<(i64, &Arc<Offer>)> = None;
        for offer in &self.offers {
            let (price, known) = (offer.price_nanos_over(0), best.map(|(price, _)| price));
            if known.is_some_and(|known| price >= known) {
                // No stay makes those that follow cheaper than their price.
                break;
            }
            let price = offer.price_nanos_over(stay_s);
            if fits(offer) && known.is_none_or(|known| price < known) {
                best = Some((price, offer));
            }
        }
        best.map(|(_, offer)| offer)
    }

    /// Which offer is the cheapest for a request, in one of the tables; `NONE` where there is none.
    fn best(&self, request: Resources, spot: SpotPolicy, arch: Arch) -> u32 {
        let policy = match spot {
            SpotPolicy::Allowed => 0,
            SpotPolicy::Required => 1,
            SpotPolicy::Never => 2,
        };
        let arch = match arch {
            Arch::X86_64 => 0,
            Arch::Arm64 => 1,
        };
        match &self.tables[policy * ARCHES.len() + arch] {
            Table::Grid { cpus, memories, best } => {
                let cpu = cpus.partition_point(|cpu| *cpu < request.cpu_millis);
                let memory = memories.partition_point(|memory| *memory < request.memory_bytes);
                let fits = cpu < cpus.len() && memory < memories.len();
                if fits { best[cpu * memories.len() + memory] } else { NONE }
            }
            Table::Scan(members) => {
                let fits = |index: &&u32| request.fits(self.offers[**index as usize].capacity);
                members.iter().find(fits).copied().unwrap_or(NONE)
            }
        }
    }
}

impl Table {
    fn new(offers: &[Arc<Offer>], policy: SpotPolicy, arch: Arch, cells_max: usize) -> Self {
        let wanted = Wanted::new(policy, arch);
        let members: Vec<(u32, Resources)> = (0..)
            .zip(offers)
            .filter(|(_, offer)| wanted.admits(offer))
            .map(|(index, offer)| (index, offer.capacity))
            .collect();
        let cpus = distinct(members.iter().map(|(_, capacity)| capacity.cpu_millis));
        let memories = distinct(members.iter().map(|(_, capacity)| capacity.memory_bytes));
        if cpus.len().saturating_mul(memories.len()) > cells_max {
            return Self::Scan(members.into_iter().map(|(index, _)| index).collect());
        }
        let width = memories.len();
        let mut best = vec![NONE; cpus.len() * width];
        for (index, capacity) in members {
            let cpu = cpus.partition_point(|cpu| *cpu < capacity.cpu_millis);
            let memory = memories.partition_point(|memory| *memory < capacity.memory_bytes);
            let cell = &mut best[cpu * width + memory];
            *cell = index.min(*cell);
        }
        for cell in (0..best.len()).rev() {
            let more_memory = if (cell + 1) % width == 0 { NONE } else { best[cell + 1] };
            let more_cpu = best.get(cell + width).copied().unwrap_or(NONE);
            best[cell] = best[cell].min(more_memory).min(more_cpu);
        }
        Self::Grid { cpus, memories, best }
    }
}

fn distinct(sizes: impl Iterator<Item = u64>) -> Vec<u64> {
    let mut sizes: Vec<u64> = sizes.collect();
    sizes.sort_unstable();
    sizes.dedup();
    sizes
}

#[cfg(test)]
mod tests {
    use super::*;
    use kato_core::{Market, MicroDollars, Terms, Timestamp};

    fn offer(kind: &str, cpu: u64, mib: u64, micros: i64, market: Market) -> Arc<Offer> {
        Arc::new(Offer {
            provider: "ec2".parse().unwrap(),
            region: "eu-west-1".parse().unwrap(),
            kind: kind.to_owned(),
            market,
            arch: Arch::X86_64,
            capacity: Resources::new(cpu, mib),
            gpu: None,
            price_micros_per_hour: MicroDollars(micros),
            priced_at: Timestamp(0),
            source: String::new(),
            terms: Terms::default(),
        })
    }

    #[test]
    fn a_grid_and_a_scan_give_the_same_answers() {
        let offers = vec![
            offer("small", 1_000, 1_024, 10, Market::OnDemand),
            offer("wide", 4_000, 1_024, 25, Market::OnDemand),
            offer("deep", 1_000, 8_192, 25, Market::OnDemand),
            offer("deep", 1_000, 8_192, 9, Market::Spot),
            offer("large", 4_000, 8_192, 40, Market::OnDemand),
        ];
        let grid = Shelf::new(offers.clone());
        let scan = Shelf::with_cells_max(offers, 0);
        for cpu in [0, 1, 1_000, 1_001, 4_000, 4_001] {
            for mib in [0, 1, 1_024, 1_025, 8_192, 8_193] {
                for spot in POLICIES {
                    for arch in ARCHES {
                        let request = Resources::new(cpu, mib);
                        assert_eq!(
                            grid.cheapest(request, &Wanted::new(spot, arch)),
                            scan.cheapest(request, &Wanted::new(spot, arch)),
                            "{request}, {spot:?}, {arch}"
                        );
                    }
                }
            }
        }
        let best = |cpu, mib, spot| {
            grid.cheapest(Resources::new(cpu, mib), &Wanted::new(spot, Arch::X86_64))
                .map(|o| o.kind.as_str())
        };
        assert_eq!(best(1, 1, SpotPolicy::Never), Some("small"));
        assert_eq!(best(1, 1, SpotPolicy::Allowed), Some("deep"));
        assert_eq!(best(2_000, 2_048, SpotPolicy::Allowed), Some("large"));
        assert_eq!(best(2_000, 2_048, SpotPolicy::Required), None);
    }

    #[test]
    fn ties_go_to_on_demand_then_to_the_kind_that_sorts_first() {
        let tied = |kinds: [(&str, Market); 2]| {
            let shelf = Shelf::new(kinds.map(|(kind, market)| offer(kind, 1, 1, 7, market)).into());
            shelf
                .cheapest(Resources::new(1, 1), &Wanted::new(SpotPolicy::Allowed, Arch::X86_64))
                .map(|offer| (offer.kind.clone(), offer.market))
        };
        let (on_demand, spot) = (Market::OnDemand, Market::Spot);
        assert_eq!(tied([("b", on_demand), ("a", spot)]), Some(("b".to_owned(), on_demand)));
        assert_eq!(tied([("b", spot), ("a", spot)]), Some(("a".to_owned(), spot)));
    }

    #[test]
    fn zones_become_the_cheapest_one() {
        let zones = [12, 11, 13].map(|micros| offer("small", 1, 1, micros, Market::OnDemand));
        let shelf = Shelf::new(zones.into());
        let prices: Vec<i64> = shelf.offers().map(|offer| offer.price_micros_per_hour.0).collect();
        assert_eq!(prices, [11]);
    }
}
