//! The values that assignments have: time spans, sizes, shares of a processor, booleans. Each reader's
//! error says what would be read.

use std::time::Duration;

/// A value that is not of its kind; the text says which and what would be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct ValueError(pub(crate) String);

impl ValueError {
    /// What is wrong and what would be right.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

/// The units of systemd.time(7), in microseconds; a month and a year are its averages.
const TIME_UNITS: [(&[&str], u64); 9] = [
    (&["usec", "us", "µs", "μs"], 1),
    (&["msec", "ms"], 1_000),
    (&["seconds", "second", "sec", "s"], 1_000_000),
    (&["minutes", "minute", "min", "m"], 60_000_000),
    (&["hours", "hour", "hr", "h"], 3_600_000_000),
    (&["days", "day", "d"], 86_400_000_000),
    (&["weeks", "week", "w"], 604_800_000_000),
    (&["months", "month", "M"], 2_629_800_000_000),
    (&["years", "year", "y"], 31_557_600_000_000),
];

/// What the binary suffixes of systemd multiply with.
const SIZE_SUFFIXES: [(&str, u64); 7] = [
    ("B", 1),
    ("K", 1 << 10),
    ("M", 1 << 20),
    ("G", 1 << 30),
    ("T", 1 << 40),
    ("P", 1 << 50),
    ("E", 1 << 60),
];

/// Reads a time span of systemd.time(7): `5`, `5s`, `1min 30s`, `100ms`; none is `infinity`. A bare
/// number counts seconds.
pub(crate) fn time_span(text: &str) -> Result<Option<Duration>, ValueError> {
    if text.trim() == "infinity" {
        return Ok(None);
    }
    let wrong = || {
        ValueError::new(format!(
            "\"{text}\" is not a time span: write a number with a unit, such as 100ms, 5s, 1min 30s or 2h, or infinity"
        ))
    };
    let mut rest = text.trim_start();
    let mut total: u64 = 0;
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let (number, after) = split_while(rest, |c| c.is_ascii_digit() || c == '.');
        let (unit, after) = split_while(after.trim_start(), char::is_alphabetic);
        let micros = match unit {
            "" => 1_000_000,
            _ => TIME_UNITS
                .iter()
                .find(|(names, _)| names.contains(&unit))
                .map(|(_, micros)| *micros)
                .ok_or_else(wrong)?,
        };
        let part = scaled(number, micros).ok_or_else(wrong)?;
        total = total.checked_add(part).ok_or_else(wrong)?;
        rest = after.trim_start();
    }
    Ok(Some(Duration::from_micros(total)))
}

/// Reads a size as systemd does: digits and one of K, M, G, T, each 1024 times the last.
pub(crate) fn size(text: &str) -> Result<u64, ValueError> {
    let (number, unit) = split_while(text, |c| c.is_ascii_digit() || c == '.');
    let factor = match unit.trim() {
        "" => Some(1),
        unit => SIZE_SUFFIXES.iter().find(|(suffix, _)| *suffix == unit).map(|(_, factor)| *factor),
    };
    if let Some(bytes) = factor.and_then(|factor| scaled(number, factor)) {
        return Ok(bytes);
    }
    if factor.is_some() && number.bytes().filter(u8::is_ascii_digit).count() > 9 {
        return Err(ValueError::new(format!(
            "\"{text}\" is too large: write a size such as 512M or 2G"
        )));
    }
    // What people write elsewhere, said back in systemd's form: 512MB, 512Mi, 512m.
    let letter = unit.trim().chars().next().map(|c| c.to_ascii_uppercase());
    let letter =
        letter.filter(|c| SIZE_SUFFIXES.iter().any(|(suffix, _)| *suffix == c.to_string()));
    let example = match letter {
        Some(letter) if !number.is_empty() && letter != 'B' => format!("{number}{letter}"),
        _ => "512M or 2G".to_owned(),
    };
    Err(ValueError::new(format!(
        "\"{text}\" is not a size: write {example} (K, M, G or T, base 1024)"
    )))
}

