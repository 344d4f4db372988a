//! Enumerations to and from their stored numbers. A number that this build does not know is refused.

use kato_core::{
    Arch, Failover, FailureDomain, Health, Level, Market, Source, SpotPolicy, Timestamp,
};

use crate::InvalidMessage;
use crate::store_v1 as pb;

/// Both directions of an enumeration whose values carry nothing.
macro_rules! numbers {
    ($($core:ident <-> $pb:ident, $field:literal { $($value:ident = $stored:ident),+ $(,)? })+) => {$(
        impl From<$core> for pb::$pb {
            fn from(value: $core) -> Self {
                match value {
                    $($core::$value => Self::$stored,)+
                }
            }
        }

        impl TryFrom<pb::$pb> for $core {
            type Error = InvalidMessage;

            fn try_from(stored: pb::$pb) -> Result<Self, InvalidMessage> {
                match stored {
                    $(pb::$pb::$stored => Ok(Self::$value),)+
                    pb::$pb::Unspecified => Err(InvalidMessage::Missing($field)),
                }
            }
        }
    )+};
}

numbers! {
    Market <-> Market, "market" { OnDemand = OnDemand, Spot = Spot }
    Arch <-> Arch, "arch" { X86_64 = X8664, Arm64 = Arm64 }
    SpotPolicy <-> SpotPolicy, "spot" { Allowed = Allowed, Required = Required, Never = Never }
    FailureDomain <-> FailureDomain, "failure domain" { Provider = Provider, Region = Region, Datacenter = Datacenter }
    Level <-> Level, "level" { Provider = Provider, Datacenter = Datacenter, Zone = Zone, Cell = Cell, Pool = Pool }
    Failover <-> Failover, "failover" { Auto = Auto, Never = Never }
    Source <-> Source, "source" { Running = Running, Shared = Shared, Buy = Buy }
}

/// A stored number as a value of the pure enumeration `T`.
pub(super) fn enumerated<P, T>(number: i32, field: &'static str) -> Result<T, InvalidMessage>
where
    P: TryFrom<i32>,
    T: TryFrom<P, Error = InvalidMessage>,
{
    let stored = P::try_from(number).map_err(|_| InvalidMessage::Wrong {
        field,
        reason: format!("{number} is unknown to this coordinator: upgrade it"),
    })?;
    T::try_from(stored)
}

/// Health, which carries a time.
pub(super) fn health_to_stored(health: Health) -> (pb::Health, u64) {
    match health {
        Health::Up => (pb::Health::Up, 0),
        Health::Suspected { since } => (pb::Health::Suspected, since.0),
        Health::Lost { since } => (pb::Health::Lost, since.0),
    }
}

pub(super) fn health_from_stored(
    health: pb::Health,
    since_unix_ms: u64,
) -> Result<Health, InvalidMessage> {
    let since = Timestamp(since_unix_ms);
    match health {
        pb::Health::Up => Ok(Health::Up),
        pb::Health::Suspected => Ok(Health::Suspected { since }),
        pb::Health::Lost => Ok(Health::Lost { since }),
        pb::Health::Unspecified => Err(InvalidMessage::Missing("datacenter.health")),
    }
}
