//! Datacenters, machines, offers and orders, to and from their stored form.

use std::sync::Arc;

use kato_core::{
    CellSpec, Coordinates, Datacenter, DatacenterSpec, Delegation, Machine, MachineSpec,
    MicroDollars, Offer, Order, OrderId, Resources, Revision, Suspension, Terms, Timestamp,
};

use super::names::{enumerated, health_from_stored, health_to_stored};
use crate::store_v1 as pb;
use crate::{Field, InvalidMessage};

impl From<Coordinates> for pb::Coordinates {
    fn from(at: Coordinates) -> Self {
        Self { latitude_micro: at.latitude_micro(), longitude_micro: at.longitude_micro() }
    }
}

impl TryFrom<pb::Coordinates> for Coordinates {
    type Error = InvalidMessage;

    fn try_from(stored: pb::Coordinates) -> Result<Self, InvalidMessage> {
        Self::from_micro(stored.latitude_micro, stored.longitude_micro).field("coordinates")
    }
}

impl From<Resources> for pb::Resources {
    fn from(resources: Resources) -> Self {
        let Resources { cpu_millis, memory_bytes, disk_bytes, gpus } = resources;
        Self { cpu_millis, memory_bytes, disk_bytes, gpus }
    }
}

impl From<pb::Resources> for Resources {
    fn from(stored: pb::Resources) -> Self {
        let pb::Resources { cpu_millis, memory_bytes, disk_bytes, gpus } = stored;
        Self { cpu_millis, memory_bytes, disk_bytes, gpus }
    }
}

impl From<&DatacenterSpec> for pb::DatacenterSpec {
    fn from(spec: &DatacenterSpec) -> Self {
        let region = |(provider, region): &(_, _)| pb::Region {
            provider: ToString::to_string(provider),
            region: ToString::to_string(region),
        };
        let cells = spec.cells.iter().map(|(name, cell)| pb::CellSpec {
            name: name.to_string(),
            machines_max: cell.machines_max,
            zone: cell.zone.clone(),
            labels: cell.labels.clone(),
        });
        Self {
            name: spec.name.to_string(),
            location: Some(spec.location.into()),
            address: spec.address.clone(),
            regions: spec.regions.iter().map(region).collect(),
            cells: cells.collect(),
            country: spec.country.map(|country| country.to_string()).unwrap_or_default(),
            labels: spec.labels.clone(),
        }
    }
}

impl TryFrom<pb::DatacenterSpec> for DatacenterSpec {
    type Error = InvalidMessage;

    fn try_from(stored: pb::DatacenterSpec) -> Result<Self, InvalidMessage> {
        let region = |region: pb::Region| {
            Ok((region.provider.parse().field("provider")?, region.region.parse().field("region")?))
        };
        let cell = |cell: pb::CellSpec| {
            let name = cell.name.parse().field("cell.name")?;
            let pb::CellSpec { machines_max, zone, labels, .. } = cell;
            Ok((name, CellSpec { machines_max, zone, labels }))
        };
        let country = Some(stored.country).filter(|country| !country.is_empty());
        let country = country.map(|country| country.parse()).transpose();
        Ok(Self {
            country: country.field("datacenter.country")?,
            labels: stored.labels,
            name: stored.name.parse().field("datacenter.name")?,
            location: stored.location.field("datacenter.location")?.try_into()?,
            address: stored.address,
            regions: stored.regions.into_iter().map(region).collect::<Result<_, _>>()?,
            cells: stored.cells.into_iter().map(cell).collect::<Result<_, _>>()?,
        })
    }
}

impl From<&Datacenter> for pb::Datacenter {
    fn from(datacenter: &Datacenter) -> Self {
        let (health, since_unix_ms) = health_to_stored(datacenter.health);
        Self {
            spec: Some((&datacenter.spec).into()),
            health: health.into(),
            since_unix_ms,
            delegation: datacenter.delegation.as_ref().map(|delegation| pb::Delegation {
                to: delegation.to.to_string(),
                term: delegation.term.0,
            }),
        }
    }
}

impl TryFrom<pb::Delegation> for Delegation {
    type Error = InvalidMessage;

    fn try_from(stored: pb::Delegation) -> Result<Self, InvalidMessage> {
        Ok(Self { to: stored.to.parse().field("delegation.to")?, term: Revision(stored.term) })
    }
}

impl TryFrom<pb::Datacenter> for Datacenter {
    type Error = InvalidMessage;

    fn try_from(stored: pb::Datacenter) -> Result<Self, InvalidMessage> {
        Ok(Self {
            health: health_from_stored(stored.health(), stored.since_unix_ms)?,
            spec: stored.spec.field("datacenter.spec")?.try_into()?,
            delegation: stored.delegation.map(Delegation::try_from).transpose()?,
        })
    }
}

