//! Reading a catalogue, apart from building its index.

use kato_core::Offer;
use kato_placement::Catalogue;
use kato_placement::catalogue::read_csv;

use crate::Failure;
use crate::figures::{Figures, count, float, goal, time};
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
        ],
    )?;
    Ok(())
}
