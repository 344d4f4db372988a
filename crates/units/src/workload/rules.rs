//! The keys of `[X-Kato]` that say what places and machines must be, how copies are kept apart, and what is preferred.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kato_core::{
    Arch, BILLED_S_MAX, Continent, Country, DatacenterName, FailureDomain, GpuName,
    LABEL_BYTES_MAX, LABELS_MAX, Level, MicroDollars, Most, Neighbour, PRIORITY_MAX, Preference,
    Preferred, ProviderName, RULES_MAX, Rebalance, Rules, Spread, Terms, WorkloadName, is_label,
};

use super::SECTION;
use super::options;
use super::section::Reader;
use crate::value::{self, ValueError};

/// The oldest that a price may be allowed to be: beyond it, nobody meant a limit.
const AGE_MAX: Duration = Duration::from_hours(10 * 366 * 24);

/// The longest stay: beyond it a move costs nothing.
const STAY_MAX: Duration = Duration::from_hours(366 * 24);

const LEVELS: [(&str, Option<Level>); 6] = [
    ("none", None),
    ("provider", Some(Level::Provider)),
    ("datacenter", Some(Level::Datacenter)),
    ("zone", Some(Level::Zone)),
    ("cell", Some(Level::Cell)),
    ("pool", Some(Level::Pool)),
];

const REBALANCE: [(&str, Rebalance); 2] = [("auto", Rebalance::Auto), ("never", Rebalance::Never)];

const DOMAINS: [(&str, FailureDomain); 3] = [
    ("datacenter", FailureDomain::Datacenter),
    ("provider", FailureDomain::Provider),
    ("region", FailureDomain::Region),
];

impl Reader<'_> {
    /// All of them.
    pub(super) fn rules(
        &mut self,
        latency_percentile: Option<u32>,
        gpus: BTreeSet<GpuName>,
    ) -> Rules {
        Rules {
            arches: self.set("Arch", arch),
            gpus,
            providers: self.set("Providers", provider),
            countries: self.set("Countries", |word| word.parse().map_err(ValueError::new)),
            continents: self.set("Continents", |word| word.parse().map_err(ValueError::new)),
            labels: self.labels(),
            latency_percentile,
            total_micros_per_hour_max: self.once("MaxTotalPrice", options::total_price),
            price_age_s_max: self.once("MaxPriceAge", price_age),
            spreads: self.spreads(),
            preferences: self.lines("Prefer", preference),
            neighbours: {
                let mut neighbours = self.lines("With", |text| neighbour(text, true));
                neighbours.extend(self.lines("Apart", |text| neighbour(text, false)));
                neighbours
            },
            rebalance: self
                .once("Rebalance", |text| value::choice(text, &REBALANCE))
                .unwrap_or_default(),
            move_micros: self.once("MoveCost", options::move_cost),
            stay_s: self.once("Stay", stay),
            priority: self.once("Priority", priority).unwrap_or(0),
            survives: self.once("Survive", survive),
            on_demand_min: self.once("OnDemand", most_of),
            terms: Terms {
                interruption_percent: self.once("MaxInterruption", interruption),
                billed_s: self.once("MaxBilling", billing),
            },
        }
    }

    /// `GPU=2`, `GPU=A100:2 H100:2`: how many, and of which kinds.
    pub(super) fn gpus(&mut self) -> (u64, BTreeSet<GpuName>) {
        let (mut count, mut kinds) = (None, BTreeSet::new());
        for (entry, word) in self.words("GPU") {
            let read = gpu(word).and_then(|(number, kind)| match count.replace(number) {
                Some(other) if other != number => Err(ValueError::new(format!(
                    "{other} and {number} of them: write the same number for every kind"
                ))),
                _ => Ok(kind),
            });
            match read {
                Ok(kind) => kinds.extend(kind),
                Err(error) => self.errors.on_value(entry, SECTION, &error),
            }
        }
        (count.unwrap_or(0), kinds)
    }

    /// The words of a list, each read by itself.
    fn set<T: Ord>(
        &mut self,
        key: &str,
        read: impl Fn(&str) -> Result<T, ValueError>,
    ) -> BTreeSet<T> {
        let mut found = BTreeSet::new();
        for (entry, word) in self.words(key) {
            match read(word) {
                Ok(value) => {
                    found.insert(value);
                }
                Err(error) => self.errors.on_value(entry, SECTION, &error),
            }
        }
        found
    }

    /// `Labels=`.
    fn labels(&mut self) -> BTreeMap<String, String> {
        let mut labels: BTreeMap<String, String> = BTreeMap::new();
        for (entry, word) in self.words("Labels") {
            let read = label(word).and_then(|(key, value)| match labels.get(&key) {
                Some(other) if *other != value => Err(ValueError::new(format!(
                    "{key} cannot be {other} and {value}: remove one of the two"
                ))),
                _ if labels.len() == LABELS_MAX => Err(ValueError::new(format!(
                    "a workload may ask for {LABELS_MAX} labels: remove some"
                ))),
                _ => Ok((key, value)),
            });
            match read {
                Ok((key, value)) => {
                    labels.insert(key, value);
                }
                Err(error) => self.errors.on_value(entry, SECTION, &error),
            }
        }
        labels
    }

    /// `Spread=`: one limit for each level, or none at all.
    fn spreads(&mut self) -> Vec<Spread> {
        let mut spreads: Vec<Spread> = Vec::new();
        for entry in self.file.list(SECTION, "Spread") {
            let read = spread(&entry.value).and_then(|read| {
                let twice =
                    spreads.iter().find(|earlier| read.iter().any(|r| r.over == earlier.over));
                match twice {
                    Some(earlier) => Err(ValueError::new(format!(
                        "there is a limit for each {} above already: remove one of the two",
                        earlier.over
                    ))),
                    None => Ok(read),
                }
            });
            match read {
                Ok(read) => spreads.extend(read),
                Err(error) => self.errors.on_value(entry, SECTION, &error),
            }
        }
        spreads
    }

    /// The lines of a key that may be given several times.
    fn lines<T>(&mut self, key: &str, read: impl Fn(&str) -> Result<T, ValueError>) -> Vec<T> {
        let entries = self.file.list(SECTION, key);
        if let Some(entry) = entries.get(RULES_MAX) {
            self.error(entry, format!("may be given {RULES_MAX} times: remove some"));
        }
        let mut found = Vec::new();
        for entry in entries.into_iter().take(RULES_MAX) {
            match read(&entry.value) {
                Ok(value) => found.push(value),
                Err(error) => self.errors.on_value(entry, SECTION, &error),
            }
        }
        found
    }
}

