//! Why a call was not answered, what that means, and what to do.

use std::time::Duration;

use kato_net::Identity;
use kato_net::tls::CredentialsError;
use tonic::Code;

use super::call::CallError;
use super::dial::{self, Attempt};

/// Why a call was not answered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    #[error("your credentials cannot be used")]
    Credentials(#[source] Box<CredentialsError>),
    #[error("the certificate of {identity} expired {ago} ago")]
    Expired { identity: Box<Identity>, ago: String },
    #[error("no coordinator answers")]
    NoAnswer { attempts: Vec<Attempt> },
    #[error(transparent)]
    Call(#[from] Box<CallError>),
    #[error("the pages of the list do not end")]
    Pages,
    #[error("no coordinator went on within {within:?}")]
    GaveUp { within: Duration, last: Option<Box<ClientError>> },
}

impl ClientError {
    /// Whether the coordinator answered that there is no such thing.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Call(call) if call.code() == Code::NotFound)
    }

    /// Whether the coordinators cannot agree at the moment.
    pub(crate) fn is_unavailable(&self) -> bool {
        matches!(self, Self::Call(call) if call.code() == Code::Unavailable)
    }

    /// Whether a coordinator answered that it hears too few others.
    pub(crate) fn lacks_majority(&self) -> bool {
        matches!(self, Self::Call(call) if call.lacks_majority())
    }

    /// Whether a watch cannot go on, because what it would go on with is forgotten.
    pub(crate) fn is_compacted(&self) -> bool {
        matches!(self, Self::Call(call) if call.is_compacted())
    }

    /// Whether a watch was cut off, because this side took nothing.
    pub(crate) fn is_too_slow(&self) -> bool {
        matches!(self, Self::Call(call) if call.is_too_slow())
    }

    /// When to ask again a coordinator that has too much to do.
    pub(super) fn pause(&self) -> Option<Duration> {
        match self {
            Self::Call(call) => call.pause(),
            _ => None,
        }
    }

    /// Whether a coordinator could not get what it was asked for from somebody else in time.
    pub(crate) fn is_out_of_reach(&self) -> bool {
        match self {
            Self::Call(call) => {
                let code = call.code();
                matches!(code, Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled)
                    && !call.lacks_majority()
            }
            Self::GaveUp { last, .. } => last.as_ref().is_some_and(|last| last.is_out_of_reach()),
            _ => false,
        }
    }

    /// Whether it may be otherwise in a moment, or at another coordinator: one that stops, that is lost, or that
    /// hears too few others; an instance that is about to move.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::NoAnswer { .. } => true,
            Self::Call(call) => !matches!(
                call.code(),
                Code::NotFound
                    | Code::PermissionDenied
                    | Code::Unauthenticated
                    | Code::InvalidArgument
                    | Code::Unimplemented
            ),
            _ => false,
        }
    }

    /// Whether there was no answer in time.
    pub(crate) fn is_late(&self) -> bool {
        matches!(self, Self::Call(call) if call.code() == Code::DeadlineExceeded)
    }

    /// Further lines.
    pub(crate) fn details(&self) -> Vec<String> {
        match self {
            Self::NoAnswer { attempts } => attempts.iter().map(Attempt::to_string).collect(),
            Self::Call(call) => call.details(),
            Self::GaveUp { last: Some(last), .. } => last.details(),
            _ => Vec::new(),
        }
    }

    /// What to do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            // What is wrong with a file says what would be right.
            Self::Credentials(error) if matches!(**error, CredentialsError::Pem(_)) => None,
            Self::Credentials(_) => Some(
                "`kato pki show FILE` shows whose a certificate is, and how long it is valid"
                    .to_owned(),
            ),
            Self::Expired { identity, .. } => {
                let role = identity.role.to_string().replace('/', " ");
                Some(format!(
                    "whoever holds the mesh's root makes a new one: kato pki issue {role}"
                ))
            }
            Self::NoAnswer { attempts } => Some(dial::hint(attempts)),
            Self::Call(call) => call.hint(),
            Self::GaveUp { last, .. } => last.as_ref().and_then(|last| last.hint()),
            Self::Pages => Some("the coordinator is at fault: `kato version` shows its".to_owned()),
        }
    }
}
