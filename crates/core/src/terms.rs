//! What a price does not say of a machine that is for sale: how often its provider takes such machines back, and what is paid
//! without being used.

use std::fmt;

use crate::time::span;

/// The longest time that may be billed whole, in seconds: a month of 31 days.
pub const BILLED_S_MAX: u32 = 2_678_400;

/// On which terms a machine is sold, beside its price; none: not known. Where somebody asks for machines, the worst terms that
/// would do; none: any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Terms {
    /// No more than so many percent of such machines are taken back by their provider in a month: the class of the Spot
    /// Advisor. Of no meaning on demand.
    pub interruption_percent: Option<u32>,
    /// Whatever of so many seconds is begun is paid whole.
    pub billed_s: Option<u32>,
}

impl Terms {
    /// The worst terms that would do for both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        fn least(a: Option<u32>, b: Option<u32>) -> Option<u32> {
            a.into_iter().chain(b).min()
        }
        Self {
            interruption_percent: least(self.interruption_percent, other.interruption_percent),
            billed_s: least(self.billed_s, other.billed_s),
        }
    }
}

impl fmt::Display for Terms {
    /// What is asked for: `, at most 10% taken back in a month, billed by 1h at most`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(percent) = self.interruption_percent {
            write!(f, ", at most {percent}% taken back in a month")?;
        }
        match self.billed_s {
            Some(billed_s) => write!(f, ", billed by {} at most", span(u64::from(billed_s))),
            None => Ok(()),
        }
    }
}
