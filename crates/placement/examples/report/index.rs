//! Reading a catalogue, apart from building its index, and the new prices of one region.

use std::sync::Arc;

use kato_core::{MicroDollars, Offer};
use kato_placement::Catalogue;
use kato_placement::catalogue::read_csv;

use crate::Failure;
use crate::figures::{Figures, count, float, goal, time, timed};
use crate::page::Page;
use crate::world::World;

const ROUNDS: usize = 21;

pub(crate) fn print(world: &World, page: &mut Page) -> Result<(), Failure> {
    let (text, defaults) = (&world.text, &world.defaults);
    let read = read_csv(text, defaults)?;
    let offers = world.catalogue.all_offers().count();
    page.say(&format!(
        "{} rows, {} offers, {} regions; one thread, {ROUNDS} rounds",
        count(float(text.lines().count() - 1)),
        count(float(offers)),
        world.catalogue.regions().count(),
    ))?;
    let reading = Figures::of_rounds(ROUNDS, || read_csv(text, defaults));
    let mut copies: Vec<Vec<Offer>> = vec![read; ROUNDS];
    let building = Figures::of_rounds(ROUNDS, || copies.pop().map(Catalogue::new));
    let both = Figures::of_rounds(ROUNDS, || Catalogue::parse_csv(text, defaults));
    let updates = Figures::new(updates(&world.catalogue));
    let row = |what: &str, figures: &Figures, goal: String| {
        let [min, median, max] = figures.told(time);
        [what.to_owned(), min, median, max, goal]
    };
    page.table(
        ["", "min", "median", "max", "goal"],
        &[
            row("read the text", &reading, String::new()),
            row("build the index", &building, goal("≤ 50 ms", building.median() <= 0.05)),
            row("both, as a start does", &both, String::new()),
            row("new prices of one region", &updates, goal("≤ 1 ms", updates.median() <= 1e-3)),
        ],
    )?;
    Ok(())
}

/// The seconds that a catalogue takes which is like this one but for the prices of one region, for each region.
fn updates(catalogue: &Catalogue) -> Vec<f64> {
    let dearer = |offer: &Arc<Offer>| {
        let price_micros_per_hour = offer.price_micros_per_hour + MicroDollars(1);
        Offer { price_micros_per_hour, ..Offer::clone(offer) }
    };
    let update = |(provider, region)| {
        let offers: Vec<Offer> = catalogue.offers(provider, region).map(dearer).collect();
        let (seconds, _) = timed(|| {
            let mut changed = catalogue.clone();
            changed.set_region(provider, region, offers);
            changed
        });
        seconds
    };
    (0..ROUNDS).flat_map(|_| catalogue.regions().map(update)).collect()
}