/// `MaxLatency=80ms`, and perhaps `percentile=95` behind it.
pub(super) fn latency(text: &str) -> Result<(u32, Option<u32>), ValueError> {
    let Some((bound, share)) = text.split_once(char::is_whitespace) else {
        return Ok((options::latency(text)?, None));
    };
    let percent = share.trim().strip_prefix("percentile=").and_then(|text| text.parse().ok());
    let percent = percent.filter(|percent| (1..=100).contains(percent)).ok_or_else(|| {
        ValueError::new(format!(
            "\"{share}\" is not a share of the demand: write percentile=1 to percentile=100, such as \
             MaxLatency=80ms percentile=95"
        ))
    })?;
    Ok((options::latency(bound)?, Some(percent)))
}

fn arch(word: &str) -> Result<Arch, ValueError> {
    word.parse().map_err(ValueError::new)
}

/// The most GPUs of one instance.
const GPUS_MAX: u64 = 64;

/// `2`, `A100:2`.
fn gpu(word: &str) -> Result<(u64, Option<GpuName>), ValueError> {
    let (kind, number) = match word.split_once(':') {
        Some((kind, number)) => (Some(kind), number),
        None => (None, word),
    };
    let count = number.parse().ok().filter(|count| (1..=GPUS_MAX).contains(count));
    let count = count.ok_or_else(|| {
        ValueError::new(format!(
            "\"{word}\" is not a number of GPUs: write 1 to {GPUS_MAX}, and perhaps their kind before it, such as A100:2"
        ))
    })?;
    let kind = kind.map(|kind| kind.parse().map_err(ValueError::new)).transpose()?;
    Ok((count, kind))
}

fn provider(word: &str) -> Result<ProviderName, ValueError> {
    ProviderName::new(word).map_err(|_| {
        ValueError::new(format!(
            "\"{word}\" is not a provider's name: use a-z, 0-9 and inner hyphens, such as ec2 or packet"
        ))
    })
}

fn price_age(text: &str) -> Result<u64, ValueError> {
    let right = "write 1h to 10y, such as 1d";
    let age = value::time_span(text)
        .map_err(|_| ValueError::new(format!("\"{text}\" is not a duration: {right}")))?
        .ok_or_else(|| {
            ValueError::new(format!("infinity is no bound: {right}, or remove the line"))
        })?;
    if age < Duration::from_mins(1) || age > AGE_MAX {
        return Err(ValueError::new(format!("\"{text}\" is out of range: {right}")));
    }
    Ok(age.as_secs())
}

