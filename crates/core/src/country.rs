//! Countries and continents, for data that must stay in them. The table (`data/countries.csv`) is `GeoNames`', CC-BY-4.0.

use std::fmt;
use std::str::FromStr;

const TABLE: &str = include_str!("../data/countries.csv");

/// A country by its code in ISO 3166-1 (alpha-2): `IE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Country([u8; 2]);

/// A continent by the code that `GeoNames` gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Continent {
    /// Africa.
    Africa,
    /// Antarctica.
    Antarctica,
    /// Asia.
    Asia,
    /// Europe.
    Europe,
    /// North America.
    NorthAmerica,
    /// Oceania.
    Oceania,
    /// South America.
    SouthAmerica,
}

const CONTINENTS: [(&str, Continent); 7] = [
    ("AF", Continent::Africa),
    ("AN", Continent::Antarctica),
    ("AS", Continent::Asia),
    ("EU", Continent::Europe),
    ("NA", Continent::NorthAmerica),
    ("OC", Continent::Oceania),
    ("SA", Continent::SouthAmerica),
];

impl Country {
    /// The continent that it is counted to.
    ///
    /// # Panics
    /// When the table does not have it: every country comes from there.
    pub fn continent(self) -> Continent {
        let code = self.to_string();
        let found = rows().find(|(country, _)| *country == code);
        let continent = found.and_then(|(_, continent)| continent.parse().ok());
        continent.unwrap_or_else(|| unreachable!("{code} is in the table, with its continent"))
    }
}

fn rows() -> impl Iterator<Item = (&'static str, &'static str)> {
    TABLE.lines().skip(1).filter_map(|line| line.split_once(','))
}

impl FromStr for Country {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = rows().any(|(country, _)| country == text);
        match (text.as_bytes(), text) {
            ([a, b], _) if known => Ok(Self([*a, *b])),
            (_, "UK") => {
                Err("\"UK\" is not a country's code: the United Kingdom's is GB".to_owned())
            }
            _ => Err(format!(
                "\"{text}\" is not a country's code: two capitals of ISO 3166-1, such as IE or US"
            )),
        }
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|letter| write!(f, "{}", char::from(*letter)))
    }
}

impl FromStr for Continent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = CONTINENTS.iter().find(|(code, _)| *code == text);
        found.map(|(_, continent)| *continent).ok_or_else(|| {
            format!("\"{text}\" is not a continent's code: AF, AN, AS, EU, NA, OC or SA")
        })
    }
}

impl fmt::Display for Continent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = CONTINENTS.iter().find(|(_, continent)| continent == self);
        f.pad(code.map_or("", |(code, _)| code))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_country_has_a_continent_and_reads_back() {
        assert!(rows().count() > 240);
        for (code, continent) in rows() {
            let country: Country = code.parse().unwrap();
            assert_eq!(country.to_string(), code);
            assert_eq!(country.continent().to_string(), continent);
        }
        assert_eq!("IE".parse::<Country>().unwrap().continent(), Continent::Europe);
    }

    #[test]
    fn what_is_no_country_is_refused_with_what_would_be_right() {
        assert!("UK".parse::<Country>().unwrap_err().contains("GB"));
        for bad in ["", "ie", "IRL", "ZZ", "Ireland"] {
            assert!(bad.parse::<Country>().unwrap_err().contains("ISO 3166-1"), "{bad}");
        }
        assert!("Europe".parse::<Continent>().is_err());
    }
}
