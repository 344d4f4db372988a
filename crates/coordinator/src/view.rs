//! The state and the reports as clients see them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kato_core::{
    Candidate, Coordinates, Datacenter, DatacenterName, Decision, Event, Health, Instance,
    InstanceId, Instead, Machine, Market, Offer, Quote, Resources, Source, State, Timestamp,
    Verdict, Workload, WorkloadSpec,
};
use kato_core::{Failover, Level, MicroDollars, Rebalance, Rules, SpotPolicy, Spread};
use kato_proto::store::past::Fate;
use kato_proto::v1 as pb;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::brake::Brake;
use crate::reports::Report;
use crate::what_if::Outcome;

mod instance;

/// The state with what the datacenters say about it.
pub(crate) struct Whole<'a> {
    pub(crate) state: &'a State,
    pub(crate) reports: &'a BTreeMap<DatacenterName, Arc<Report>>,
    /// On the boot clock.
    pub(crate) now: Duration,
    /// The same moment, as a time of day.
    pub(crate) wall: Timestamp,
    /// A report that is older says nothing any more.
    pub(crate) silence: Duration,
}

impl Whole<'_> {
    /// How long a datacenter's coordinator has been silent, if it was ever heard.
    pub(crate) fn silent(&self, name: &DatacenterName) -> Option<Duration> {
        self.reports.get(name).map(|report| self.now.saturating_sub(report.heard))
    }

    /// The brake that a leader has lately said to hold.
    pub(crate) fn brake(&self, leader: &DatacenterName) -> Option<&Brake> {
        let report = self.reports.get(leader)?;
        let lately = self.now.saturating_sub(report.heard) <= self.silence;
        report.brake.as_ref().filter(|_| lately)
    }

    pub(crate) fn workload(&self, workload: &Workload) -> pb::Workload {
        let mut message = pb::Workload {
            spec: Some(spec(&workload.spec)),
            generation: workload.generation,
            revision: workload.revision.0,
            applied_at_unix_ms: workload.applied_at.0,
            ..pb::Workload::default()
        };
        for instance in self.state.instances_of(&workload.spec.name) {
            message.unplaceable += u32::from(instance.unplaceable.is_some());
            let Some(placement) = &instance.placement else { continue };
            let runs = self.runs(instance);
            message.placed += 1;
            message.running += u32::from(runs);
            message.current += u32::from(runs && placement.generation == workload.generation);
            message.price_micros_per_hour += placement.quote.price_micros_per_hour.0;
        }
        message
    }

    pub(crate) fn datacenter(&self, datacenter: &Datacenter) -> pb::Datacenter {
        let spec = &datacenter.spec;
        let (health, since) = match datacenter.health {
            Health::Up => (pb::Health::Up, 0),
            Health::Suspected { since } => (pb::Health::Suspected, since.0),
            Health::Lost { since } => (pb::Health::Lost, since.0),
        };
        let here = |instance: &&Instance| {
            let placement = instance.placement.as_ref();
            placement.is_some_and(|placement| placement.cell.datacenter == spec.name)
        };
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let region = |(provider, region): &(_, _)| pb::Region {
            provider: ToString::to_string(provider),
            region: ToString::to_string(region),
        };
        pb::Datacenter {
            name: spec.name.to_string(),
            location: Some(coordinates(spec.location)),
            address: spec.address.clone(),
            regions: spec.regions.iter().map(region).collect(),
            health: health.into(),
            health_since_unix_ms: since,
            machines: count(self.state.machines_of(&spec.name).count()),
            instances: count(self.state.instances.values().filter(here).count()),
            silent_ms: self.silent(&spec.name).map(millis),
            served_by: datacenter.served_by().to_string(),
            country: spec.country.map(|country| country.to_string()).unwrap_or_default(),
            labels: spec.labels.clone(),
        }
    }

    pub(crate) fn machine(&self, machine: &Machine) -> pb::Machine {
        let id = &machine.spec.id;
        let report = self.reports.get(self.state.served_by(&id.cell.datacenter));
        let fresh = report.filter(|report| self.now.saturating_sub(report.heard) <= self.silence);
        let known = fresh.and_then(|report| report.machines.get(id));
        let here = |instance: &&Instance| {
            instance.placement.as_ref().is_some_and(|p| p.machine.as_ref() == Some(id))
        };
        pb::Machine {
            id: id.to_string(),
            resources: Some(resources(machine.spec.resources)),
            allocated: Some(resources(machine.allocated)),
            offer: Some(offer(&machine.spec.offer)),
            address: machine.spec.address.clone(),
            incarnation: machine.spec.incarnation,
            suspended: machine.suspended.is_some(),
            connected: known.is_some_and(|known| known.connected),
            instances: u32::try_from(self.state.instances.values().filter(here).count())
                .unwrap_or(u32::MAX),
        }
    }
}

pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

pub(crate) fn coordinates(at: Coordinates) -> pb::Coordinates {
    pb::Coordinates { latitude: at.latitude(), longitude: at.longitude() }
}

pub(crate) fn resources(resources: Resources) -> pb::Resources {
    let Resources { cpu_millis, memory_bytes, disk_bytes, gpus } = resources;
    pb::Resources { cpu_millis, memory_bytes, disk_bytes, gpus }
}

pub(crate) fn offer(offer: &Offer) -> pb::Offer {
    let market = match offer.market {
        Market::OnDemand => pb::Market::OnDemand,
        Market::Spot => pb::Market::Spot,
    };
    pb::Offer {
        provider: offer.provider.to_string(),
        region: offer.region.to_string(),
        kind: offer.kind.clone(),
        market: market.into(),
        arch: offer.arch.to_string(),
        capacity: Some(resources(offer.capacity)),
        price_micros_per_hour: offer.price_micros_per_hour.0,
        priced_at_unix_ms: offer.priced_at.0,
        source: offer.source.clone(),
        gpu: offer.gpu.as_ref().map(ToString::to_string).unwrap_or_default(),
        interruption_percent: offer.terms.interruption_percent,
        billed_s: offer.terms.billed_s,
    }
}

pub(crate) fn quote(quote: &Quote) -> pb::Quote {
    pb::Quote {
        offer: Some(offer(&quote.offer)),
        buy: quote.source == Source::Buy,
        shared: quote.source == Source::Shared,
        adds_micros_per_hour: quote.adds_micros_per_hour.0,
        preference_micros_per_hour: quote.preference_micros_per_hour.0,
        moving_micros_per_hour: quote.moving_micros_per_hour.0,
        price_micros_per_hour: quote.price_micros_per_hour.0,
        latency_micros_per_hour: quote.latency_micros_per_hour.0,
        total_micros_per_hour: quote.total_micros_per_hour().0,
    }
}

pub(crate) fn decision(decision: &Decision) -> pb::Decision {
    let candidate = |candidate: &Candidate| {
        let instead = decision.instead(candidate);
        pb::Candidate {
            datacenter: candidate.datacenter.to_string(),
            cell: candidate.cell.as_ref().map(ToString::to_string).unwrap_or_default(),
            latency_us: candidate.latency_us,
            quote: candidate.quote.as_ref().map(quote),
            chosen: match candidate.verdict {
                Verdict::Chosen(count) => count,
                _ => 0,
            },
            refusal: match &candidate.verdict {
                Verdict::Refused(refusal) => refusal.to_string(),
                _ => String::new(),
            },
            chosen_at_micros_per_hour: match instead {
                Some(Instead::AtPrice(price)) => Some(price.0),
                _ => None,
            },
            chosen_nearer_us: match instead {
                Some(Instead::Nearer { us }) => Some(us),
                _ => None,
            },
        }
    };
    pb::Decision {
        at_unix_ms: decision.at.0,
        latency_price_micros_per_ms_hour: decision.latency_price_micros_per_ms_hour.0,
        candidates: decision.candidates.iter().map(candidate).collect(),
    }
}

/// What became of an instance, as it was then.
pub(crate) fn past(
    id: &InstanceId,
    at: Timestamp,
    fate: &Fate,
    decided: Option<&Decision>,
) -> pb::ExplainResponse {
    let mut instance = pb::Instance { id: id.to_string(), ..pb::Instance::default() };
    match fate {
        Fate::Placed(cell, epoch) => {
            instance.datacenter = cell.datacenter.to_string();
            instance.cell = cell.to_string();
            instance.epoch = epoch.0;
            instance.placed_at_unix_ms = at.0;
        }
        Fate::NotPlaced(epoch) => {
            instance.epoch = epoch.unwrap_or_default().0;
            instance.state = pb::RunState::Unplaceable.into();
            instance.unplaceable = decided.map_or_else(String::new, ToString::to_string);
        }
        Fate::Waits | Fate::Deleted => {}
    }
    let decision = decided.map(decision);
    pb::ExplainResponse { instance: Some(instance), decision, ..pb::ExplainResponse::default() }
}

/// A moment in UTC, to the second.
pub(crate) fn moment(at: Timestamp) -> String {
    let seconds = i64::try_from(at.0 / 1_000).unwrap_or(i64::MAX);
    let utc = OffsetDateTime::from_unix_timestamp(seconds).ok();
    utc.and_then(|utc| utc.format(&Rfc3339).ok()).unwrap_or_else(|| format!("{} ms", at.0))
}

