//! Datacenters and what is in them, to and from their stored form.

use kato_core::{Coordinates, Datacenter};

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

impl From<&Datacenter> for pb::Datacenter {
    fn from(datacenter: &Datacenter) -> Self {
        let region = |(provider, region): &(_, _)| pb::Region {
            provider: ToString::to_string(provider),
            region: ToString::to_string(region),
        };
        Self {
            name: datacenter.name.to_string(),
            location: Some(datacenter.location.into()),
            address: datacenter.address.clone(),
            regions: datacenter.regions.iter().map(region).collect(),
        }
    }
}

impl TryFrom<pb::Datacenter> for Datacenter {
    type Error = InvalidMessage;

    fn try_from(stored: pb::Datacenter) -> Result<Self, InvalidMessage> {
        let region = |region: pb::Region| {
            Ok((region.provider.parse().field("provider")?, region.region.parse().field("region")?))
        };
        Ok(Self {
            name: stored.name.parse().field("datacenter.name")?,
            location: stored.location.field("datacenter.location")?.try_into()?,
            address: stored.address,
            regions: stored.regions.into_iter().map(region).collect::<Result<_, _>>()?,
        })
    }
}
