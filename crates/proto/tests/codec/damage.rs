//! Bytes that nobody encoded: an error, never a panic.

use kato_core::version::NEWEST;
use kato_core::{Batch, Timestamp};
use kato_proto::store;
use proptest::prelude::*;

use super::{decode, encode, generate};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        drop(store::decode_batch(&bytes.clone().into(), NEWEST));
        drop(decode(bytes));
    }

    #[test]
    fn a_changed_batch_never_panics_and_what_is_read_encodes(
        command in generate::command(),
        place in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<bool>(),
    ) {
        let batch = Batch { at: Timestamp(1), commands: vec![command] };
        let mut bytes = store::encode_batch(&batch).to_vec();
        let place = place.index(bytes.len());
        bytes[place] = byte;
        if cut {
            bytes.truncate(place);
        }
        if let Ok(read) = store::decode_batch(&bytes.into(), NEWEST) {
            prop_assert_eq!(store::decode_batch(&store::encode_batch(&read), u32::MAX).unwrap(), read);
        }
    }

    #[test]
    fn a_state_cut_short_never_panics(
        state in generate::state(),
        place in any::<prop::sample::Index>(),
    ) {
        let mut bytes = encode(&state);
        bytes.truncate(place.index(bytes.len()));
        drop(decode(bytes));
    }
}
