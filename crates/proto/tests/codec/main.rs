//! What is stored reads back as it was, or is refused: never half, and never with a panic.

#![allow(clippy::unwrap_used, reason = "a test that cannot build its input has failed")]

mod damage;
mod generate;
mod refuse;
mod sharing;

use kato_core::{Batch, State, Timestamp};
use kato_proto::{InvalidMessage, store, store_v1 as pb};
use proptest::prelude::*;
use prost::Message as _;

fn encode(state: &State) -> Vec<u8> {
    pb::State::from(state).encode_to_vec()
}

fn decode(bytes: Vec<u8>) -> Result<State, InvalidMessage> {
    store::decode::<pb::State>("state", &bytes.into())?.try_into()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn every_state_reads_back_as_it_was(state in generate::state()) {
        let bytes = encode(&state);
        let read = decode(bytes.clone()).unwrap();
        prop_assert_eq!(&read, &state);
        prop_assert_eq!(encode(&read), bytes);
    }

    #[test]
    fn every_command_reads_back_as_it_was(
        commands in prop::collection::vec(generate::command(), 0..6),
        at in any::<u64>(),
    ) {
        let batch = Batch { at: Timestamp(at), commands };
        let bytes = store::encode_batch(&batch);
        let read = store::decode_batch(&bytes, u32::MAX).unwrap();
        prop_assert_eq!(&read, &batch);
        prop_assert_eq!(store::encode_batch(&read), bytes);
    }
}
