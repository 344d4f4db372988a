//! What all conversions share: how a message that makes no sense is reported.

use std::fmt::Display;

/// A message whose fields do not make the thing that it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMessage {
    /// The bytes are not such a message.
    #[error("the bytes are not a {what}: {reason}")]
    Undecodable {
        /// Which message was expected.
        what: &'static str,
        /// What the decoder said.
        reason: String,
    },
    /// A field that must be there is not.
    #[error("the field {0} is missing")]
    Missing(&'static str),
    /// A field's value is out of its range.
    #[error("the field {field} is wrong: {reason}")]
    Wrong {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// Written by an older Káto, with a meaning that this one has forgotten.
    #[error(
        "written in version {found} of {what}, this coordinator reads versions from {oldest} on: \
         found the mesh anew in an empty directory, or go on with the Káto that wrote it"
    )]
    TooOld {
        /// What carries the version.
        what: &'static str,
        /// The version in the message.
        found: u32,
        /// The oldest that is read.
        oldest: u32,
    },
    /// Written by a newer Káto, with a meaning that this one does not know.
    #[error(
        "{what} needs mesh version {found}, this kato knows versions up to {known}: start the newer \
         binary"
    )]
    TooNew {
        /// What carries the version.
        what: &'static str,
        /// The version in the message.
        found: u32,
        /// The newest known.
        known: u32,
    },
}

/// Names the field in an error of its value.
pub trait Field<T> {
    /// The value, or an error that names `field`.
    fn field(self, field: &'static str) -> Result<T, InvalidMessage>;
}

impl<T> Field<T> for Option<T> {
    fn field(self, field: &'static str) -> Result<T, InvalidMessage> {
        self.ok_or(InvalidMessage::Missing(field))
    }
}

impl<T, E: Display> Field<T> for Result<T, E> {
    fn field(self, field: &'static str) -> Result<T, InvalidMessage> {
        self.map_err(|error| InvalidMessage::Wrong { field, reason: error.to_string() })
    }
}
