//! Workloads, to and from their stored form.

use std::sync::Arc;

use kato_core::{Demand, MicroDollars, Revision, Timestamp, Workload, WorkloadSpec};

use super::names::enumerated;
use super::rules;
use crate::store_v1 as pb;
use crate::{Field, InvalidMessage};

impl From<&WorkloadSpec> for pb::WorkloadSpec {
    fn from(spec: &WorkloadSpec) -> Self {
        Self {
            name: spec.name.to_string(),
            template: spec.template,
            unit: spec.unit.to_string(),
            count: spec.count,
            request: Some(spec.request.into()),
            demand: spec.demand.iter().map(Into::into).collect(),
            latency_ms_max: spec.latency_ms_max,
            datacenters: spec.datacenters.iter().map(ToString::to_string).collect(),
            price_micros_per_hour_max: spec.price_micros_per_hour_max.map(|price| price.0),
            spot: pb::SpotPolicy::from(spec.spot).into(),
            spread: rules::spread(&spec.rules).into(),
            rules: rules::to_stored(&spec.rules),
            singleton: spec.singleton,
            failover: pb::Failover::from(spec.failover).into(),
            ports: spec.ports.iter().map(ToString::to_string).collect(),
            latency_price_micros_per_ms_hour: spec.latency_price_micros_per_ms_hour.0,
        }
    }
}

impl TryFrom<pb::WorkloadSpec> for WorkloadSpec {
    type Error = InvalidMessage;

    fn try_from(stored: pb::WorkloadSpec) -> Result<Self, InvalidMessage> {
        let latency_price = stored.latency_price_micros_per_ms_hour;
        let datacenters = stored.datacenters.iter().map(|name| name.parse());
        let ports = stored.ports.iter().map(|name| name.parse());
        Ok(Self {
            name: stored.name.parse().field("workload.name")?,
            template: stored.template,
            unit: stored.unit.into(),
            count: stored.count,
            request: stored.request.field("workload.request")?.into(),
            demand: stored.demand.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            latency_ms_max: stored.latency_ms_max,
            datacenters: datacenters.collect::<Result<_, _>>().field("workload.datacenters")?,
            price_micros_per_hour_max: stored.price_micros_per_hour_max.map(MicroDollars),
            spot: enumerated::<pb::SpotPolicy, _>(stored.spot, "workload.spot")?,
            singleton: stored.singleton,
            failover: enumerated::<pb::Failover, _>(stored.failover, "workload.failover")?,
            ports: ports.collect::<Result<_, _>>().field("workload.ports")?,
            latency_price_micros_per_ms_hour: MicroDollars(latency_price),
            rules: rules::from_stored(stored.spread, stored.rules)?,
        })
    }
}

impl From<&Demand> for pb::Demand {
    fn from(demand: &Demand) -> Self {
        Self {
            place: demand.place.clone(),
            at: Some(demand.at.into()),
            weight_milli: demand.weight_milli,
        }
    }
}

impl TryFrom<pb::Demand> for Demand {
    type Error = InvalidMessage;

    fn try_from(stored: pb::Demand) -> Result<Self, InvalidMessage> {
        Ok(Self {
            place: stored.place,
            at: stored.at.field("demand.at")?.try_into()?,
            weight_milli: stored.weight_milli,
        })
    }
}

impl From<&Workload> for pb::Workload {
    fn from(workload: &Workload) -> Self {
        let older = workload.older.iter();
        Self {
            spec: Some((&*workload.spec).into()),
            generation: workload.generation,
            revision: workload.revision.0,
            applied_at_unix_ms: workload.applied_at.0,
            older: older.map(|(generation, spec)| (*generation, (&**spec).into())).collect(),
        }
    }
}

impl TryFrom<pb::Workload> for Workload {
    type Error = InvalidMessage;

    fn try_from(stored: pb::Workload) -> Result<Self, InvalidMessage> {
        let older = stored.older.into_iter().map(|(generation, spec)| {
            Ok::<_, InvalidMessage>((generation, Arc::new(spec.try_into()?)))
        });
        Ok(Self {
            spec: Arc::new(stored.spec.field("workload.spec")?.try_into()?),
            generation: stored.generation,
            revision: Revision(stored.revision),
            applied_at: Timestamp(stored.applied_at_unix_ms),
            older: older.collect::<Result<_, _>>()?,
        })
    }
}
