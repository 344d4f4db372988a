//! Budgets: as many copies of a workload as `MaxTotalPrice=` allows, and machines for as much as the mesh may spend.

use kato_core::{COUNT_MAX, MicroDollars, Refusal};

use super::stalls::Split;
use super::{Ask, Question};
use crate::catalogue::Catalogue;
use crate::pack::{self, Item, Packing, Use, Yards};

/// Cuts to what was affordable a moment ago.
const CUTS_MAX: u32 = 8;

/// Packs as many copies of each item as may be paid for; and what is left of the mesh's budget, where that made it another
/// packing.
pub(super) fn pack<'a>(
    questions: &[Question],
    items: &'a mut [Item],
    split: &'a Split<'a>,
    catalogue: &'a Catalogue,
    budget: Option<MicroDollars>,
) -> (Packing<'a>, Option<MicroDollars>) {
    let yards = Yards { stalls: &split.stalls, catalogue };
    // Fewer copies share fewer machines, and each may cost more: what is left may have to become fewer again.
    let mut cuts = 0;
    let has_limit =
        |question: &Question| question.ask.workload.rules.total_micros_per_hour_max.is_some();
    while questions.iter().any(has_limit) {
        // What is packed in the end, tried on a copy: the mesh's budget may make other costs of it.
        let mut tried = items.to_vec();
        let (packing, _) = within(&mut tried, yards, budget);
        let mut too_many = Vec::new();
        for (item, (question, uses)) in questions.iter().zip(packing.uses()).enumerate() {
            if let Some(affordable) = affordable(question.ask, &uses) {
                // Who is still too dear after several cuts is cut to half, so that there is an end.
                too_many.push((item, if cuts < CUTS_MAX { affordable } else { affordable / 2 }));
            }
        }
        if too_many.is_empty() {
            break;
        }
        for (item, copies) in too_many {
            items[item].copies = copies;
        }
        cuts += 1;
    }
    within(items, yards, budget)
}

/// Packs everything, and says what is left of the mesh's budget where that made it another packing.
fn within<'a>(
    items: &'a mut [Item],
    yards: Yards<'a>,
    budget: Option<MicroDollars>,
) -> (Packing<'a>, Option<MicroDollars>) {
    let Some(budget) = budget else {
        return (pack::solve(items, yards.stalls, yards.catalogue), None);
    };
    let (packing, is_short) = pack::within(items, yards, budget);
    let left = is_short.then(|| budget - packing.to_buy());
    (packing, left)
}

/// How many of the copies that were placed may be paid for, the cheapest first; none if all may.
fn affordable(ask: &Ask, uses: &[Use]) -> Option<u32> {
    let left = ask.workload.rules.total_micros_per_hour_max? - ask.paid;
    let mut prices: Vec<(MicroDollars, u32)> =
        uses.iter().map(|used| (used.price, used.copies)).collect();
    prices.sort_unstable();
    let (mut sum, mut affordable) = (MicroDollars::ZERO, 0);
    for (price, copies) in prices {
        for _ in 0..copies {
            sum = sum + price;
            if sum > left {
                return Some(affordable);
            }
            affordable += 1;
        }
    }
    None
}

/// Why another copy is not placed at a price, if that is why: fewer were packed than were asked for.
pub(super) fn refusal(
    ask: &Ask,
    packed: u32,
    placed: MicroDollars,
    another: MicroDollars,
) -> Option<Refusal> {
    let max_micros_per_hour = ask.workload.rules.total_micros_per_hour_max?;
    let total_micros_per_hour = ask.paid + placed + another;
    let cut = packed < ask.copies.min(COUNT_MAX);
    cut.then_some(Refusal::OverBudget { total_micros_per_hour, max_micros_per_hour })
}
