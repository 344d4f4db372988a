//! The decision: which cells take the copies of each workload, at which price, and why not the others.
//!
//! Hard constraints first ([`assess`]), then one objective: what the copies add to what is paid, and their priced latency.
//! All workloads of a problem are packed together ([`crate::pack`]), and each gets an answer with every cell in it
//! ([`answer`]).

mod answer;
mod assess;
mod budget;
mod demand;
mod stalls;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kato_core::{
    COUNT_MAX, CellName, Coordinates, Country, DatacenterName, Decision, INSTANCES_PER_MACHINE_MAX,
    MicroDollars, Neighbour, Offer, ProviderName, Quote, RegionName, Resources, Timestamp,
    WorkloadSpec,
};

use crate::catalogue::{Catalogue, Wanted};
use crate::pack::{FINE, Item};
use assess::Assessed;
use stalls::Split;

/// How many instances a machine may have with nothing on it.
#[allow(clippy::cast_possible_truncation)] // some hundreds
pub(crate) const SLOTS: u32 = INSTANCES_PER_MACHINE_MAX as u32;

/// What is to be placed, and where it may go.
#[derive(Debug, Clone, Copy)]
pub struct Problem<'a> {
    /// What is asked for, each workload once, in any order.
    pub asks: &'a [Ask<'a>],
    /// Every cell, each once, in any order.
    pub sites: &'a [Site],
    /// The most that the machines which are bought may cost together, an hour.
    pub budget: Option<MicroDollars>,
    /// The time that the decisions are stamped with.
    pub now: Timestamp,
}

/// Copies of one workload that are to be placed.
#[derive(Debug, Clone)]
pub struct Ask<'a> {
    /// What the user asked for.
    pub workload: &'a WorkloadSpec,
    /// How many copies to place now; what is over `COUNT_MAX` stays unplaced.
    pub copies: u32,
    /// How it stands with each site, in their order; sites that are left out have none of it.
    pub standings: Vec<Standing>,
    /// What the copies cost together that stay.
    pub paid: MicroDollars,
    /// The workloads that it must be together with or apart from, each with the sites that have a copy of it.
    pub neighbours: Vec<(Neighbour, BTreeSet<usize>)>,
}

/// How a workload stands with a cell.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standing {
    /// How many copies of it are there, and stay, each with what its machine is.
    pub copies: Vec<(Arc<Offer>, u32)>,
    /// Whether a copy that is to be placed is there now: it stays, unless elsewhere is better by more than moving costs.
    pub home: bool,
    /// Whether the cell said lately that it has no room for it.
    pub refused: bool,
}

/// A cell as its coordinator reports it.
#[derive(Debug, Clone)]
pub struct Site {
    /// Its datacenter.
    pub datacenter: DatacenterName,
    /// Its name there.
    pub cell: CellName,
    /// Where it is.
    pub at: Coordinates,
    /// In which country, where that is known.
    pub country: Option<Country>,
    /// What it shares with cells of its datacenter that may fail with it.
    pub zone: Option<String>,
    /// What it is labelled with.
    pub labels: BTreeMap<String, String>,
    /// The round-trip times that were measured to other datacenters, in microseconds; none where nobody did.
    pub round_trips: BTreeMap<DatacenterName, u32>,
    /// What it can buy from, in any order.
    pub regions: Vec<(ProviderName, RegionName)>,
    /// Whether it is neither lost nor suspended.
    pub available: bool,
    /// Its machines that run or are on order, in any order.
    pub machines: Vec<Room>,
    /// The most machines that it may buy now.
    pub machines_to_buy_max: u32,
}

/// A machine that runs or is on order, and what is free on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// What was bought.
    pub offer: Arc<Offer>,
    /// What is left of its capacity.
    pub free: Resources,
    /// What its use adds to what is paid: nothing if it is paid for anyway.
    pub adds: MicroDollars,
    /// How many more instances it may have, however small they are.
    pub slots: u32,
}

impl<'a> Ask<'a> {
    /// For so many copies of a workload that has none anywhere.
    pub fn new(workload: &'a WorkloadSpec, copies: u32) -> Self {
        let (standings, neighbours) = (Vec::new(), Vec::new());
        Self { workload, copies, standings, paid: MicroDollars::ZERO, neighbours }
    }
}

