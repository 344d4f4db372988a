//! What is around everything that is stored: a checksum, and the version that it was written with.

use bytes::{Buf, Bytes};

use crate::StoreError;

/// Bytes of the checksum ahead of each record, and of the version behind it.
const CRC_BYTES: usize = 4;
const VERSION_BYTES: usize = 2;
/// The version that this build writes records in, and the newest that it reads.
pub(crate) const VERSION: u16 = 2;
/// The oldest that it reads: version 1 was never released.
const OLDEST: u16 = 2;

/// The payload with its version ahead, and ahead of both their CRC-32C (Castagnoli, RFC 3720 §12.1), little-endian.
pub(crate) fn seal(payload: &[u8]) -> Vec<u8> {
    seal_as(VERSION, payload)
}

/// As a build that writes another version would.
pub(crate) fn seal_as(version: u16, payload: &[u8]) -> Vec<u8> {
    let version = version.to_le_bytes();
    let checksum = crc32c::crc32c_append(crc32c::crc32c(&version), payload);
    let mut sealed = Vec::with_capacity(CRC_BYTES + VERSION_BYTES + payload.len());
    sealed.extend_from_slice(&checksum.to_le_bytes());
    sealed.extend_from_slice(&version);
    sealed.extend_from_slice(payload);
    sealed
}

/// The payload, if it is what was sealed. `what` names the record in the error.
pub(crate) fn unseal(sealed: &[u8], what: impl FnOnce() -> String) -> Result<Bytes, StoreError> {
    let Some((stored, rest)) = sealed.split_first_chunk::<CRC_BYTES>() else {
        let reason = format!("it has {} bytes, less than a checksum", sealed.len());
        return Err(StoreError::Damaged { what: what(), reason });
    };
    let (stored, computed) = (u32::from_le_bytes(*stored), crc32c::crc32c(rest));
    if stored != computed || rest.len() < VERSION_BYTES {
        let reason = format!("its checksum is {computed:08x}, {stored:08x} was stored with it");
        return Err(StoreError::Damaged { what: what(), reason });
    }
    let mut payload = Bytes::copy_from_slice(rest);
    let found = payload.get_u16_le();
    check(u32::from(found), u32::from(OLDEST), u32::from(VERSION), what)?;
    Ok(payload)
}

/// Refuses a format that this build does not know, or knows no more.
pub(crate) fn check(
    found: u32,
    oldest: u32,
    known: u32,
    what: impl FnOnce() -> String,
) -> Result<(), StoreError> {
    if found > known {
        return Err(StoreError::TooNew { what: what(), found, known });
    }
    if found < oldest {
        return Err(StoreError::TooOld { what: what(), found, oldest });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_is_noticed() {
        let sealed = seal(b"placed");
        assert_eq!(unseal(&sealed, String::new).unwrap(), "placed");
        for bit in 0..sealed.len() * 8 {
            let mut damaged = sealed.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let error = unseal(&damaged, String::new).unwrap_err();
            assert!(matches!(error, StoreError::Damaged { .. }), "bit {bit}: {error}");
        }
        assert!(unseal(b"abc", String::new).is_err());
    }

    #[test]
    fn another_version_is_refused_with_the_one_that_knows_it() {
        let error = |version| {
            let sealed = seal_as(version, b"placed");
            unseal(&sealed, || "log entry 7".to_owned()).unwrap_err().to_string()
        };
        assert_eq!(
            error(VERSION + 1),
            "log entry 7 was written by a newer kato (format 3), this one knows up to 2: \
             start the newer binary"
        );
        assert!(
            error(OLDEST - 1).contains("by an older kato (format 1), this one knows from 2 on")
        );
    }
}
