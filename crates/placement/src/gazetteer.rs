//! Names of places, so that a unit file can say `Demand=DUB` or `Demand=Dublin` where its users are.
//!
//! IATA codes of 7,884 airports and the cities of 100,000 people or more, from open data
//! (`data/README.md` has versions and licences). No query leaves the process.

mod fold;
mod suggest;

use std::cmp::Reverse;
use std::collections::BTreeSet;

use kato_core::{Coordinates, CoordinatesError, Country};

use crate::table;
use fold::fold;

/// The longest text that is looked up, in bytes.
pub const TEXT_BYTES_MAX: usize = 128;

const CITIES: &str = include_str!("../data/cities.csv");
const AIRPORTS: &str = include_str!("../data/airports.csv");

/// A place that a text names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its name in ASCII with the country: `Dublin, IE`, `Dublin, IE (DUB)`; coordinates as given.
    pub name: String,
    /// Where it is.
    pub coordinates: Coordinates,
}

/// Why a text names no place.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum GazetteerError {
    /// The text is empty.
    #[error("the place is empty: give {FORMS}")]
    Empty,
    /// The text is too long to be a place.
    #[error("a place of {0} bytes: give {FORMS}")]
    Long(usize),
    /// Coordinates that lie off the globe.
    #[error("\"{0}\" is not on the globe")]
    Coordinates(String, #[source] CoordinatesError),
    /// No airport and no city has this name.
    #[error("no place is known as \"{text}\": {}", hint(suggestions))]
    Unknown {
        /// The text.
        text: String,
        /// The names nearest to it, best first.
        suggestions: Vec<String>,
    },
    /// No city of a country is large enough to be known.
    #[error(
        "no city of 100,000 people or more is in {0}: give an airport of it, or latitude,longitude"
    )]
    NoCity(Country),
    /// Cities have this name, but none in the country.
    #[error("no city {name} of 100,000 people or more is in {country}: {}", hint(suggestions))]
    NotInCountry {
        /// The city.
        name: String,
        /// The ISO 3166-1 code that was given.
        country: String,
        /// The cities of that name.
        suggestions: Vec<String>,
    },
}

/// How many cities a country stands for.
const CITIES_OF_COUNTRY_MAX: usize = 8;

const FORMS: &str = "an IATA code (DUB), a city of 100,000 people or more (Dublin; Valencia, VE), a country (IE) \
                     or latitude,longitude (53.35,-6.26)";

fn hint(suggestions: &[String]) -> String {
    match suggestions {
        [] => format!("give {FORMS}"),
        [only] => format!("did you mean \"{only}\"?"),
        [first @ .., last] => format!("did you mean \"{}\" or \"{last}\"?", first.join("\", \"")),
    }
}

/// The place that `text` names: coordinates, an IATA code in capitals, or a city in any spelling of
/// its Latin letters, alone (the most populous of that name) or with the code of its country.
pub fn locate(text: &str) -> Result<Place, GazetteerError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(GazetteerError::Empty);
    }
    if text.len() > TEXT_BYTES_MAX {
        return Err(GazetteerError::Long(text.len()));
    }
    match text.parse::<Coordinates>() {
        Ok(coordinates) => return Ok(Place { name: text.to_owned(), coordinates }),
        Err(error @ CoordinatesError::OffTheGlobe { .. }) => {
            return Err(GazetteerError::Coordinates(text.to_owned(), error));
        }
        Err(CoordinatesError::Form(_)) => {}
    }
    if let Some(airport) = airport(text) {
        return Ok(airport.place());
    }
    match with_country(text) {
        Some((name, country)) => in_country(name, &country),
        None => anywhere(text),
    }
}

