//! What can be bought: one instance type or plan, in one region, in one market, at one price.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::version::{WITH_SURVIVAL, WITH_TERMS};
use crate::{
    LABEL_BYTES_MAX, MicroDollars, ProviderName, RegionName, Resources, Terms, Timestamp, is_label,
};

/// The processor's instruction set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Arch {
    /// `x86_64`, also called amd64: what programs are built for unless their workload says otherwise.
    #[default]
    X86_64,
    /// `arm64`, also called aarch64.
    Arm64,
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::X86_64 => "x86_64",
            Self::Arm64 => "arm64",
        })
    }
}

impl FromStr for Arch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "x86_64" => Ok(Self::X86_64),
            "arm64" => Ok(Self::Arm64),
            _ => Err(format!("\"{text}\" is not an architecture: x86_64 or arm64")),
        }
    }
}

/// A kind of GPU, or of what else providers call accelerators, by the name that they use, in capitals: `A100`, `L4`, `T4G`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GpuName(Arc<str>);

impl GpuName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for GpuName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for GpuName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if is_label(text) {
            return Ok(Self(text.to_ascii_uppercase().into()));
        }
        Err(format!(
            "\"{text}\" is not a kind of GPU: use 1 to {LABEL_BYTES_MAX} letters, digits, \"-\", \"_\", \".\" and \"/\", such as A100"
        ))
    }
}

/// How a machine is paid for, and whether its provider may take it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Market {
    /// Kept until we give it back.
    OnDemand,
    /// Cheaper; the provider may take it back at short notice.
    Spot,
}

impl fmt::Display for Market {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::OnDemand => "on-demand",
            Self::Spot => "spot",
        })
    }
}

impl Offer {
    /// Whether meshes before version 8 have a word for all of it but its terms.
    pub fn is_plain(&self) -> bool {
        self.gpu.is_none() && self.capacity == self.capacity.plain()
    }

    /// The same as those have it.
    #[must_use]
    pub fn plain(&self) -> Self {
        let capacity = self.capacity.plain();
        Self { gpu: None, capacity, terms: Terms::default(), ..self.clone() }
    }

    /// The same as meshes of a version have it.
    #[must_use]
    pub fn as_of(self: &Arc<Self>, version: u32) -> Arc<Self> {
        let terms = Terms::default();
        match version {
            WITH_TERMS.. => Arc::clone(self),
            _ if version < WITH_SURVIVAL && !self.is_plain() => Arc::new(self.plain()),
            _ if self.terms == terms => Arc::clone(self),
            _ => Arc::new(Self { terms, ..Self::clone(self) }),
        }
    }

    /// What an hour comes to for whoever stays for so many seconds: more than the price where the last of what is paid whole is
    /// not used. In billionths of a dollar.
    pub fn price_nanos_over(&self, stay_s: u64) -> i64 {
        let nanos = self.price_micros_per_hour.0.saturating_mul(1_000);
        let billed_s = u64::from(self.terms.billed_s.unwrap_or(1).max(1));
        if stay_s == 0 || stay_s.is_multiple_of(billed_s) {
            return nanos;
        }
        let paid_s = stay_s.div_ceil(billed_s) * billed_s;
        let over =
            (i128::from(nanos) * i128::from(paid_s) + i128::from(stay_s) - 1) / i128::from(stay_s);
        i64::try_from(over).unwrap_or(i64::MAX)
    }
}

/// A machine that can be bought, with its price and where the price is from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Offer {
    /// Who sells it.
    pub provider: ProviderName,
    /// Where.
    pub region: RegionName,
    /// The provider's name for it: `t3.large`, `c3.small.x86`.
    pub kind: String,
    /// On demand or spot.
    pub market: Market,
    /// Instruction set.
    pub arch: Arch,
    /// What the whole machine has.
    pub capacity: Resources,
    /// Of which kind its GPUs are; none where it has none.
    pub gpu: Option<GpuName>,
    /// The whole machine's price.
    pub price_micros_per_hour: MicroDollars,
    /// When the price was read at its source.
    pub priced_at: Timestamp,
    /// Where the price was read.
    pub source: String,
    /// On which terms it is sold.
    pub terms: Terms,
}
