//! What several tests of this crate build their worlds from.

use std::sync::Arc;

use kato_core::{Arch, Market, MicroDollars, Offer, Resources, Timestamp};

/// An offer of a region, at a price in micro-dollars an hour.
pub(crate) fn offer(region: &str, price: i64) -> Arc<Offer> {
    Arc::new(Offer {
        provider: "ec2".parse().unwrap(),
        region: region.parse().unwrap(),
        kind: "t3.large".to_owned(),
        market: Market::OnDemand,
        arch: Arch::X86_64,
        capacity: Resources::new(2_000, 8_192),
        gpu: None,
        terms: kato_core::Terms::default(),
        price_micros_per_hour: MicroDollars(price),
        priced_at: Timestamp(0),
        source: "test".to_owned(),
    })
}
