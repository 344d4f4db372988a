//! A checksum around everything that is stored.

use bytes::Bytes;

use crate::StoreError;

/// Bytes of the checksum ahead of each record.
const CRC_BYTES: usize = 4;

/// The payload with its CRC-32C ahead (Castagnoli, RFC 3720 §12.1), little-endian.
pub(crate) fn seal(payload: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::with_capacity(CRC_BYTES + payload.len());
    sealed.extend_from_slice(&crc32c::crc32c(payload).to_le_bytes());
    sealed.extend_from_slice(payload);
    sealed
}

/// The payload, if it is what was sealed. `what` names the record in the error.
pub(crate) fn unseal(sealed: &[u8], what: impl FnOnce() -> String) -> Result<Bytes, StoreError> {
    let reason = match sealed.split_first_chunk::<CRC_BYTES>() {
        None => format!("it has {} bytes, less than a checksum", sealed.len()),
        Some((crc, payload)) => match (u32::from_le_bytes(*crc), crc32c::crc32c(payload)) {
            (stored, computed) if stored == computed => return Ok(Bytes::copy_from_slice(payload)),
            (stored, computed) => {
                format!("its checksum is {computed:08x}, {stored:08x} was stored with it")
            }
        },
    };
    Err(StoreError::Damaged { what: what(), reason })
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
            assert!(unseal(&damaged, String::new).is_err(), "bit {bit}");
        }
        assert!(unseal(b"abc", String::new).is_err());
    }
}
