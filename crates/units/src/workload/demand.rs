//! `Near=`: where the users of a workload are, and how many of them are there.

use std::net::IpAddr;

use kato_core::{Coordinates, CoordinatesError, DEMAND_MAX, Demand};

use crate::UnitFile;
use crate::finding::Findings;
use crate::value::{self, ValueError};

use super::SECTION;

/// The share of a place that is given no weight.
const WEIGHT_MILLI_DEFAULT: u32 = 1_000;
/// The largest weight.
const WEIGHT_MILLI_MAX: u32 = 1_000_000;
/// The longest place, in bytes; the longest name of a city with its country is shorter.
const PLACE_BYTES_MAX: usize = 200;

/// A place that a text stands for, or one of several.
#[derive(Debug, Clone, PartialEq)]
pub struct Located {
    /// What it is called, where that is not the text.
    pub name: Option<String>,
    /// Where it is.
    pub at: Coordinates,
    /// Its part among the several.
    pub weight: u32,
}

impl From<Coordinates> for Located {
    /// The only one.
    fn from(at: Coordinates) -> Self {
        Self { name: None, at, weight: 1 }
    }
}

/// Finds a named place; its error says what would be found.
pub(super) type Resolve<'a> = &'a dyn Fn(&str) -> Result<Vec<Located>, String>;

/// Reads every `Near=` of a file.
pub(super) fn read(file: &UnitFile, resolve: Resolve<'_>, errors: &mut Findings) -> Vec<Demand> {
    let mut demand: Vec<(Demand, u32)> = Vec::new();
    let entries = file.list(SECTION, "Near");
    if let Some(entry) = entries.get(DEMAND_MAX) {
        let message = format!(
            "one workload may name {DEMAND_MAX} places and this is one more: merge places that are near each other"
        );
        errors.on_key(Some(entry.line), SECTION, "Near", message);
    }
    for entry in entries.into_iter().take(DEMAND_MAX) {
        let read = places(&entry.value, resolve).and_then(|places| unlike(&demand, places));
        match read {
            Ok(places) => demand.extend(places.into_iter().map(|place| (place, entry.line))),
            Err(error) => errors.on_value(entry, SECTION, &error),
        }
        if demand.len() > DEMAND_MAX {
            let message = format!(
                "with the cities that countries stand for, these are {} places, {DEMAND_MAX} at most: name fewer countries",
                demand.len()
            );
            errors.on_key(Some(entry.line), SECTION, "Near", message);
            break;
        }
    }
    demand.into_iter().map(|(place, _)| place).collect()
}

/// The places, unless an earlier line has one of them already.
fn unlike(demand: &[(Demand, u32)], places: Vec<Demand>) -> Result<Vec<Demand>, ValueError> {
    let twice = places.iter().find_map(|place| {
        let earlier = demand.iter().find(|(earlier, _)| earlier.at == place.at)?;
        Some((place, earlier))
    });
    match twice {
        None => Ok(places),
        Some((place, (earlier, line))) => Err(ValueError::new(format!(
            "\"{}\" is the place of line {line}, \"{}\": remove one, and give the other the weight of both",
            place.place, earlier.place
        ))),
    }
}

/// Reads one value: a place, and perhaps `weight=3` behind it.
fn places(text: &str, resolve: Resolve<'_>) -> Result<Vec<Demand>, ValueError> {
    let (place, weight_milli) = match text.rsplit_once(char::is_whitespace) {
        Some((place, last)) if last.starts_with("weight=") => (place.trim_end(), weight(last)?),
        _ => (text, WEIGHT_MILLI_DEFAULT),
    };
    if place.to_ascii_lowercase().contains("weight") {
        return Err(ValueError::new(format!(
            "\"{text}\" has a weight that cannot be read: write it behind the place and without blanks, \
             such as Near=Dublin weight=3"
        )));
    }
    if place.len() > PLACE_BYTES_MAX {
        return Err(ValueError::new(format!(
            "the place is longer than {PLACE_BYTES_MAX} bytes: write one city, airport code or pair of coordinates"
        )));
    }
    let is_address = place.parse::<IpAddr>().is_ok();
    if !is_address && place.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) {
        let at = place.parse().map_err(|error| match error {
            CoordinatesError::Form(_) => ValueError::new(error.to_string()),
            CoordinatesError::OffTheGlobe { .. } => {
                ValueError::new(format!("{error}; write latitude first, such as 53.35,-6.26"))
            }
        })?;
        return Ok(vec![Demand { place: place.to_owned(), at, weight_milli }]);
    }
    let located = resolve(place).map_err(ValueError::new)?;
    let all: u64 = located.iter().map(|one| u64::from(one.weight)).sum();
    let part = |one: Located| {
        let share = u64::from(weight_milli) * u64::from(one.weight) / all.max(1);
        let weight_milli = u32::try_from(share.max(1)).unwrap_or(WEIGHT_MILLI_MAX);
        let place = one.name.unwrap_or_else(|| place.to_owned());
        Demand { place, at: one.at, weight_milli }
    };
    Ok(located.into_iter().map(part).collect())
}

fn weight(word: &str) -> Result<u32, ValueError> {
    let number = word.trim_start_matches("weight=");
    value::milli(number)
        .and_then(|milli| u32::try_from(milli).ok())
        .filter(|milli| (1..=WEIGHT_MILLI_MAX).contains(milli))
        .ok_or_else(|| {
            ValueError::new(format!(
                "\"{word}\" is not a weight: write a number from 0.001 to 1000, such as weight=3 or weight=0.5"
            ))
        })
}
