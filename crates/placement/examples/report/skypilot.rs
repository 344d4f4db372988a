//! `SkyPilot`'s optimizer beside the engine: the same requests on the same catalogue, one after the other in turn. `SkyPilot` looks at
//! some families of instance types only, so the engine is given those alone here. It is installed into a directory of its own
//! beside what cargo builds, at one version.

mod peer;

use std::collections::BTreeMap;

use fastrand::Rng;
use kato_core::{DatacenterName, MicroDollars, Resources, SpotPolicy, Timestamp, WorkloadSpec};
use kato_placement::{Ask, Catalogue, Chosen, Host, Problem, place};

use crate::figures::{Figures, count, goal, time, timed};
use crate::page::Page;
use crate::world::World;
use crate::{Failure, drawn};

const REQUESTS: usize = 60;
const ROUNDS: usize = 3;
/// What `SkyPilot` 0.14.1 chooses from where a request names processors and memory (`sky/catalog/aws_catalog.py`).
const FAMILIES: [&str; 9] = ["m6i", "m6id", "m7i", "r6i", "r6id", "r7i", "c6i", "c6id", "c7i"];
const CPUS: [u64; 7] = [1, 2, 4, 8, 16, 32, 64];
/// Gibibytes for each processor.
const RATIOS: [u64; 3] = [2, 4, 8];

/// What both are asked for: machines, each with so much at the least.
#[derive(Debug, Clone)]
struct Request {
    cpus: u64,
    gib: u64,
    spot: bool,
    region: Option<String>,
    nodes: u32,
}

/// What one of them answered: the price of all machines where each has one copy, and where copies may share, and the seconds of
/// each round.
#[derive(Debug, Clone, Default)]
struct Answer {
    what: String,
    price: Option<MicroDollars>,
    shared: Option<MicroDollars>,
    seconds: Vec<f64>,
}

pub(crate) fn print(world: &World, page: &mut Page) -> Result<(), Failure> {
    let requests = requests(world);
    page.say(&format!(
        "{REQUESTS} requests for machines of {}; {ROUNDS} rounds of each in turn, seed {}",
        FAMILIES.join(", "),
        world.seed()
    ))?;
    let peer = peer::Peer::install(world, page)?;
    let family = |kind: &str| kind.split('.').next().is_some_and(|of| FAMILIES.contains(&of));
    let offers = world.catalogue.all_offers().filter(|offer| family(&offer.kind));
    let catalogue = Catalogue::new(offers.cloned());
    let (mut theirs, mut ours) =
        (vec![Answer::default(); requests.len()], vec![Answer::default(); requests.len()]);
    for _ in 0..ROUNDS {
        for (known, new) in theirs.iter_mut().zip(peer.answer(&requests)?) {
            known.take(new)?;
        }
        for (known, request) in ours.iter_mut().zip(&requests) {
            known.take(decide(world, &catalogue, request)?)?;
        }
    }
    tell(page, &requests, &theirs, &ours)
}

impl Answer {
    /// Another round's answer: the same, in another time.
    fn take(&mut self, new: Self) -> Result<(), Failure> {
        if !self.seconds.is_empty() && self.price != new.price {
            return Err(format!("{} in one round, {} in another", self.what, new.what).into());
        }
        self.seconds.extend(&new.seconds);
        *self = Self { seconds: std::mem::take(&mut self.seconds), ..new };
        Ok(())
    }
}

/// Half of them in one region, half of them on spot.
fn requests(world: &World) -> Vec<Request> {
    let mut chance = Rng::with_seed(world.seed());
    let sites = world.sites(0);
    let mut request = || {
        let cpus = CPUS[chance.usize(..CPUS.len())];
        let region = &sites[chance.usize(..sites.len())].datacenter;
        Request {
            cpus,
            gib: cpus * RATIOS[chance.usize(..RATIOS.len())],
            spot: chance.bool(),
            region: chance.bool().then(|| region.to_string()),
            nodes: chance.u32(1..=4),
        }
    };
    (0..REQUESTS).map(|_| request()).collect()
}

