//! What a price does not say of a machine that is for sale: how often its provider takes such machines back, and what is paid
//! without being used.

use std::fmt;

use crate::Market;
use crate::time::span;

/// On which terms a machine is sold, beside its price; and, where somebody asks for machines, the worst terms that would do.
/// What is not known is worse than anything that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Terms {
    /// No more than so many percent of such machines are taken back by their provider in a month: the class of the Spot
    /// Advisor. Of no meaning on demand.
    pub interruption_percent: Option<u32>,
    /// Whatever of so many seconds is begun is paid whole.
    pub billed_s: Option<u32>,
}

impl Terms {
    /// Whether these are no worse than the worst that would do.
    pub fn are_within(self, worst: Self, market: Market) -> bool {
        fn within(of: Option<u32>, worst: Option<u32>) -> bool {
            worst.is_none_or(|worst| of.is_some_and(|of| of <= worst))
        }
        let stays = market == Market::OnDemand;
        (stays || within(self.interruption_percent, worst.interruption_percent))
            && within(self.billed_s, worst.billed_s)
    }

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
    /// What is asked for: `, at most 10% taken back in a month, billed by 1min at most`.
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
