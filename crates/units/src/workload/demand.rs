//! `Near=`: where the users of a workload are, and how many of them are there.

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

/// Finds a named place; its error says what would be found.
pub(super) type Resolve<'a> = &'a dyn Fn(&str) -> Result<Coordinates, String>;

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
        let read = place(&entry.value, resolve).and_then(|place| unlike(&demand, place));
        match read {
            Ok(place) => demand.push((place, entry.line)),
            Err(error) => errors.on_value(entry, SECTION, &error),
        }
    }
    demand.into_iter().map(|(place, _)| place).collect()
}

/// The place, unless an earlier line has it already.
fn unlike(demand: &[(Demand, u32)], place: Demand) -> Result<Demand, ValueError> {
    match demand.iter().find(|(earlier, _)| earlier.at == place.at) {
        None => Ok(place),
        Some((earlier, line)) => Err(ValueError::new(format!(
            "\"{}\" is the place of line {line}, \"{}\": remove one, and give the other the weight of both",
            place.place, earlier.place
        ))),
    }
}

/// Reads one value: a place, and perhaps `weight=3` behind it.
fn place(text: &str, resolve: Resolve<'_>) -> Result<Demand, ValueError> {
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
    let at = if place.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) {
        place.parse().map_err(|error| match error {
            CoordinatesError::Form(_) => ValueError::new(error.to_string()),
            CoordinatesError::OffTheGlobe { .. } => {
                ValueError::new(format!("{error}; write latitude first, such as 53.35,-6.26"))
            }
        })?
    } else {
        resolve(place).map_err(ValueError::new)?
    };
    Ok(Demand { place: place.to_owned(), at, weight_milli })
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
