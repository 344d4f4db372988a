//! Dates as the catalogue writes them. A price's date needs no time-zone and no calendar crate.

use kato_core::Timestamp;

const DAY_MS: u64 = 86_400_000;

/// Midnight UTC of `YYYY-MM-DD`, from 1970 on.
pub(super) fn parse(text: &str) -> Option<Timestamp> {
    let mut parts = text.split('-');
    let mut number = |digits: usize| -> Option<u64> {
        let part = parts.next()?;
        (part.len() == digits && part.bytes().all(|b| b.is_ascii_digit()))
            .then(|| part.parse().ok())?
    };
    let (year, month, day) = (number(4)?, number(2)?, number(2)?);
    if parts.next().is_some() || year < 1970 || !(1..=12).contains(&month) {
        return None;
    }
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let lengths = [31, 28 + u64::from(leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let before = usize::try_from(month - 1).ok()?;
    if !(1..=lengths[before]).contains(&day) {
        return None;
    }
    let past = year - 1;
    let leap_days = (past / 4 - past / 100 + past / 400) - (1969 / 4 - 1969 / 100 + 1969 / 400);
    let days = (year - 1970) * 365 + leap_days + lengths[..before].iter().sum::<u64>() + day - 1;
    Some(Timestamp(days * DAY_MS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_days_since_1970() {
        for (text, days) in [
            ("1970-01-01", 0),
            ("1972-03-01", 790),
            ("2000-02-29", 11_016),
            ("2025-06-28", 20_267),
            ("2100-03-01", 47_541),
        ] {
            assert_eq!(parse(text), Some(Timestamp(days * DAY_MS)), "{text}");
        }
        for bad in ["", "2025", "2025-06", "2025-6-28", "2025-13-01", "2025-00-01", "2025-02-29"] {
            assert_eq!(parse(bad), None, "{bad:?} was taken");
        }
        for bad in ["1969-12-31", "2100-02-29", "2025-06-31", "2025-06-28-", "+025-06-28"] {
            assert_eq!(parse(bad), None, "{bad:?} was taken");
        }
    }
}
