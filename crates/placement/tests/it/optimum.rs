//! The least that a problem of the packing can cost, by dynamic programming over every content that machines may have. It
//! knows nothing of how the engine searches; it is exact, and only for small problems.

use std::sync::Arc;

use kato_core::{Offer, Resources};
use kato_placement::Site;
use kato_placement::catalogue::Catalogue;
use kato_placement::pack::{FINE, Item};

const NEVER: i64 = i64::MAX / 4;

/// Contents, numbered: so many copies of the first item, of the second, and so on.
struct Contents {
    all: Vec<Vec<u32>>,
    /// What one more copy of an item adds to the number.
    stride: Vec<usize>,
}

impl Contents {
    fn new(items: &[Item]) -> Self {
        let (mut stride, mut count) = (Vec::new(), 1);
        for item in items {
            stride.push(count);
            count *= item.copies as usize + 1;
        }
        let digits = |number: usize| {
            let digit = |(item, stride): (&Item, &usize)| {
                u32::try_from(number / stride % (item.copies as usize + 1))
                    .expect("it is no more than the copies")
            };
            items.iter().zip(&stride).map(digit).collect()
        };
        Self { all: (0..count).map(digits).collect(), stride }
    }

    /// The numbers of every content that is part of this one.
    fn parts(&self, whole: usize) -> Vec<usize> {
        let mut parts = vec![0];
        for (item, stride) in self.stride.iter().enumerate() {
            let most = self.all[whole][item] as usize;
            let before = parts.len();
            for copies in 1..=most {
                for part in 0..before {
                    parts.push(parts[part] + copies * stride);
                }
            }
        }
        parts
    }
}

/// The least cost of placing every copy, where as many machines as one likes may be bought and sites take any number of
/// copies; none where there is no way.
pub(crate) fn least(items: &[Item], sites: &[Site], catalogue: &Catalogue) -> Option<i64> {
    let contents = Contents::new(items);
    let mut bought = vec![NEVER; contents.all.len()];
    for (number, content) in contents.all.iter().enumerate().skip(1) {
        let at = |(index, site): (usize, &Site)| {
            Some(cheapest(items, content, site, catalogue)? + beside(items, content, index)?)
        };
        bought[number] = sites.iter().enumerate().filter_map(at).min().unwrap_or(NEVER);
    }
    let mut least = vec![NEVER; contents.all.len()];
    least[0] = 0;
    for whole in 1..least.len() {
        for part in contents.parts(whole) {
            if part > 0 {
                least[whole] = least[whole].min(bought[part] + least[whole - part]);
            }
        }
    }
    for (index, site) in sites.iter().enumerate() {
        for machine in &site.machines {
            let price = machine.adds.0 * FINE;
            let on_it = |content: &Vec<u32>| -> Option<i64> {
                let fits = request(items, content).fits(machine.free)
                    && runs_on(items, content, &machine.offer);
                fits.then_some(price + beside(items, content, index)?)
            };
            let costs: Vec<i64> =
                contents.all.iter().map(|content| on_it(content).unwrap_or(NEVER)).collect();
            let before = least.clone();
            for whole in 1..least.len() {
                for part in contents.parts(whole) {
                    if part > 0 {
                        least[whole] = least[whole].min(costs[part] + before[whole - part]);
                    }
                }
            }
        }
    }
    least.last().copied().filter(|cost| *cost < NEVER)
}

fn request(items: &[Item], content: &[u32]) -> Resources {
    items.iter().zip(content).map(|(item, copies)| item.request.times(*copies)).sum()
}

/// What copies cost at a site beside their machines.
fn beside(items: &[Item], content: &[u32], site: usize) -> Option<i64> {
    let used = items.iter().zip(content).filter(|(_, copies)| **copies > 0);
    used.map(|(item, copies)| Some(item.at[site]? * i64::from(*copies))).sum()
}

fn runs_on(items: &[Item], content: &[u32], offer: &Arc<Offer>) -> bool {
    let mut used = items.iter().zip(content).filter(|(_, copies)| **copies > 0);
    used.all(|(item, _)| item.wanted.admits(offer))
}

/// The cheapest machine on sale that takes all of it.
fn cheapest(items: &[Item], content: &[u32], site: &Site, catalogue: &Catalogue) -> Option<i64> {
    let request = request(items, content);
    let offers = site.regions.iter().flat_map(|(p, r)| catalogue.offers(p, r));
    let fit = offers.filter(|offer| request.fits(offer.capacity) && runs_on(items, content, offer));
    fit.map(|offer| offer.price_micros_per_hour.0 * FINE).min()
}
