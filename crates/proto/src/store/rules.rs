//! What a workload asks of places and machines, to and from its stored form.

use kato_core::{
    Arch, Level, MicroDollars, Most, Neighbour, Preference, Preferred, Rebalance, Rules, Spread,
};

use super::names::enumerated;
use super::topology::terms;
use crate::store_v1 as pb;
use crate::{Field, InvalidMessage};

/// What meshes before version 7 have a word for: one copy in each datacenter, and nothing else.
pub(super) fn spread(rules: &Rules) -> pb::Spread {
    let one = Spread::one_in_each(Level::Datacenter);
    if rules.spreads == [one] { pb::Spread::Datacenter } else { pb::Spread::None }
}

/// What is said elsewhere is left out; nothing where nothing is left.
pub(super) fn to_stored(rules: &Rules) -> Option<pb::Rules> {
    let older = spread(rules) == pb::Spread::Datacenter;
    let spreads = if older { &[][..] } else { &rules.spreads };
    let stored = pb::Rules {
        arches: rules.arches.iter().map(|arch| pb::Arch::from(*arch).into()).collect(),
        gpus: rules.gpus.iter().map(ToString::to_string).collect(),
        providers: rules.providers.iter().map(ToString::to_string).collect(),
        countries: rules.countries.iter().map(ToString::to_string).collect(),
        continents: rules.continents.iter().map(ToString::to_string).collect(),
        labels: rules.labels.clone(),
        latency_percentile: rules.latency_percentile,
        price_age_s_max: rules.price_age_s_max,
        total_micros_per_hour_max: rules.total_micros_per_hour_max.map(|most| most.0),
        spreads: spreads.iter().map(Into::into).collect(),
        preferences: rules.preferences.iter().map(Into::into).collect(),
        neighbours: rules.neighbours.iter().map(Into::into).collect(),
        rebalance_never: rules.rebalance == Rebalance::Never,
        move_micros: rules.move_micros.map(|cost| cost.0),
        stay_s: rules.stay_s,
        priority: rules.priority,
        survives: rules.survives.map(|domain| pb::FailureDomain::from(domain).into()),
        on_demand_min: rules.on_demand_min.map(|most| match most {
            Most::Copies(copies) => pb::rules::OnDemandMin::OnDemandCopies(copies),
            Most::Percent(percent) => pb::rules::OnDemandMin::OnDemandPercent(percent),
        }),
        terms: terms(rules.terms),
    };
    (stored != pb::Rules::default()).then_some(stored)
}

pub(super) fn from_stored(spread: i32, stored: Option<pb::Rules>) -> Result<Rules, InvalidMessage> {
    let stored = stored.unwrap_or_default();
    let older = match pb::Spread::try_from(spread) {
        Ok(pb::Spread::None) => None,
        Ok(pb::Spread::Datacenter) => Some(Spread::one_in_each(Level::Datacenter)),
        Ok(pb::Spread::Unspecified) | Err(_) => {
            let reason = format!("{spread} is unknown to this coordinator: upgrade it");
            return Err(InvalidMessage::Wrong { field: "workload.spread", reason });
        }
    };
    let spreads = stored.spreads.into_iter().map(TryInto::try_into);
    let preferences = stored.preferences.into_iter().map(TryInto::try_into);
    let neighbours = stored.neighbours.into_iter().map(TryInto::try_into);
    Ok(Rules {
        arches: arches(&stored.arches)?,
        gpus: parsed(&stored.gpus, "rules.gpus")?,
        providers: parsed(&stored.providers, "rules.providers")?,
        countries: parsed(&stored.countries, "rules.countries")?,
        continents: parsed(&stored.continents, "rules.continents")?,
        labels: stored.labels,
        latency_percentile: stored.latency_percentile,
        price_age_s_max: stored.price_age_s_max,
        total_micros_per_hour_max: stored.total_micros_per_hour_max.map(MicroDollars),
        spreads: older.map(Ok).into_iter().chain(spreads).collect::<Result<_, InvalidMessage>>()?,
        preferences: preferences.collect::<Result<_, InvalidMessage>>()?,
        neighbours: neighbours.collect::<Result<_, InvalidMessage>>()?,
        rebalance: if stored.rebalance_never { Rebalance::Never } else { Rebalance::Auto },
        move_micros: stored.move_micros.map(MicroDollars),
        stay_s: stored.stay_s,
        priority: stored.priority,
        survives: stored
            .survives
            .map(|domain| enumerated::<pb::FailureDomain, _>(domain, "rules.survives"))
            .transpose()?,
        on_demand_min: stored.on_demand_min.map(|min| match min {
            pb::rules::OnDemandMin::OnDemandCopies(copies) => Most::Copies(copies),
            pb::rules::OnDemandMin::OnDemandPercent(percent) => Most::Percent(percent),
        }),
        terms: stored.terms.map(Into::into).unwrap_or_default(),
    })
}