fn stay(text: &str) -> Result<u64, ValueError> {
    let right = "write 1min to 1y, such as 1d";
    let stay = value::time_span(text)
        .map_err(|_| ValueError::new(format!("\"{text}\" is not a duration: {right}")))?;
    let stay = stay.filter(|stay| (Duration::from_mins(1)..=STAY_MAX).contains(stay));
    let stay =
        stay.ok_or_else(|| ValueError::new(format!("\"{text}\" is out of range: {right}")))?;
    Ok(stay.as_secs())
}

/// `10%`: of such machines, in a month.
fn interruption(text: &str) -> Result<u32, ValueError> {
    let percent = text.strip_suffix('%').and_then(|digits| digits.parse().ok());
    percent.filter(|percent| (1..=100).contains(percent)).ok_or_else(|| {
        ValueError::new(format!(
            "\"{text}\" is not a share of the machines that their provider takes back in a month: write 1% to 100%; \
             the classes of EC2 are 5%, 10%, 15% and 20%"
        ))
    })
}

/// `1h`: what is paid whole.
fn billing(text: &str) -> Result<u32, ValueError> {
    let right = "write 1s to 31d, such as 1min or 1h";
    let span = value::time_span(text)
        .map_err(|_| ValueError::new(format!("\"{text}\" is not a duration: {right}")))?;
    let seconds = span.and_then(|span| u32::try_from(span.as_secs()).ok());
    let seconds = seconds.filter(|seconds| (1..=BILLED_S_MAX).contains(seconds));
    seconds.ok_or_else(|| ValueError::new(format!("\"{text}\" is out of range: {right}")))
}

fn priority(text: &str) -> Result<u32, ValueError> {
    let read = text.parse().ok().filter(|priority| *priority <= PRIORITY_MAX);
    read.ok_or_else(|| {
        ValueError::new(format!(
            "\"{text}\" is not a priority: write 0 to {PRIORITY_MAX}; the highest comes first"
        ))
    })
}

/// `1 datacenter`.
fn survive(text: &str) -> Result<FailureDomain, ValueError> {
    let one = text.strip_prefix('1').filter(|rest| rest.starts_with(char::is_whitespace));
    let word = one.ok_or_else(|| {
        ValueError::new(format!(
            "\"{text}\" is not what may be lost: write 1 datacenter, 1 region or 1 provider"
        ))
    })?;
    value::choice(word.trim(), &DOMAINS)
}

/// `disk=ssd`.
fn label(word: &str) -> Result<(String, String), ValueError> {
    let wrong = || {
        ValueError::new(format!(
            "\"{word}\" is not a label: write key=value, each of 1 to {LABEL_BYTES_MAX} letters, digits and \
             \"-\", \"_\", \".\", \"/\", such as disk=ssd"
        ))
    };
    let (key, value) = word.split_once('=').ok_or_else(wrong)?;
    let good = is_label(key) && is_label(value);
    if good { Ok((key.to_owned(), value.to_owned())) } else { Err(wrong()) }
}

/// `datacenter`, `zone max=50%`, `datacenter dub=60% ewr=40% excess=0.01`; `none` is no limit.
fn spread(text: &str) -> Result<Option<Spread>, ValueError> {
    let mut words = text.split_whitespace();
    let Some(over) = value::choice(words.next().unwrap_or_default(), &LEVELS)? else {
        return Ok(None);
    };
    let mut spread = Spread { most: None, ..Spread::one_in_each(over) };
    for word in words {
        let wrong = || {
            ValueError::new(format!(
                "\"{word}\" is not understood: behind the level write max=2 or max=50%, targets such as dub=60%, \
                 and excess=0.01, what one more costs an hour"
            ))
        };
        match word.split_once('=').ok_or_else(wrong)? {
            ("max", most) => spread.most = Some(most_of(most)?),
            ("excess", price) => {
                spread.excess_micros_per_hour = Some(options::worth(price)?);
            }
            (name, share) => {
                let Most::Percent(percent) = most_of(share)? else { return Err(wrong()) };
                spread.targets.insert(name.to_owned(), percent);
            }
        }
    }
    if spread.most.is_none() && spread.targets.is_empty() {
        spread.most = Some(Most::Copies(1));
    }
    if let Some(name) = spread.targets.keys().next().filter(|_| over == Level::Pool) {
        return Err(ValueError::new(format!(
            "\"{name}\" is no pool that a target could be for: write max=2 or max=25%, which holds for each"
        )));
    }
    let sum: u32 = spread.targets.values().sum();
    if sum > 0 && sum < 100 && spread.most.is_none() && spread.excess_micros_per_hour.is_none() {
        return Err(ValueError::new(format!(
            "the targets are for {sum} % of the copies, and what has none may have no copy: let them be 100 % together, \
             or add max= for the others, or excess="
        )));
    }
    Ok(Some(spread))
}

