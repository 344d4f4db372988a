//! Whether what would be done now, or was done, is what somebody has seen and agreed to. What counts is what was
//! chosen: where, what for, and how much of it.

use kato_proto::v1::{ApplyResponse, Candidate, Change};

use crate::output::candidates::{offer_name, place};
use crate::output::plain;
use crate::output::units::{count, money};

/// What one copy gets.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Thing {
    place: String,
    provider: String,
    region: String,
    /// With its market.
    offer: String,
    buy: bool,
    price_micros_per_hour: i64,
}

/// Things that were chosen, with the number of copies that get one.
type Choices = Vec<(Thing, u32)>;

/// Whether two plans for one unit come to the same.
pub(super) fn is_same(seen: &ApplyResponse, now: &ApplyResponse) -> bool {
    if seen.change() != now.change() {
        return false;
    }
    let price = |plan: &ApplyResponse| plan.workload.as_ref().map(|w| w.price_micros_per_hour);
    let whole = |plan: &ApplyResponse| (choices(plan), plan.unplaced, price(plan));
    now.change() == Change::None || whole(seen) == whole(now)
}

/// What was done otherwise than it was shown, in a line.
pub(super) fn departure(seen: &ApplyResponse, done: &ApplyResponse) -> Option<String> {
    let (wanted, made) = (choices(seen), choices(done));
    let kept = match done.change() {
        Change::Created => made == wanted && done.unplaced == seen.unplaced,
        // Instances that have a place keep it until the rollout reaches them; only others were placed now. Where
        // there were none, the answer has the decision that was made for what is there, which is older.
        Change::Updated => {
            decided_at(done) < decided_at(seen)
                || (is_part(&made, &wanted) && done.unplaced <= seen.unplaced)
        }
        Change::None | Change::Unspecified => true,
    };
    (!kept).then(|| {
        let (made, wanted) = (said(&made, done.unplaced), said(&wanted, seen.unplaced));
        format!("the mesh changed at the last moment: chosen was {made}; shown was {wanted}")
    })
}

fn decided_at(answer: &ApplyResponse) -> Option<u64> {
    answer.decision.as_ref().map(|decision| decision.at_unix_ms)
}

fn is_part(part: &Choices, whole: &Choices) -> bool {
    part.iter()
        .all(|(thing, copies)| whole.iter().any(|(other, most)| other == thing && copies <= most))
}

fn choices(plan: &ApplyResponse) -> Choices {
    let candidates = plan.decision.iter().flat_map(|decision| &decision.candidates);
    let chosen = candidates.filter(|candidate| candidate.chosen > 0);
    let mut choices: Choices = chosen.map(|c| (thing(c), c.chosen)).collect();
    choices.sort();
    choices
}

fn thing(candidate: &Candidate) -> Thing {
    let quote = candidate.quote.clone().unwrap_or_default();
    let name = offer_name(quote.offer.as_ref());
    let offer = quote.offer.unwrap_or_default();
    Thing {
        place: place(candidate),
        provider: offer.provider,
        region: offer.region,
        offer: name,
        buy: quote.buy,
        price_micros_per_hour: quote.price_micros_per_hour,
    }
}

/// `2 in dub (t3.small, $0.001140/h)`.
fn said(choices: &Choices, unplaced: u32) -> String {
    let mut parts: Vec<String> = choices
        .iter()
        .map(|(thing, copies)| {
            let buy = if thing.buy { ", to buy" } else { "" };
            let price = money(thing.price_micros_per_hour);
            let (place, offer) = (plain(&thing.place), plain(&thing.offer));
            format!("{copies} in {place} ({offer}{buy}, {price}/h)")
        })
        .collect();
    if unplaced > 0 || parts.is_empty() {
        parts.push(format!("{} without a place", count(unplaced, "instance")));
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use kato_proto::v1::Decision;

    use super::*;
    use crate::output::samples;

    /// A plan that puts so many copies into `dub` and `lhr`.
    fn plan(change: Change, dub: u32, lhr: u32) -> ApplyResponse {
        let mut plan = samples::plan(change);
        for candidate in &mut plan.decision.as_mut().unwrap().candidates {
            candidate.chosen = match candidate.datacenter.as_str() {
                "dub" => dub,
                "lhr" => lhr,
                _ => 0,
            };
        }
        plan
    }

    fn decision(plan: &mut ApplyResponse) -> &mut Decision {
        plan.decision.as_mut().unwrap()
    }

    #[test]
    fn plans_are_the_same_if_they_choose_the_same() {
        let seen = plan(Change::Created, 2, 0);
        let mut later = seen.clone();
        decision(&mut later).at_unix_ms += 7_000;
        decision(&mut later).candidates[3].refusal = "not heard".to_owned();
        assert!(is_same(&seen, &later), "what was not chosen does not count");
        let mut dearer = seen.clone();
        let quote = decision(&mut dearer).candidates[0].quote.as_mut().unwrap();
        quote.price_micros_per_hour += 1;
        for other in [
            plan(Change::Created, 1, 1),
            plan(Change::Created, 3, 0),
            plan(Change::Updated, 2, 0),
            ApplyResponse { unplaced: 1, ..seen.clone() },
            dearer,
        ] {
            assert!(!is_same(&seen, &other), "{other:?}");
        }
    }

    #[test]
    fn what_was_done_otherwise_than_shown_is_said() {
        let created = plan(Change::Created, 2, 0);
        assert_eq!(departure(&created, &created), None);
        let elsewhere = departure(&created, &plan(Change::Created, 0, 1));
        assert_eq!(
            elsewhere.unwrap(),
            "the mesh changed at the last moment: chosen was 1 in lhr (t3a.small (spot), to buy, \
             $0.0091/h); shown was 2 in dub (t3.small, $0.001140/h)"
        );
        let nowhere = ApplyResponse { unplaced: 2, ..plan(Change::Created, 0, 0) };
        assert!(departure(&created, &nowhere).unwrap().contains("was 2 instances without a place"));

        // One more copy of what is there already: the commit places that one only.
        let more = plan(Change::Updated, 3, 0);
        assert_eq!(departure(&more, &plan(Change::Updated, 1, 0)), None);
        assert!(departure(&more, &plan(Change::Updated, 0, 1)).is_some());
        // Nothing to place now: the answer tells how the present places were chosen.
        let mut before = plan(Change::Updated, 0, 2);
        decision(&mut before).at_unix_ms -= 1;
        assert_eq!(departure(&more, &before), None);
    }
}