/// Processors by their numbers.
pub(super) fn arches<C: FromIterator<Arch>>(stored: &[i32]) -> Result<C, InvalidMessage> {
    stored.iter().map(|arch| enumerated::<pb::Arch, _>(*arch, "arch")).collect()
}

/// Texts as what they name.
pub(super) fn parsed<T, C>(texts: &[String], field: &'static str) -> Result<C, InvalidMessage>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
    C: FromIterator<T>,
{
    texts.iter().map(|text| text.parse()).collect::<Result<C, T::Err>>().field(field)
}

impl From<&Spread> for pb::SpreadRule {
    fn from(spread: &Spread) -> Self {
        Self {
            over: pb::Level::from(spread.over).into(),
            most: spread.most.map(|most| match most {
                Most::Copies(copies) => pb::spread_rule::Most::Copies(copies),
                Most::Percent(percent) => pb::spread_rule::Most::Percent(percent),
            }),
            targets: spread.targets.clone(),
            excess_micros_per_hour: spread.excess_micros_per_hour.map(|excess| excess.0),
        }
    }
}

impl TryFrom<pb::SpreadRule> for Spread {
    type Error = InvalidMessage;

    fn try_from(stored: pb::SpreadRule) -> Result<Self, InvalidMessage> {
        Ok(Self {
            over: enumerated::<pb::Level, _>(stored.over, "spread.over")?,
            most: stored.most.map(|most| match most {
                pb::spread_rule::Most::Copies(copies) => Most::Copies(copies),
                pb::spread_rule::Most::Percent(percent) => Most::Percent(percent),
            }),
            targets: stored.targets,
            excess_micros_per_hour: stored.excess_micros_per_hour.map(MicroDollars),
        })
    }
}

impl From<&Neighbour> for pb::Neighbour {
    fn from(neighbour: &Neighbour) -> Self {
        Self {
            workload: neighbour.workload.to_string(),
            over: pb::Level::from(neighbour.over).into(),
            together: neighbour.together,
        }
    }
}

impl TryFrom<pb::Neighbour> for Neighbour {
    type Error = InvalidMessage;

    fn try_from(stored: pb::Neighbour) -> Result<Self, InvalidMessage> {
        Ok(Self {
            workload: stored.workload.parse().field("neighbour.workload")?,
            over: enumerated::<pb::Level, _>(stored.over, "neighbour.over")?,
            together: stored.together,
        })
    }
}

impl From<&Preference> for pb::Preference {
    fn from(preference: &Preference) -> Self {
        use pb::preference::What;
        let what = match &preference.what {
            Preferred::Datacenter(name) => What::Datacenter(name.to_string()),
            Preferred::Provider(name) => What::Provider(name.to_string()),
            Preferred::Country(country) => What::Country(country.to_string()),
            Preferred::Continent(continent) => What::Continent(continent.to_string()),
            Preferred::Label(key, value) => {
                What::Label(pb::Label { key: key.clone(), value: value.clone() })
            }
        };
        let worth_micros_per_hour = preference.worth_micros_per_hour.0;
        Self { what: Some(what), worth_micros_per_hour }
    }
}

impl TryFrom<pb::Preference> for Preference {
    type Error = InvalidMessage;

    fn try_from(stored: pb::Preference) -> Result<Self, InvalidMessage> {
        use pb::preference::What;
        let field = "preference.what";
        let what = match stored.what.field(field)? {
            What::Datacenter(name) => Preferred::Datacenter(name.parse().field(field)?),
            What::Provider(name) => Preferred::Provider(name.parse().field(field)?),
            What::Country(country) => Preferred::Country(country.parse().field(field)?),
            What::Continent(continent) => Preferred::Continent(continent.parse().field(field)?),
            What::Label(label) => Preferred::Label(label.key, label.value),
        };
        Ok(Self { what, worth_micros_per_hour: MicroDollars(stored.worth_micros_per_hour) })
    }
}