/// The places that `text` stands for, each with its weight: the one that [`locate`] finds, or the largest cities of a
/// country (two capitals, ISO 3166-1), by their people.
pub fn places(text: &str) -> Result<Vec<(Place, u32)>, GazetteerError> {
    let text = text.trim();
    let is_code = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_uppercase());
    let Some(country) = text.parse::<Country>().ok().filter(|_| is_code) else {
        return locate(text).map(|place| vec![(place, 1)]);
    };
    let all = table::body(CITIES).lines().map(City::read);
    let mut cities: Vec<City> = all.filter(|city| city.country == text).collect();
    cities.sort_by_key(|city| (Reverse(city.population), city.name));
    // A city may have rows of several names.
    let mut seen = BTreeSet::new();
    cities.retain(|city| seen.insert(city.at));
    cities.truncate(CITIES_OF_COUNTRY_MAX);
    if cities.is_empty() {
        return Err(GazetteerError::NoCity(country));
    }
    Ok(cities.into_iter().map(|city| (city.place(), city.population)).collect())
}

/// `Paris, us` is Paris and US; a text whose last part is no country code has none.
fn with_country(text: &str) -> Option<(&str, String)> {
    let (name, country) = text.rsplit_once(',')?;
    let country = country.trim();
    let code = country.len() == 2 && country.bytes().all(|b| b.is_ascii_alphabetic());
    code.then(|| (name.trim(), country.to_ascii_uppercase()))
}

fn in_country(name: &str, country: &str) -> Result<Place, GazetteerError> {
    let found: Vec<City> = cities(&fold(name)).collect();
    if let Some(city) = found.iter().find(|city| city.country == country) {
        return Ok(city.place());
    }
    if found.is_empty() {
        return anywhere(name);
    }
    let (name, country) = (name.to_owned(), country.to_owned());
    let suggestions = found.iter().take(suggest::COUNT_MAX).map(City::label).collect();
    Err(GazetteerError::NotInCountry { name, country, suggestions })
}

fn anywhere(name: &str) -> Result<Place, GazetteerError> {
    let key = fold(name);
    // Rows of one key are sorted by population.
    cities(&key).next().map(|city| city.place()).ok_or_else(|| GazetteerError::Unknown {
        text: name.to_owned(),
        suggestions: suggest::nearest(name, &key),
    })
}

/// A row of the cities' table.
struct City {
    name: &'static str,
    country: &'static str,
    population: u32,
    at: Coordinates,
}

impl City {
    fn read(line: &'static str) -> Self {
        let [_key, name, country, latitude, longitude, population] = table::fields(line);
        // A test reads every row; a population only ranks suggestions.
        let population = population.parse().unwrap_or(0);
        Self { name, country, population, at: table::coordinates(line, latitude, longitude) }
    }

    fn label(&self) -> String {
        format!("{}, {}", self.name, self.country)
    }

    fn place(&self) -> Place {
        Place { name: self.label(), coordinates: self.at }
    }
}

fn cities(key: &str) -> impl Iterator<Item = City> {
    table::matching(table::body(CITIES), key).map(City::read)
}

/// A row of the airports' table.
struct Airport {
    code: &'static str,
    city: &'static str,
    country: &'static str,
    at: Coordinates,
}

impl Airport {
    fn read(line: &'static str) -> Self {
        let [code, city, country, latitude, longitude] = table::fields(line);
        Self { code, city, country, at: table::coordinates(line, latitude, longitude) }
    }

    fn place(&self) -> Place {
        let name = format!("{}, {} ({})", self.city, self.country, self.code);
        Place { name, coordinates: self.at }
    }
}

