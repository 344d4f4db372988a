//! The shipped tables are sorted ASCII lines of comma-separated fields without quotes. Reading them
//! in place needs no index, no allocation and no global.

use kato_core::Coordinates;

/// The lines of a table, without its header.
pub(crate) fn body(table: &str) -> &str {
    table.split_once('\n').map_or("", |(_header, body)| body)
}

/// The fields of one line.
///
/// # Panics
/// When the line has another number of fields: a shipped table is damaged.
pub(crate) fn fields<const N: usize>(line: &str) -> [&str; N] {
    let mut parts = line.split(',');
    let fields = [(); N].map(|()| parts.next().unwrap_or_else(|| damaged(line)));
    if parts.next().is_some() {
        damaged(line)
    }
    fields
}

/// The place that two fields of `line` name in degrees.
///
/// # Panics
/// When they do not: a shipped table is damaged.
pub(crate) fn coordinates(line: &str, latitude: &str, longitude: &str) -> Coordinates {
    let degrees = |text: &str| text.parse().unwrap_or_else(|_| damaged(line));
    Coordinates::from_degrees(degrees(latitude), degrees(longitude))
        .unwrap_or_else(|_| damaged(line))
}

/// The lines of a sorted `body` from the first whose leading field is `key` or later.
pub(crate) fn from_key<'a>(body: &'a str, key: &str) -> &'a str {
    let (mut low, mut high) = (0, body.len());
    while low < high {
        let middle = usize::midpoint(low, high);
        let start = body[..middle].rfind('\n').map_or(0, |newline| newline + 1);
        let line = body[start..].lines().next().unwrap_or("");
        if first(line) < key {
            low = (start + line.len() + 1).min(body.len());
        } else {
            high = start;
        }
    }
    &body[low..]
}

/// The lines of a sorted `body` whose leading field is `key`.
pub(crate) fn matching<'a>(body: &'a str, key: &str) -> impl Iterator<Item = &'a str> {
    from_key(body, key).lines().take_while(move |line| first(line) == key)
}

fn first(line: &str) -> &str {
    line.split(',').next().unwrap_or("")
}

fn damaged(line: &str) -> ! {
    panic!("shipped-tables-parse: {line:?} is not a row of its table")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_found_and_no_other() {
        let table = "key,value\na,1\nab,2\nab,3\nc,4\n";
        let values = |key: &str| -> Vec<&str> {
            matching(body(table), key).map(|line| fields::<2>(line)[1]).collect()
        };
        assert_eq!(values("a"), ["1"]);
        assert_eq!(values("ab"), ["2", "3"]);
        assert_eq!(values("c"), ["4"]);
        for absent in ["", "0", "aa", "abc", "d"] {
            assert!(values(absent).is_empty(), "{absent:?} was found");
        }
        assert_eq!(matching("", "a").count(), 0);
    }
}