/// `2` or `50%`.
fn most_of(text: &str) -> Result<Most, ValueError> {
    let number = |digits: &str, most: u32| {
        digits.parse().ok().filter(|number: &u32| (1..=most).contains(number))
    };
    let found = match text.strip_suffix('%') {
        Some(percent) => number(percent, 100).map(Most::Percent),
        None => number(text, kato_core::COUNT_MAX).map(Most::Copies),
    };
    found.ok_or_else(|| {
        ValueError::new(format!(
            "\"{text}\" is not a share or a number of copies: write 1% to 100%, or 1 to {}",
            kato_core::COUNT_MAX
        ))
    })
}

const NEAR: [(&str, Level); 3] =
    [("datacenter", Level::Datacenter), ("zone", Level::Zone), ("cell", Level::Cell)];

/// `cache`, `cache zone`.
fn neighbour(text: &str, together: bool) -> Result<Neighbour, ValueError> {
    let (name, over) = text.split_once(char::is_whitespace).unwrap_or((text, "datacenter"));
    let workload = WorkloadName::new(name).map_err(|_| {
        ValueError::new(format!(
            "\"{name}\" is not a workload's name: write one such as cache, and perhaps datacenter, zone or cell behind it"
        ))
    })?;
    Ok(Neighbour { workload, over: value::choice(over.trim(), &NEAR)?, together })
}

/// `country=IE worth=0.01`.
fn preference(text: &str) -> Result<Preference, ValueError> {
    let form = || {
        ValueError::new(format!(
            "\"{text}\" is not a preference: write what is preferred and what that is worth an hour, such as \
             Prefer=country=IE worth=0.01; datacenter=, provider=, country=, continent= or label=KEY=VALUE"
        ))
    };
    let (what, worth) = text.split_once(char::is_whitespace).ok_or_else(form)?;
    let price = worth.trim().strip_prefix("worth=").ok_or_else(form)?;
    let worth_micros_per_hour: MicroDollars = options::worth(price)?;
    let (kind, value) = what.split_once('=').ok_or_else(form)?;
    let what = match kind {
        "datacenter" => {
            let name: DatacenterName = options::datacenter(value)?;
            Preferred::Datacenter(name)
        }
        "provider" => Preferred::Provider(provider(value)?),
        "country" => Preferred::Country(value.parse::<Country>().map_err(ValueError::new)?),
        "continent" => Preferred::Continent(value.parse::<Continent>().map_err(ValueError::new)?),
        "label" => {
            let (key, value) = label(value)?;
            Preferred::Label(key, value)
        }
        _ => return Err(form()),
    };
    Ok(Preference { what, worth_micros_per_hour })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreads_read_back_what_they_show() {
        for text in [
            "datacenter",
            "zone max=2",
            "provider max=50%",
            "cell max=3 excess=0.01",
            "datacenter dub=60% ewr=40%",
            "datacenter max=2 dub=60%",
        ] {
            let read = spread(text).unwrap().unwrap();
            assert_eq!(read.to_string(), text);
        }
    }

    #[test]
    fn preferences_read_back_what_they_show() {
        for text in [
            "country=IE worth=0.01",
            "continent=EU worth=1",
            "datacenter=dub worth=0.000001",
            "provider=packet worth=0.02",
            "label=disk=ssd worth=0.5",
        ] {
            assert_eq!(preference(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_not_understood_is_refused_with_what_would_be_right() {
        for (bad, right) in [
            ("planet", "datacenter"),
            ("zone most=2", "max=2"),
            ("zone max=0", "1% to 100%"),
            ("zone max=101%", "1% to 100%"),
            ("datacenter dub=3", "dub=60%"),
            ("datacenter dub=60%", "100 %"),
            ("datacenter excess=-1", "0.01"),
        ] {
            let error = spread(bad).unwrap_err().to_string();
            assert!(error.contains(right), "{bad}: {error}");
        }
        for (bad, right) in [
            ("country=IE", "worth"),
            ("country=UK worth=1", "GB"),
            ("color=red worth=1", "datacenter="),
            ("label=disk worth=1", "disk=ssd"),
            ("provider=packet worth=many", "0.01"),
        ] {
            let error = preference(bad).unwrap_err().to_string();
            assert!(error.contains(right), "{bad}: {error}");
        }
        for bad in ["80ms percentile=0", "80ms percentile=101", "80ms p95", "80 percentile=95"] {
            assert!(latency(bad).is_err(), "{bad}");
        }
        assert_eq!(latency("80ms percentile=95"), Ok((80, Some(95))));
        for bad in ["0s", "soon", "infinity", "99y"] {
            assert!(price_age(bad).is_err(), "{bad}");
        }
        assert_eq!(price_age("1d"), Ok(86_400));
    }
}
