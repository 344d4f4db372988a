//! Decisions, quotes and refusals, to and from their stored form.

use std::sync::Arc;

use kato_core::{Candidate, Decision, MicroDollars, Quote, Refusal, Timestamp, Verdict};

use super::names::enumerated;
use crate::store_v1 as pb;
use crate::{Field, InvalidMessage};

impl From<&Quote> for pb::Quote {
    fn from(quote: &Quote) -> Self {
        Self {
            offer: Some((&*quote.offer).into()),
            source: pb::Source::from(quote.source).into(),
            price_micros_per_hour: quote.price_micros_per_hour.0,
            latency_micros_per_hour: quote.latency_micros_per_hour.0,
            adds_micros_per_hour: Some(quote.adds_micros_per_hour)
                .filter(|adds| *adds != quote.price_micros_per_hour)
                .map(|adds| adds.0),
        }
    }
}

impl TryFrom<pb::Quote> for Quote {
    type Error = InvalidMessage;

    fn try_from(stored: pb::Quote) -> Result<Self, InvalidMessage> {
        Ok(Self {
            source: enumerated::<pb::Source, _>(stored.source, "quote.source")?,
            offer: Arc::new(stored.offer.field("quote.offer")?.try_into()?),
            price_micros_per_hour: MicroDollars(stored.price_micros_per_hour),
            latency_micros_per_hour: MicroDollars(stored.latency_micros_per_hour),
            adds_micros_per_hour: MicroDollars(
                stored.adds_micros_per_hour.unwrap_or(stored.price_micros_per_hour),
            ),
        })
    }
}

impl From<&Decision> for pb::Decision {
    fn from(decision: &Decision) -> Self {
        Self {
            at_unix_ms: decision.at.0,
            latency_price_micros_per_ms_hour: decision.latency_price_micros_per_ms_hour.0,
            candidates: decision.candidates.iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<pb::Decision> for Decision {
    type Error = InvalidMessage;

    fn try_from(stored: pb::Decision) -> Result<Self, InvalidMessage> {
        let price = stored.latency_price_micros_per_ms_hour;
        let candidates = stored.candidates.into_iter().map(TryInto::try_into);
        Ok(Self {
            at: Timestamp(stored.at_unix_ms),
            latency_price_micros_per_ms_hour: MicroDollars(price),
            candidates: candidates.collect::<Result<_, _>>()?,
        })
    }
}

impl From<&Candidate> for pb::Candidate {
    fn from(candidate: &Candidate) -> Self {
        use pb::candidate::Verdict as Stored;
        let verdict = match &candidate.verdict {
            Verdict::Chosen(count) => Stored::Chosen(*count),
            Verdict::Costlier => Stored::Costlier(pb::Costlier {}),
            Verdict::Refused(refusal) => Stored::Refused(refusal.into()),
        };
        Self {
            datacenter: candidate.datacenter.to_string(),
            latency_us: candidate.latency_us,
            quote: candidate.quote.as_ref().map(Into::into),
            verdict: Some(verdict),
            cell: candidate.cell.as_ref().map(ToString::to_string).unwrap_or_default(),
        }
    }
}

impl TryFrom<pb::Candidate> for Candidate {
    type Error = InvalidMessage;

    fn try_from(stored: pb::Candidate) -> Result<Self, InvalidMessage> {
        use pb::candidate::Verdict as Stored;
        let verdict = match stored.verdict.field("candidate.verdict")? {
            Stored::Chosen(count) => Verdict::Chosen(count),
            Stored::Costlier(_) => Verdict::Costlier,
            Stored::Refused(refusal) => Verdict::Refused(refusal.try_into()?),
        };
        let cell = Some(stored.cell).filter(|cell| !cell.is_empty());
        Ok(Self {
            cell: cell.map(|cell| cell.parse()).transpose().field("candidate.cell")?,
            datacenter: stored.datacenter.parse().field("candidate.datacenter")?,
            latency_us: stored.latency_us,
            quote: stored.quote.map(TryInto::try_into).transpose()?,
            verdict,
        })
    }
}

impl From<&Refusal> for pb::Refusal {
    fn from(refusal: &Refusal) -> Self {
        use pb::refusal::Refusal as Stored;
        let stored = match refusal {
            Refusal::NotAllowed => Stored::NotAllowed(pb::NotAllowed {}),
            Refusal::Unavailable => Stored::Unavailable(pb::Unavailable {}),
            Refusal::TooFar { latency_us, latency_ms_max } => Stored::TooFar(pb::TooFar {
                latency_us: *latency_us,
                latency_ms_max: *latency_ms_max,
            }),
            Refusal::Spread => Stored::Spread(pb::SpreadTaken {}),
            Refusal::NoOffer { request, spot } => Stored::NoOffer(pb::NoOffer {
                request: Some((*request).into()),
                spot: pb::SpotPolicy::from(*spot).into(),
            }),
            Refusal::TooExpensive { price_micros_per_hour, max_micros_per_hour } => {
                Stored::TooExpensive(pb::TooExpensive {
                    price_micros_per_hour: price_micros_per_hour.0,
                    max_micros_per_hour: max_micros_per_hour.0,
                })
            }
            Refusal::NoRoom => Stored::NoRoom(pb::NoRoom {}),
            Refusal::RefusedByCell => Stored::RefusedByCell(pb::RefusedByCell {}),
        };
        Self { refusal: Some(stored) }
    }
}

impl TryFrom<pb::Refusal> for Refusal {
    type Error = InvalidMessage;

    fn try_from(stored: pb::Refusal) -> Result<Self, InvalidMessage> {
        use pb::refusal::Refusal as Stored;
        Ok(match stored.refusal.field("refusal")? {
            Stored::NotAllowed(_) => Self::NotAllowed,
            Stored::Unavailable(_) => Self::Unavailable,
            Stored::TooFar(far) => {
                Self::TooFar { latency_us: far.latency_us, latency_ms_max: far.latency_ms_max }
            }
            Stored::Spread(_) => Self::Spread,
            Stored::NoOffer(none) => Self::NoOffer {
                spot: enumerated::<pb::SpotPolicy, _>(none.spot, "refusal.spot")?,
                request: none.request.field("refusal.request")?.into(),
            },
            Stored::TooExpensive(price) => Self::TooExpensive {
                price_micros_per_hour: MicroDollars(price.price_micros_per_hour),
                max_micros_per_hour: MicroDollars(price.max_micros_per_hour),
            },
            Stored::NoRoom(_) => Self::NoRoom,
            Stored::RefusedByCell(_) => Self::RefusedByCell,
        })
    }
}
