//! What every seller of machines can do.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use kato_core::{MachineId, Offer, OrderId};

/// The future of a boxed method.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One committed attempt at one order: the provider's idempotency token. Asking twice under one token must not
/// make two machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token {
    /// The order.
    pub order: OrderId,
    /// The attempt, from 1.
    pub attempt: u32,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.order, self.attempt)
    }
}

/// A machine that is wanted.
#[derive(Debug, Clone)]
pub struct Create {
    /// Under which token.
    pub token: Token,
    /// Who it will be.
    pub machine: MachineId,
    /// What to buy.
    pub offer: Arc<Offer>,
}

/// A machine that the provider has for us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provided {
    /// The token that it was made under.
    pub token: Token,
    /// Who it is.
    pub machine: MachineId,
}

/// Why a provider did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// It will not do it at another time either.
    #[error("the provider refuses: {0}")]
    Refused(String),
    /// It may do it later.
    #[error("the provider does not answer: {0}")]
    Unavailable(String),
}

/// A seller of machines.
pub trait Provider: Send + Sync + 'static {
    /// Its name, as in offers.
    fn name(&self) -> &'static str;

    /// Asks for a machine. It joins by itself once it runs.
    fn create(&self, wanted: Create) -> BoxFuture<'_, Result<(), ProviderError>>;

    /// The machines that it has for us.
    fn list(&self) -> BoxFuture<'_, Result<Vec<Provided>, ProviderError>>;
}
