//! Decisions, quotes and refusals, to and from their stored form.

use std::sync::Arc;

use kato_core::{
    Candidate, Decision, Level, MicroDollars, Neighbour, Quote, Refusal, Timestamp, Verdict,
};

use super::names::enumerated;
use super::rules;
use super::topology::terms;
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
            preference_micros_per_hour: quote.preference_micros_per_hour.0,
            moving_micros_per_hour: quote.moving_micros_per_hour.0,
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
            preference_micros_per_hour: MicroDollars(stored.preference_micros_per_hour),
            moving_micros_per_hour: MicroDollars(stored.moving_micros_per_hour),
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
            Refusal::Country(country) => Stored::Country(pb::WrongCountry {
                country: country.map(|country| country.to_string()).unwrap_or_default(),
            }),
            Refusal::Label { key, wants, has } => Stored::Label(pb::WrongLabel {
                key: key.clone(),
                wants: wants.clone(),
                has: has.clone(),
            }),
            Refusal::TooFar { latency_us, latency_ms_max, percentile } => {
                Stored::TooFar(pb::TooFar {
                    latency_us: *latency_us,
                    latency_ms_max: *latency_ms_max,
                    percentile: *percentile,
                })
            }
            Refusal::Spread { over: Level::Datacenter, most: 1 } => {
                Stored::Spread(pb::SpreadTaken::default())
            }
            Refusal::Spread { over, most } => {
                Stored::Spread(pb::SpreadTaken { over: pb::Level::from(*over).into(), most: *most })
            }
            Refusal::OnDemand { spot_max } => {
                Stored::OnDemand(pb::OnDemand { spot_max: *spot_max })
            }
            Refusal::NoOffer { request, spot, arches, providers, gpus, terms: worst } => {
                Stored::NoOffer(pb::NoOffer {
                    request: Some((*request).into()),
                    spot: pb::SpotPolicy::from(*spot).into(),
                    arches: arches.iter().map(|arch| pb::Arch::from(*arch).into()).collect(),
                    providers: providers.iter().map(ToString::to_string).collect(),
                    gpus: gpus.iter().map(ToString::to_string).collect(),
                    terms: terms(*worst),
                })
            }
            Refusal::Neighbour { workload, over, together } => Stored::Neighbour(pb::Neighbour {
                workload: workload.to_string(),
                over: pb::Level::from(*over).into(),
                together: *together,
            }),
            Refusal::OverBudget { total_micros_per_hour, max_micros_per_hour } => {
                Stored::OverBudget(pb::OverBudget {
                    total_micros_per_hour: total_micros_per_hour.0,
                    max_micros_per_hour: max_micros_per_hour.0,
                })
            }
            Refusal::MeshBudget { price_micros_per_hour, left_micros_per_hour } => {
                Stored::MeshBudget(pb::MeshBudget {
                    price_micros_per_hour: price_micros_per_hour.0,
                    left_micros_per_hour: left_micros_per_hour.0,
                })
            }
            Refusal::Stale { age_s, age_s_max } => {
                Stored::Stale(pb::Stale { age_s: *age_s, age_s_max: *age_s_max })
            }
            Refusal::TooExpensive { price_micros_per_hour, max_micros_per_hour } => {
                Stored::TooExpensive(pb::TooExpensive {
                    price_micros_per_hour: price_micros_per_hour.0,
                    max_micros_per_hour: max_micros_per_hour.0,
                })
            }
            Refusal::NoRoom { lacks } => {
                Stored::NoRoom(pb::NoRoom { lacks: lacks.map(Into::into) })
            }
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
            Stored::Country(found) => {
                let country = Some(found.country).filter(|country| !country.is_empty());
                let country = country.map(|country| country.parse()).transpose();
                Self::Country(country.field("refusal.country")?)
            }
            Stored::Label(pb::WrongLabel { key, wants, has }) => Self::Label { key, wants, has },
            Stored::TooFar(pb::TooFar { latency_us, latency_ms_max, percentile }) => {
                Self::TooFar { latency_us, latency_ms_max, percentile }
            }
            Stored::Spread(pb::SpreadTaken { over: 0, most: 0 }) => {
                Self::Spread { over: Level::Datacenter, most: 1 }
            }
            Stored::Spread(taken) => Self::Spread {
                over: enumerated::<pb::Level, _>(taken.over, "refusal.over")?,
                most: taken.most,
            },
            Stored::NoOffer(none) => Self::NoOffer {
                spot: enumerated::<pb::SpotPolicy, _>(none.spot, "refusal.spot")?,
                request: none.request.field("refusal.request")?.into(),
                arches: rules::arches(&none.arches)?,
                providers: rules::parsed(&none.providers, "refusal.providers")?,
                gpus: rules::parsed(&none.gpus, "refusal.gpus")?,
                terms: none.terms.map(Into::into).unwrap_or_default(),
            },
            Stored::OnDemand(pb::OnDemand { spot_max }) => Self::OnDemand { spot_max },
            Stored::Neighbour(stored) => {
                let Neighbour { workload, over, together } = stored.try_into()?;
                Self::Neighbour { workload, over, together }
            }
            Stored::OverBudget(over) => Self::OverBudget {
                total_micros_per_hour: MicroDollars(over.total_micros_per_hour),
                max_micros_per_hour: MicroDollars(over.max_micros_per_hour),
            },
            Stored::Stale(pb::Stale { age_s, age_s_max }) => Self::Stale { age_s, age_s_max },
            Stored::MeshBudget(budget) => Self::MeshBudget {
                price_micros_per_hour: MicroDollars(budget.price_micros_per_hour),
                left_micros_per_hour: MicroDollars(budget.left_micros_per_hour),
            },
            Stored::TooExpensive(price) => Self::TooExpensive {
                price_micros_per_hour: MicroDollars(price.price_micros_per_hour),
                max_micros_per_hour: MicroDollars(price.max_micros_per_hour),
            },
            Stored::NoRoom(none) => Self::NoRoom { lacks: none.lacks.map(Into::into) },
            Stored::RefusedByCell(_) => Self::RefusedByCell,
        })
    }
}