/// What the engine decides: a copy for each machine. Its copies share machines where that is cheaper, which `SkyPilot`'s never do, so it is
/// asked for one alone besides.
fn decide(world: &World, catalogue: &Catalogue, request: &Request) -> Result<Answer, Failure> {
    let sites = world.sites(4);
    let region = request.region.as_deref().map(str::parse::<DatacenterName>).transpose()?;
    let workload = WorkloadSpec {
        request: Resources::new(request.cpus * 1_000, request.gib * 1_024),
        spot: if request.spot { SpotPolicy::Required } else { SpotPolicy::Never },
        datacenters: region.into_iter().collect(),
        ..drawn::plain(request.nodes)?
    };
    let ask = |copies: u32| {
        let asks = [Ask::new(&workload, copies)];
        let problem = Problem { asks: &asks, sites: &sites, budget: None, now: Timestamp(0) };
        let (seconds, solution) = timed(|| place(&problem, catalogue));
        (seconds, solution.answers.into_iter().next().expect("what is asked is answered"))
    };
    let (seconds, together) = ask(request.nodes);
    let (_, alone) = ask(1);
    let first = alone.placements.first();
    let name =
        |chosen: &Chosen| format!("{} {}", chosen.quote.offer.kind, sites[chosen.site].datacenter);
    let nodes = i64::from(request.nodes);
    let price = |chosen: &Chosen| MicroDollars(chosen.quote.offer.price_micros_per_hour.0 * nodes);
    Ok(Answer {
        what: first.map(name).unwrap_or_default(),
        price: first.map(price),
        shared: (together.unplaced == 0).then(|| bought(&together)),
        seconds: vec![seconds],
    })
}

/// The price of all machines that an answer buys.
fn bought(answer: &kato_placement::Answer) -> MicroDollars {
    let mut machines = BTreeMap::new();
    for chosen in &answer.placements {
        if let Host::Bought(number) = chosen.on {
            machines.insert(number, chosen.quote.offer.price_micros_per_hour);
        }
    }
    machines.into_values().sum()
}

fn tell(
    page: &mut Page,
    requests: &[Request],
    theirs: &[Answer],
    ours: &[Answer],
) -> Result<(), Failure> {
    let mut rows = Vec::new();
    let mut counts = [0usize; 5];
    for ((request, theirs), our) in requests.iter().zip(theirs).zip(ours) {
        let verdict = compare(request, theirs, our);
        counts[verdict] += 1;
        let price =
            |price: Option<MicroDollars>| price.map_or("none".to_owned(), |p| p.to_string());
        let spot = if request.spot { " spot" } else { "" };
        let at = request.region.as_deref().unwrap_or("anywhere");
        rows.push([
            format!("{} × {}c {}g{spot} {at}", request.nodes, request.cpus, request.gib),
            theirs.what.clone(),
            price(theirs.price),
            time(Figures::new(theirs.seconds.clone()).median()),
            our.what.clone(),
            price(our.price),
            price(our.shared),
            time(Figures::new(our.seconds.clone()).median()),
            ["cheaper", "equal", "DEARER", "alone", "as far"][verdict].to_owned(),
        ]);
    }
    page.table(
        ["request", "SkyPilot", "price/h", "time", "Káto", "price/h", "shared", "time", "Káto is"],
        &rows,
    )?;
    let all = |answers: &[Answer]| Figures::new(answers.iter().flat_map(|a| a.seconds.clone()));
    let (peer, own) = (all(theirs), all(ours));
    let row = |what: &str, figures: &Figures| {
        let [min, median, max] = figures.told(time);
        [what.to_owned(), min, median, max]
    };
    page.table(
        ["one request", "min", "median", "max"],
        &[row("SkyPilot", &peer), row("Káto", &own)],
    )?;
    let [cheaper, equal, dearer, alone, neither] = counts;
    page.say(&format!(
        "\n  Káto is cheaper in {cheaper}, equal in {equal}, dearer in {dearer}, alone with an answer in {alone}; {neither} without one\n  \
         ratio of the median times: {}\n  goal: {}",
        count(peer.median() / own.median()),
        goal("never dearer", dearer == 0)
    ))?;
    page.say(
        "  compared with each copy on a machine of its own; shared: what is decided where several may be on one",
    )?;
    Ok(())
}

/// 0 where the engine is cheaper, 1 equal, 2 dearer or without an answer, 3 where it alone has one, 4 where neither has. A micro-dollar a machine is how far prices
/// are rounded.
fn compare(request: &Request, theirs: &Answer, ours: &Answer) -> usize {
    match (theirs.price, ours.price) {
        (Some(theirs), Some(ours)) => {
            let more = ours.0 - theirs.0;
            let rounding = i64::from(request.nodes) + 1;
            if more < -rounding { 0 } else { usize::from(more > rounding) + 1 }
        }
        (Some(_), None) => 2,
        (None, Some(_)) => 3,
        (None, None) => 4,
    }
}