pub(crate) fn outcome(outcome: &Outcome) -> pb::WhatIfResponse {
    let moves = outcome.moves.iter().map(|found| pb::Move {
        workload: found.workload.to_string(),
        instances: found.instances,
        from: found.from.to_string(),
        to: found.to.to_string(),
        price_before_micros_per_hour: found.price.0.0,
        price_after_micros_per_hour: found.price.1.0,
        latency_before_us: found.latency_us.0,
        latency_after_us: found.latency_us.1,
    });
    let stranded = outcome.stranded.iter().map(|found| pb::Stranded {
        workload: found.workload.to_string(),
        instances: found.instances,
        from: found.from.to_string(),
        why: found.why.clone(),
    });
    pb::WhatIfResponse {
        read: None,
        moves: moves.collect(),
        stranded: stranded.collect(),
        machines_to_buy: outcome.machines_to_buy,
        adds_micros_per_hour: outcome.adds.0,
        saves_micros_per_hour: outcome.saves.0,
    }
}

pub(crate) fn event(event: &Event, place: u32) -> pb::Event {
    pb::Event {
        revision: event.revision.0,
        at_unix_ms: event.at.0,
        kind: event.kind.to_string(),
        subject: event.subject.clone(),
        message: event.message.clone(),
        place,
    }
}

pub(crate) fn spec(spec: &WorkloadSpec) -> pb::WorkloadSpec {
    let spot = match spec.spot {
        SpotPolicy::Allowed => pb::SpotPolicy::Allowed,
        SpotPolicy::Required => pb::SpotPolicy::Required,
        SpotPolicy::Never => pb::SpotPolicy::Never,
    };
    let one_in_each = Spread::one_in_each(Level::Datacenter);
    let spread = if spec.rules.spreads.contains(&one_in_each) {
        pb::Spread::Datacenter
    } else {
        pb::Spread::None
    };
    let failover = match spec.failover {
        Failover::Auto => pb::Failover::Auto,
        Failover::Never => pb::Failover::Never,
    };
    let demand = spec.demand.iter().map(|demand| pb::Demand {
        place: demand.place.clone(),
        weight: f64::from(demand.weight_milli) / 1e3,
        at: Some(coordinates(demand.at)),
    });
    let MicroDollars(latency_price) = spec.latency_price_micros_per_ms_hour;
    pb::WorkloadSpec {
        name: spec.name.to_string(),
        unit: spec.unit.to_string(),
        template: spec.template,
        count: spec.count,
        request: Some(resources(spec.request)),
        demand: demand.collect(),
        latency_ms_max: spec.latency_ms_max,
        datacenters: spec.datacenters.iter().map(ToString::to_string).collect(),
        price_micros_per_hour_max: spec.price_micros_per_hour_max.map(|price| price.0),
        spot: spot.into(),
        spread: spread.into(),
        singleton: spec.singleton,
        failover: failover.into(),
        ports: spec.ports.iter().map(ToString::to_string).collect(),
        latency_price_micros_per_ms_hour: Some(latency_price),
        rules: Some(rules(&spec.rules)).filter(|rules| *rules != pb::Rules::default()),
    }
}

fn rules(rules: &Rules) -> pb::Rules {
    fn shown<T: ToString>(all: impl IntoIterator<Item = T>) -> Vec<String> {
        all.into_iter().map(|one| one.to_string()).collect()
    }
    let one_in_each = Spread::one_in_each(Level::Datacenter);
    pb::Rules {
        arches: shown(&rules.arches),
        gpus: shown(&rules.gpus),
        providers: shown(&rules.providers),
        countries: shown(&rules.countries),
        continents: shown(&rules.continents),
        labels: rules.labels.clone(),
        latency_percentile: rules.latency_percentile,
        price_age_s_max: rules.price_age_s_max,
        total_micros_per_hour_max: rules.total_micros_per_hour_max.map(|most| most.0),
        spreads: shown(rules.spreads.iter().filter(|spread| **spread != one_in_each)),
        preferences: shown(&rules.preferences),
        with: shown(rules.neighbours.iter().filter(|neighbour| neighbour.together)),
        apart: shown(rules.neighbours.iter().filter(|neighbour| !neighbour.together)),
        rebalance_never: rules.rebalance == Rebalance::Never,
        move_micros: rules.move_micros.map(|cost| cost.0),
        stay_s: rules.stay_s,
        priority: rules.priority,
        survive: rules.survives.map(|domain| format!("1 {domain}")).unwrap_or_default(),
        on_demand: rules.on_demand_min.map(|least| least.to_string()).unwrap_or_default(),
        interruption_percent_max: rules.terms.interruption_percent,
        billed_s_max: rules.terms.billed_s,
    }
}
