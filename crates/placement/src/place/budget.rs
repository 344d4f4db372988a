//! `MaxTotalPrice=`: as many copies of a workload as may be paid for together.

use kato_core::{MicroDollars, Refusal, Verdict};

use super::{Answer, Ask, Problem, Solution};

/// Cuts to what was affordable a moment ago.
const CUTS_MAX: u32 = 8;

/// What is left for the copies of an ask, beside those that stay; none where there is no limit.
fn left(ask: &Ask) -> Option<MicroDollars> {
    let most = ask.workload.rules.total_micros_per_hour_max?;
    Some(MicroDollars((most - ask.paid).0.max(0)))
}

fn price(answer: &Answer) -> MicroDollars {
    answer.placements.iter().map(|chosen| chosen.quote.price_micros_per_hour).sum()
}

/// Lets asks that cost too much have fewer copies, and says whether there were any: the dearest ones are left out.
pub(super) fn cut(problem: &Problem, copies: &mut [u32], solution: &Solution, cuts: u32) -> bool {
    let mut any = false;
    for ((ask, copies), answer) in problem.asks.iter().zip(copies).zip(&solution.answers) {
        let Some(left) = left(ask).filter(|left| price(answer) > *left) else { continue };
        let mut prices: Vec<MicroDollars> =
            answer.placements.iter().map(|chosen| chosen.quote.price_micros_per_hour).collect();
        prices.sort_unstable();
        let mut sum = MicroDollars::ZERO;
        let affordable = prices.iter().take_while(|price| {
            sum = sum + **price;
            sum <= left
        });
        let affordable = u32::try_from(affordable.count()).unwrap_or(*copies);
        // Who is still too dear after several cuts is cut to half, so that there is an end.
        *copies = if cuts < CUTS_MAX { affordable } else { affordable / 2 };
        any = true;
    }
    any
}

/// Says of what would do but was not taken that it costs too much.
pub(super) fn explain(problem: &Problem, copies: &[u32], solution: &mut Solution) {
    for ((ask, copies), answer) in problem.asks.iter().zip(copies).zip(&mut solution.answers) {
        let Some(max_micros_per_hour) = ask.workload.rules.total_micros_per_hour_max else {
            continue;
        };
        if *copies >= ask.copies.min(kato_core::COUNT_MAX) {
            continue;
        }
        let paid = ask.paid + price(answer);
        for candidate in &mut answer.decision.candidates {
            let Some(quote) = &candidate.quote else { continue };
            if candidate.verdict == Verdict::Costlier {
                let total_micros_per_hour = paid + quote.price_micros_per_hour;
                candidate.verdict = Verdict::Refused(Refusal::OverBudget {
                    total_micros_per_hour,
                    max_micros_per_hour,
                });
            }
        }
    }
}
