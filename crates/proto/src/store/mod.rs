//! Commands and state to and from their stored form.

mod command;
mod decision;
mod names;
mod parts;
pub mod past;
mod rules;
mod state;
mod topology;
mod workload;

use bytes::Bytes;
use kato_core::version::FIRST;
use kato_core::{Batch, Timestamp};
use prost::Message;

use crate::{InvalidMessage, store_v1 as pb};
pub use parts::{StateReader, head, parts};

/// Encodes a batch for the log.
pub fn encode_batch(batch: &Batch) -> Bytes {
    pb::Batch {
        version: batch.since(),
        at_unix_ms: batch.at.0,
        commands: batch.commands.iter().map(Into::into).collect(),
    }
    .encode_to_vec()
    .into()
}

/// Decodes a batch of the log, for whoever knows mesh versions up to `known`.
pub fn decode_batch(bytes: &Bytes, known: u32) -> Result<Batch, InvalidMessage> {
    let batch = decode::<pb::Batch>("batch of commands", bytes)?;
    check_version("a batch of commands", batch.version, known)?;
    let commands = batch.commands.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?;
    Ok(Batch { at: Timestamp(batch.at_unix_ms), commands })
}

/// Decodes a message, naming it in the error.
pub fn decode<M: Message + Default>(
    what: &'static str,
    bytes: &Bytes,
) -> Result<M, InvalidMessage> {
    M::decode(bytes.clone())
        .map_err(|error| InvalidMessage::Undecodable { what, reason: error.to_string() })
}

fn check_version(what: &'static str, found: u32, known: u32) -> Result<(), InvalidMessage> {
    if found < FIRST {
        return Err(InvalidMessage::TooOld { what, found, oldest: FIRST });
    }
    if found > known {
        return Err(InvalidMessage::TooNew { what, found, known });
    }
    Ok(())
}