/// Reads a number with at most three decimals, in thousandths.
pub(crate) fn milli(text: &str) -> Option<u64> {
    let decimals = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    if decimals > 3 { None } else { scaled(text, 1_000) }
}

/// Reads a systemd boolean.
pub(crate) fn boolean(text: &str) -> Result<bool, ValueError> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "yes" | "y" | "true" | "t" | "on" => Ok(true),
        "0" | "no" | "n" | "false" | "f" | "off" => Ok(false),
        _ => Err(ValueError::new(format!("\"{text}\" is neither yes nor no: write yes or no"))),
    }
}

/// Reads one of a list of words.
pub(crate) fn choice<T: Copy>(text: &str, choices: &[(&str, T)]) -> Result<T, ValueError> {
    if let Some((_, value)) = choices.iter().find(|(word, _)| *word == text) {
        return Ok(*value);
    }
    let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
    // In a short list, the right word is seen without help.
    let meant = crate::suggest::nearest(text, words.iter().copied()).filter(|_| words.len() > 3);
    let meant = meant.map_or(String::new(), |word| format!("; did you mean {word}?"));
    Err(ValueError::new(format!("\"{text}\" is not known: write {}{meant}", or_list(&words))))
}

/// `a, b or c`.
pub(crate) fn or_list(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// Splits `text` before the first character that does not belong.
fn split_while(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !belongs(c)).unwrap_or(text.len()))
}

/// A plain decimal number times `factor`, rounded down; none if it is not one or does not fit.
fn scaled(number: &str, factor: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    // 18 digits are below the resolution of every factor, and their product fits into 128 bits.
    let fraction = &fraction[..fraction.len().min(18)];
    let power = u32::try_from(fraction.len()).ok()?;
    let below = fraction.parse::<u128>().ok()? * u128::from(factor) / 10u128.pow(power);
    let total = whole.parse::<u64>().ok()?.checked_mul(factor)?;
    total.checked_add(u64::try_from(below).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_spans_read_as_in_the_manual() {
        // The examples of systemd.time(7), and the corners of its grammar.
        for (text, micros) in [
            ("2 h", 7_200_000_000),
            ("2hours", 7_200_000_000),
            ("48hr", 172_800_000_000),
            ("1y 12month", 63_115_200_000_000),
            ("55s500ms", 55_500_000),
            ("300ms20s 5day", 432_020_300_000),
            ("5", 5_000_000),
            ("1.5s", 1_500_000),
            ("0", 0),
            ("3 µs", 3),
            ("1min 30s", 90_000_000),
        ] {
            assert_eq!(time_span(text), Ok(Some(Duration::from_micros(micros))), "{text}");
        }
        assert_eq!(time_span(" infinity "), Ok(None));
        for bad in ["", "fast", "-1s", "1.s", ".5s", "1..2", "5 parsecs", "99999999999999y", "s"] {
            assert!(time_span(bad).is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn sizes_are_base_1024_and_mistakes_are_said_back_right() {
        for (text, bytes) in
            [("512M", 512 << 20), ("1.5G", 3 << 29), ("10", 10), ("1 K", 1024), ("2T", 2 << 40)]
        {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for (text, part) in [
            ("512MB", "write 512M "),
            ("512Mi", "write 512M "),
            ("2g", "write 2G "),
            ("lots", "write 512M or 2G "),
            ("-1M", "write 512M or 2G "),
            ("99999999999T", "is too large"),
        ] {
            let error = size(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn thousandths_are_exact() {
        for (text, value) in [
            ("0.5", Some(500)),
            ("2", Some(2_000)),
            ("0.001", Some(1)),
            ("0.0001", None),
            ("x", None),
        ] {
            assert_eq!(milli(text), value, "{text}");
        }
    }

    #[test]
    fn words_are_offered_when_none_fits() {
        let choices = [("auto", 1), ("never", 2)];
        assert_eq!(choice("never", &choices), Ok(2));
        let error = choice("nevr", &choices).unwrap_err().to_string();
        assert_eq!(error, "\"nevr\" is not known: write auto or never");
        assert_eq!(boolean("On"), Ok(true));
        assert!(boolean("maybe").is_err());
    }
}
