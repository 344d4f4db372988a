//! The names nearest to one that is unknown: most unknown names are a slip of the finger, and an
//! error that names the right one saves a search.

use std::collections::BTreeSet;

use super::{AIRPORTS, CITIES, City, airport};
use crate::table;

/// The most suggestions.
pub(super) const COUNT_MAX: usize = 3;
/// The fewest letters of a name's beginning that suggest it.
const PREFIX_MIN: usize = 3;

/// The places whose names are nearest to `text`, of which `key` is the folded form.
pub(super) fn nearest(text: &str, key: &str) -> Vec<String> {
    if key.is_empty() {
        return Vec::new();
    }
    let mut found = Vec::from_iter(
        airport(&text.to_ascii_uppercase())
            .map(|airport| format!("{} ({}, {})", airport.code, airport.city, airport.country)),
    );
    let distance_max = key.len().div_ceil(4).min(3);
    // By distance, then the most populous first; the set drops aliases of one city.
    let mut cities = BTreeSet::new();
    for line in table::body(CITIES).lines() {
        let name = line.split(',').next().unwrap_or("");
        let begins = key.len() >= PREFIX_MIN && name.starts_with(key);
        let distance = if begins { 1 } else { distance(key, name, distance_max) };
        if distance <= distance_max {
            let city = City::read(line);
            cities.insert((distance, std::cmp::Reverse(city.population), city.label()));
        }
    }
    for (_, _, label) in cities {
        if !found.contains(&label) {
            found.push(label);
        }
    }
    if found.is_empty() && text.len() == 3 {
        found.extend(codes_like(&text.to_ascii_uppercase()));
    }
    found.truncate(COUNT_MAX);
    found
}

/// Airports whose codes differ from `code` in the last letter.
fn codes_like(code: &str) -> impl Iterator<Item = String> {
    let start = code.get(..2).unwrap_or(code).to_owned();
    table::from_key(table::body(AIRPORTS), &start)
        .lines()
        .take_while(move |line| line.starts_with(&start))
        .map(super::Airport::read)
        .map(|airport| format!("{} ({}, {})", airport.code, airport.city, airport.country))
}

/// The Levenshtein distance of two texts in bytes, or more than `max` as soon as it must be.
fn distance(a: &str, b: &str, max: usize) -> usize {
    if a.len().abs_diff(b.len()) > max {
        return max + 1;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter_a) in a.bytes().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, letter_b) in b.bytes().enumerate() {
            let change = diagonal + usize::from(letter_a != letter_b);
            diagonal = row[j + 1];
            row[j + 1] = change.min(diagonal + 1).min(row[j] + 1);
        }
        if row.iter().all(|distance| *distance > max) {
            return max + 1;
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_count_single_slips() {
        for (a, b, slips) in [
            ("dublin", "dublin", 0),
            ("dubln", "dublin", 1),
            ("dulbin", "dublin", 2),
            ("", "ab", 2),
        ] {
            assert_eq!(distance(a, b, 3), slips, "{a} {b}");
            assert_eq!(distance(b, a, 3), slips, "{b} {a}");
        }
        assert_eq!(distance("abcdef", "uvwxyz", 2), 3);
        assert_eq!(distance("a", "abcdef", 2), 3);
    }
}
