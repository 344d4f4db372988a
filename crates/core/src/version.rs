//! The mesh version: which commands the log may hold, and what they mean. It is part of the state, so that the same log
//! gives the same state under every binary. A new command, or a new meaning of an old one, comes with a version of its
//! own, and holds from where the log raises the mesh to it: once every member has said that it knows it.

use crate::{Batch, Command, Decision, Level, Offer, Refusal, Resources, Target, Terms, Verdict};

/// The version that every log begins with. Version 1 was never released.
pub const FIRST: u32 = 2;
/// The newest one that this build knows: 3 is what [`Command::RaiseVersion`] came with.
pub const NEWEST: u32 = WITH_TERMS;
/// The version that [`Command::SetTiming`] came with.
pub const WITH_TIMING: u32 = 4;
/// The version that [`Command::Delegate`] came with.
pub const WITH_DELEGATION: u32 = 5;
/// The version that [`Command::EndQuarantine`] came with, and [`crate::State::restore`].
pub const WITH_RESTORE: u32 = 6;
/// The version that machines came with which are on order for several instances, decisions about cells that say what
/// a copy adds to what is paid, rules of workloads, and what cells and datacenters are labelled with.
pub const WITH_PLACEMENT: u32 = 7;
/// The version that workloads came with which say what moving them costs, who comes first, and what they survive; and disks
/// and GPUs.
pub const WITH_SURVIVAL: u32 = 8;
/// The version that [`Command::SetBudget`] came with.
pub const WITH_BUDGET: u32 = 9;
/// The version that offers came with which say on which terms they are sold, and workloads that ask for such terms.
pub const WITH_TERMS: u32 = 10;

impl Command {
    /// The version that knows this command: whoever knows only older ones must not apply it.
    #[must_use]
    pub fn since(&self) -> u32 {
        match self {
            Self::Found(_)
            | Self::Suspend { .. }
            | Self::Resume { .. }
            | Self::DeclareLost(_)
            | Self::DeleteWorkload { .. }
            | Self::Bind { .. }
            | Self::Refuse { .. }
            | Self::Settled { .. }
            | Self::AttemptOrder { .. }
            | Self::FailOrder { .. } => FIRST,
            Self::RegisterDatacenter(spec) => {
                if spec.is_newer() {
                    WITH_PLACEMENT
                } else {
                    FIRST
                }
            }
            Self::JoinMachine(spec) => of_offer(&spec.offer).max(of_resources(spec.resources)),
            Self::OrderMachine { offer, .. } => of_offer(offer),
            Self::PutWorkload(put) => {
                let spec = put.spec.rules.since().max(of_resources(put.spec.request));
                spec.max(since(&put.decision, &put.targets))
            }
            Self::Place(place) => since(&place.decision, &place.targets),
            Self::Unplaceable { decision, .. } => since(decision, &[]),
            Self::SetTiming { .. } => WITH_TIMING,
            Self::SetBudget { .. } => WITH_BUDGET,
            Self::Delegate { .. } => WITH_DELEGATION,
            Self::EndQuarantine { .. } => WITH_RESTORE,
            Self::RaiseVersion { to } => FIRST.max(*to),
        }
    }

    /// The version that the mesh must have before this command: none for the one that raises it.
    #[must_use]
    pub fn needs(&self) -> u32 {
        match self {
            Self::RaiseVersion { .. } => 0,
            other => other.since(),
        }
    }
}

/// The version that knows all of an offer.
fn of_offer(offer: &Offer) -> u32 {
    match offer {
        _ if offer.terms != Terms::default() => WITH_TERMS,
        _ if offer.is_plain() => FIRST,
        _ => WITH_SURVIVAL,
    }
}

/// The version that knows all of what is asked for, or there.
fn of_resources(resources: Resources) -> u32 {
    if resources == resources.plain() { FIRST } else { WITH_SURVIVAL }
}

/// The version that knows all of a refusal.
fn of_refusal(refusal: &Refusal) -> u32 {
    let resources = match refusal {
        Refusal::OnDemand { .. } | Refusal::Spread { over: Level::Pool, .. } => WITH_TERMS,
        Refusal::NoOffer { terms, .. } if *terms != Terms::default() => WITH_TERMS,
        Refusal::NoOffer { gpus, .. } if !gpus.is_empty() => WITH_SURVIVAL,
        Refusal::NoOffer { request, .. } => of_resources(*request),
        Refusal::MeshBudget { .. } => WITH_BUDGET,
        Refusal::NoRoom { lacks: Some(lacks) } => of_resources(*lacks),
        _ => FIRST,
    };
    resources.max(if refusal.is_newer() { WITH_PLACEMENT } else { FIRST })
}

/// The version that knows all of a decision.
fn since(decision: &Decision, targets: &[Target]) -> u32 {
    let cells = decision.candidates.iter().any(|candidate| candidate.cell.is_some());
    let quotes = decision.candidates.iter().filter_map(|candidate| candidate.quote.as_ref());
    let quotes = quotes.chain(targets.iter().map(|target| &target.quote));
    let marginal = quotes.clone().any(|quote| *quote != quote.clone().plain());
    let shared = targets.iter().any(|target| target.with.is_some());
    let others = if cells || marginal || shared { WITH_PLACEMENT } else { FIRST };
    let offers = quotes.map(|quote| of_offer(&quote.offer));
    let refusals = decision.candidates.iter().filter_map(|candidate| match &candidate.verdict {
        Verdict::Refused(refusal) => Some(of_refusal(refusal)),
        _ => None,
    });
    offers.chain(refusals).fold(others, u32::max)
}

impl Batch {
    /// The version that knows all of it.
    #[must_use]
    pub fn since(&self) -> u32 {
        self.commands.iter().map(Command::since).max().unwrap_or(FIRST)
    }
}