/// Terms as they are stored; nothing where they say nothing.
pub(super) fn terms(terms: Terms) -> Option<pb::Terms> {
    let Terms { interruption_percent, billed_s } = terms;
    (terms != Terms::default()).then_some(pb::Terms { interruption_percent, billed_s })
}

impl From<pb::Terms> for Terms {
    fn from(stored: pb::Terms) -> Self {
        let pb::Terms { interruption_percent, billed_s } = stored;
        Self { interruption_percent, billed_s }
    }
}

impl From<&Offer> for pb::Offer {
    fn from(offer: &Offer) -> Self {
        Self {
            provider: offer.provider.to_string(),
            region: offer.region.to_string(),
            kind: offer.kind.clone(),
            market: pb::Market::from(offer.market).into(),
            arch: pb::Arch::from(offer.arch).into(),
            capacity: Some(offer.capacity.into()),
            price_micros_per_hour: offer.price_micros_per_hour.0,
            priced_at_unix_ms: offer.priced_at.0,
            source: offer.source.clone(),
            gpu: offer.gpu.as_ref().map(ToString::to_string).unwrap_or_default(),
            terms: terms(offer.terms),
        }
    }
}

impl TryFrom<pb::Offer> for Offer {
    type Error = InvalidMessage;

    fn try_from(stored: pb::Offer) -> Result<Self, InvalidMessage> {
        let gpu = Some(stored.gpu).filter(|gpu| !gpu.is_empty());
        Ok(Self {
            provider: stored.provider.parse().field("offer.provider")?,
            region: stored.region.parse().field("offer.region")?,
            market: enumerated::<pb::Market, _>(stored.market, "offer.market")?,
            arch: enumerated::<pb::Arch, _>(stored.arch, "offer.arch")?,
            kind: stored.kind,
            capacity: stored.capacity.field("offer.capacity")?.into(),
            price_micros_per_hour: MicroDollars(stored.price_micros_per_hour),
            priced_at: Timestamp(stored.priced_at_unix_ms),
            source: stored.source,
            gpu: gpu.map(|gpu| gpu.parse()).transpose().field("offer.gpu")?,
            terms: stored.terms.map(Into::into).unwrap_or_default(),
        })
    }
}

impl From<&MachineSpec> for pb::MachineSpec {
    fn from(spec: &MachineSpec) -> Self {
        Self {
            id: spec.id.to_string(),
            resources: Some(spec.resources.into()),
            offer: Some((&*spec.offer).into()),
            address: spec.address.clone(),
            incarnation: spec.incarnation,
            order: spec.order.map(|order| order.0),
        }
    }
}

impl TryFrom<pb::MachineSpec> for MachineSpec {
    type Error = InvalidMessage;

    fn try_from(stored: pb::MachineSpec) -> Result<Self, InvalidMessage> {
        Ok(Self {
            id: stored.id.parse().field("machine.id")?,
            resources: stored.resources.field("machine.resources")?.into(),
            offer: Arc::new(stored.offer.field("machine.offer")?.try_into()?),
            address: stored.address,
            incarnation: stored.incarnation,
            order: stored.order.map(OrderId),
        })
    }
}

impl From<&Machine> for pb::Machine {
    fn from(machine: &Machine) -> Self {
        Self {
            spec: Some((&machine.spec).into()),
            suspended: machine.suspended.map(|suspended| suspended.since.0),
            lease_over: machine.suspended.is_some_and(|suspended| suspended.over),
        }
    }
}

impl TryFrom<pb::Machine> for Machine {
    type Error = InvalidMessage;

    /// The ledger is computed once all of the state is there.
    fn try_from(stored: pb::Machine) -> Result<Self, InvalidMessage> {
        let over = stored.lease_over;
        let suspended = stored.suspended.map(|since| Suspension { since: Revision(since), over });
        Ok(Self::new(stored.spec.field("machine.spec")?.try_into()?, suspended))
    }
}

pub(super) fn order_to_stored(id: OrderId, order: &Order) -> pb::Order {
    pb::Order {
        id: id.0,
        cell: order.cell.to_string(),
        offer: Some((&*order.offer).into()),
        instance: order.instance.to_string(),
        attempts: order.attempts,
        placed_at_unix_ms: order.placed_at.0,
    }
}

pub(super) fn order_from_stored(stored: pb::Order) -> Result<(OrderId, Order), InvalidMessage> {
    let order = Order {
        cell: stored.cell.parse().field("order.cell")?,
        offer: Arc::new(stored.offer.field("order.offer")?.try_into()?),
        instance: stored.instance.parse().field("order.instance")?,
        attempts: stored.attempts,
        placed_at: Timestamp(stored.placed_at_unix_ms),
    };
    Ok((OrderId(stored.id), order))
}