impl Site {
    /// A cell that is available, has no machines and buys none.
    pub fn new(datacenter: DatacenterName, cell: CellName, at: Coordinates) -> Self {
        Self {
            datacenter,
            cell,
            at,
            country: None,
            zone: None,
            labels: BTreeMap::new(),
            round_trips: BTreeMap::new(),
            regions: Vec::new(),
            available: true,
            machines: Vec::new(),
            machines_to_buy_max: 0,
        }
    }
}

impl Room {
    /// All of a machine that is paid for only while it is used.
    pub fn whole(offer: Arc<Offer>) -> Self {
        let (free, adds) = (offer.capacity, offer.price_micros_per_hour);
        Self { free, adds, offer, slots: SLOTS }
    }
}

/// The answer to a problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Solution {
    /// For each ask, in their order.
    pub answers: Vec<Answer>,
}

/// The answer to an ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Why: every cell with what became of it.
    pub decision: Decision,
    /// The copies that were placed, the cheapest first.
    pub placements: Vec<Chosen>,
    /// The copies that fit nowhere.
    pub unplaced: u32,
}

/// One copy's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// Which of the sites.
    pub site: usize,
    /// What it is on.
    pub on: Host,
    /// On what and for how much.
    pub quote: Quote,
}

/// What a copy is put on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Host {
    /// One of the site's machines, by its place in the list.
    Machine(usize),
    /// One that is bought; copies with the same number are on the same one.
    Bought(usize),
}

/// Places what the problem asks for with the offers of `catalogue`. The same problem gives the same solution, in
/// whatever order its workloads, cells, machines and offers come.
pub fn place(problem: &Problem, catalogue: &Catalogue) -> Solution {
    let mut order: Vec<usize> = (0..problem.sites.len()).collect();
    order.sort_by_key(|site| (&problem.sites[*site].datacenter, &problem.sites[*site].cell));
    let sites: Vec<&Site> = order.iter().map(|site| &problem.sites[*site]).collect();
    let split = Split::new(problem.asks, &sites, (catalogue, problem.now));
    let mut asks: Vec<usize> = (0..problem.asks.len()).collect();
    asks.sort_by_key(|ask| &problem.asks[*ask].workload.name);
    let mut questions: Vec<Question> = Vec::with_capacity(asks.len());
    let mut items: Vec<Item> = Vec::with_capacity(asks.len());
    for index in asks {
        let (ask, now) = (&problem.asks[index], problem.now);
        let wanted = Wanted::by(ask.workload, now);
        let assessed = assess::assess(ask, &wanted, &order, &sites);
        items.push(item(ask, wanted, &assessed, &split, (&order, &sites)));
        questions.push(Question { index, ask, now, assessed });
    }
    let (packing, left) = budget::pack(&questions, &mut items, &split, catalogue, problem.budget);
    let uses = packing.uses();
    let mut answers: Vec<(usize, Answer)> = Vec::with_capacity(questions.len());
    for (item, question) in questions.iter().enumerate() {
        let (packing, split, sites) = (&packing, &split, &sites);
        let seen = answer::Seen { packing, left, split, sites, question };
        let mut answer = seen.answer(item, &uses[item]);
        for chosen in &mut answer.placements {
            chosen.site = order[chosen.site];
        }
        answers.push((question.index, answer));
    }
    answers.sort_unstable_by_key(|(index, _)| *index);
    Solution { answers: answers.into_iter().map(|(_, answer)| answer).collect() }
}

/// An ask, with its place in the problem, and what is known of the cells for it.
struct Question<'a> {
    index: usize,
    ask: &'a Ask<'a>,
    now: Timestamp,
    assessed: Vec<Assessed<'a>>,
}

/// What is packed for an ask.
fn item(
    ask: &Ask,
    wanted: Wanted,
    assessed: &[Assessed],
    split: &Split,
    (order, sites): (&[usize], &[&Site]),
) -> Item {
    let workload = ask.workload;
    let at = split.owners.iter().enumerate().map(|(stall, owner)| {
        let preference = split.preference(workload, stall);
        Some(assessed[owner.site].beside()?.saturating_add(preference.0.saturating_mul(FINE)))
    });
    Item {
        request: workload.request,
        copies: ask.copies.min(COUNT_MAX),
        wanted,
        at: at.collect(),
        levels: split.levels(ask, order, sites),
        price_max: workload.price_micros_per_hour_max,
        rank: workload.rules.rank(),
    }
}
