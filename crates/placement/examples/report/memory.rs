//! The peak of resident memory of a process that reads the catalogue, knows a large mesh and places everything in it. It is a
//! process of its own, so that the other tables leave nothing in it.

use std::process::Command;

use fastrand::Rng;
use kato_core::{CellName, DatacenterName, Timestamp};
use kato_placement::{Ask, Problem, Site, place};

use crate::figures::{count, float, goal, time, timed};
use crate::options::Options;
use crate::page::Page;
use crate::world::World;
use crate::{Failure, drawn};

/// The table that the process of its own is asked for.
pub(crate) const CHILD: &str = "memory-alone";

const DATACENTERS: usize = 100;
const MACHINES: usize = 500;
const INSTANCES: usize = 100_000;
/// Copies of each workload.
const COPIES: u32 = 100;

pub(crate) fn print(world: &World, page: &mut Page) -> Result<(), Failure> {
    page.say(&format!(
        "{DATACENTERS} datacenters, {} machines, {} instances of {} workloads, all placed in one problem; a process of its own",
        count(float(DATACENTERS * MACHINES)),
        count(float(INSTANCES)),
        count(float(INSTANCES / COPIES as usize)),
    ))?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args([&world.options.path, CHILD, "--seed", &world.seed().to_string()]);
    let output = command.output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    let text = String::from_utf8(output.stdout)?;
    let mut rows = Vec::new();
    for line in text.lines() {
        let (what, kib) = line.split_once('\t').ok_or("the process of its own says nothing")?;
        let mib = kib.parse::<f64>()? / 1_024.0;
        let met = goal("≤ 300 MB", mib * 1.048_576 <= 300.0);
        rows.push([what.to_owned(), format!("{:.0} MB", mib * 1.048_576), met]);
    }
    page.table(["", "peak of resident memory", "goal"], &rows)?;
    Ok(())
}

/// Does it, and says how much memory was resident at the most after each step.
pub(crate) fn alone(options: &Options) -> Result<(), Failure> {
    let options = Options { tables: Vec::new(), ..options.clone() };
    let world = World::read(options)?;
    let mut page = Page::new();
    page.say(&format!("the catalogue is read\t{}", peak_kib()?))?;
    let mut chance = Rng::with_seed(world.seed());
    let sites = sites(&world, &mut chance)?;
    let workloads = drawn::small(INSTANCES / COPIES as usize, COPIES)?;
    page.say(&format!("machines and workloads are known\t{}", peak_kib()?))?;
    let asks: Vec<Ask> = workloads.iter().map(|workload| Ask::new(workload, COPIES)).collect();
    let problem = Problem { asks: &asks, sites: &sites, budget: None, now: Timestamp(0) };
    let (seconds, solution) = timed(|| place(&problem, &world.catalogue));
    let unplaced: u32 = solution.answers.iter().map(|answer| answer.unplaced).sum();
    let after = format!("everything is placed, in {} ({unplaced} without a place)", time(seconds));
    page.say(&format!("{after}\t{}", peak_kib()?))?;
    Ok(())
}

/// Several datacenters in each region of the catalogue.
fn sites(world: &World, chance: &mut Rng) -> Result<Vec<Site>, Failure> {
    let regions = world.sites(1_000);
    let mut sites = Vec::with_capacity(DATACENTERS);
    for (number, region) in (0..DATACENTERS).zip(regions.iter().cycle()) {
        let datacenter: DatacenterName = format!("{}-dc{number}", region.datacenter).parse()?;
        let cell: CellName = "cell-1".parse()?;
        let machines = world.machines(region, MACHINES, chance);
        sites.push(Site { datacenter, cell, machines, ..region.clone() });
    }
    Ok(sites)
}

/// The most memory that was resident until now.
fn peak_kib() -> Result<u64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let line = line.ok_or("the kernel does not say how much memory was resident at the most")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