fn airport(code: &str) -> Option<Airport> {
    table::matching(table::body(AIRPORTS), code).map(Airport::read).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_country_is_its_largest_cities() {
        let named = |text: &str| -> Vec<String> {
            places(text).unwrap().into_iter().map(|(place, _)| place.name).collect()
        };
        assert_eq!(named("IE")[0], "Dublin, IE");
        let us = places("US").unwrap();
        assert_eq!((us.len(), us[0].0.name.as_str()), (8, "New York City, US"));
        assert!(us.is_sorted_by_key(|(_, people)| Reverse(*people)), "{us:?}");
        assert_eq!(named("Dublin"), ["Dublin, IE"]);
        assert_eq!(named("DUB").len(), 1);
        assert_eq!(places("LI").unwrap_err(), GazetteerError::NoCity("LI".parse().unwrap()));
        // As the workload's places they must be others, in Armenia too, and be found by their names.
        let all = table::body(CITIES).lines().map(City::read).map(|city| city.country);
        for country in all.collect::<BTreeSet<&str>>() {
            let found = places(country).unwrap();
            let at: BTreeSet<Coordinates> =
                found.iter().map(|(place, _)| place.coordinates).collect();
            assert_eq!(at.len(), found.len(), "{country}");
            for (place, _) in found {
                assert_eq!(
                    locate(&place.name).unwrap().coordinates,
                    place.coordinates,
                    "{place:?}"
                );
            }
        }
        // No country has these codes.
        for unknown in ["XX", "ie"] {
            assert!(matches!(places(unknown), Err(GazetteerError::Unknown { .. })), "{unknown}");
        }
    }

    #[test]
    fn both_tables_are_sorted_and_every_row_reads() {
        for text in [CITIES, AIRPORTS] {
            assert!(text.is_ascii());
            let keys: Vec<&str> =
                table::body(text).lines().map(|line| line.split(',').next().unwrap()).collect();
            assert!(keys.is_sorted(), "a search by halves needs sorted keys");
        }
        let airports = table::body(AIRPORTS).lines().map(Airport::read);
        assert!(
            airports
                .map(|a| a.place())
                .all(|place| locate(&place.name[place.name.len() - 4..][..3]).is_ok())
        );
        for line in table::body(CITIES).lines() {
            let [key, name, ..] = table::fields::<6>(line);
            assert_eq!(fold(key), key, "a key is folded as a query is");
            assert!(City::read(line).population >= 100_000, "{name}");
        }
    }

    #[test]
    fn places_are_found_by_code_name_country_and_coordinates() {
        for (text, name, near) in [
            ("DUB", "Dublin, IE (DUB)", "53.42,-6.27"),
            ("Dublin", "Dublin, IE", "53.33,-6.25"),
            (" dublin ", "Dublin, IE", "53.33,-6.25"),
            ("São Paulo", "Sao Paulo, BR", "-23.55,-46.64"),
            ("SAO PAULO", "Sao Paulo, BR", "-23.55,-46.64"),
            ("Köln", "Koln, DE", "50.93,6.95"),
            ("cologne", "Koln, DE", "50.93,6.95"),
            ("Paris", "Paris, FR", "48.85,2.35"),
            ("Valencia, ve", "Valencia, VE", "10.16,-68.01"),
            ("Valencia", "Valencia, VE", "10.16,-68.01"),
            ("Valencia,ES", "Valencia, ES", "39.47,-0.38"),
            ("Washington, D.C.", "Washington, US", "38.90,-77.04"),
            ("New York", "New York City, US", "40.71,-74.01"),
            ("Saint-Denis, RE", "Saint-Denis, RE", "-20.88,55.45"),
            ("53.35,-6.26", "53.35,-6.26", "53.35,-6.26"),
        ] {
            let place = locate(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(place.name, name, "{text}");
            let km = place.coordinates.distance_km(near.parse().unwrap());
            assert!(km < 15.0, "{text} is {km} km off");
        }
    }

    #[test]
    fn what_is_unknown_gets_the_nearest_names() {
        for (text, shown) in [
            ("", "the place is empty: give an IATA code"),
            ("91,0", "\"91,0\" is not on the globe"),
            ("Dubln", "no place is known as \"Dubln\": did you mean \"Dublin, IE\""),
            ("dub", "no place is known as \"dub\": did you mean \"DUB (Dublin, IE)\""),
            ("Pariss", "did you mean \"Paris, FR\""),
            ("san fran", "did you mean \"San Francisco, US\""),
            (
                "Paris, US",
                "no city Paris of 100,000 people or more is in US: did you mean \"Paris, FR\"?",
            ),
            ("Qxqxqxqxqx", "no place is known as \"Qxqxqxqxqx\": give an IATA code"),
            ("東京", "give an IATA code"),
        ] {
            let error = locate(text).map(|place| place.name).unwrap_err().to_string();
            assert!(error.contains(shown), "{text}: {error}");
        }
        assert_eq!(locate(&"x".repeat(129)), Err(GazetteerError::Long(129)));
    }
}
