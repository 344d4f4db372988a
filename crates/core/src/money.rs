//! Money as an integer number of micro-dollars, so that sums are exact and equal on every node.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, Sub};
use std::str::FromStr;

/// Millionths of a US dollar. What it is a price of (an hour, a gigabyte) stands in the field's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MicroDollars(pub i64);

impl MicroDollars {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// The amount in dollars, for arithmetic that ends in a figure for people.
    #[allow(clippy::cast_precision_loss)]
    pub fn dollars(self) -> f64 {
        self.0 as f64 / 1e6
    }
}

impl Add for MicroDollars {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for MicroDollars {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Sum for MicroDollars {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

impl fmt::Display for MicroDollars {
    /// Four decimals, as providers print their prices; more where fewer would show a wrong figure.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let (whole, micro) = (self.0.unsigned_abs() / 1_000_000, self.0.unsigned_abs() % 1_000_000);
        let text = if micro.is_multiple_of(100) {
            format!("{sign}${whole}.{:04}", micro / 100)
        } else {
            format!("{sign}${whole}.{micro:06}")
        };
        f.pad(&text)
    }
}

impl FromStr for MicroDollars {
    type Err = String;

    /// Reads `0.25`, `$0.25` or `3`: at most six decimals, no sign, no exponent.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("\"{text}\" is not an amount of dollars, such as 0.25");
        let digits = text.strip_prefix('$').unwrap_or(text);
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let decimal = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !decimal(whole) || !decimal(fraction) || fraction.len() > 6 {
            return Err(wrong());
        }
        let whole: i64 = whole.parse().map_err(|_| wrong())?;
        let micro: i64 = format!("{fraction:0<6}").parse().map_err(|_| wrong())?;
        let total = whole.checked_mul(1_000_000).and_then(|w| w.checked_add(micro));
        total.map(Self).ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_read_back_what_they_show() {
        for (text, micro, shown) in [
            ("0.0912", 91_200, "$0.0912"),
            ("$3", 3_000_000, "$3.0000"),
            ("0.000001", 1, "$0.000001"),
            ("1.5", 1_500_000, "$1.5000"),
        ] {
            let amount: MicroDollars = text.parse().unwrap();
            assert_eq!(amount, MicroDollars(micro));
            assert_eq!(amount.to_string(), shown);
            assert_eq!(shown.parse::<MicroDollars>().unwrap(), amount);
        }
        assert_eq!(MicroDollars(-91_200).to_string(), "-$0.0912");
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for bad in ["", "$", "-1", "1e3", "0.1234567", "1.", ".5", "a", "99999999999999999999"] {
            assert!(bad.parse::<MicroDollars>().is_err(), "{bad:?} was taken");
        }
    }
}
