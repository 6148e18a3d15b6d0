//! Frames: what one sync makes durable, as a whole or not at all.
//!
//! Layout, little endian: magic u32, payload length u32, sequence u64, CRC-32 of length, sequence and payload u32, zero u32, the payload (items
//! in postcard), zeros up to a multiple of 8. Sequences are consecutive through all segments.

use super::Item;

const MAGIC: u32 = 0x4643_4c47;
pub(super) const HEADER_BYTES: usize = 24;

/// Appends a frame to `out`.
pub(super) fn encode(items: &[Item], sequence: u64, out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + HEADER_BYTES, 0);
    postcard::to_io(items, &mut *out).expect("items encode into memory");
    let length = u32::try_from(out.len() - start - HEADER_BYTES).expect("a frame is under 4 GiB");
    let checksum = checksum(length, sequence, &out[start + HEADER_BYTES..]);
    let header = &mut out[start..start + HEADER_BYTES];
    header[0..4].copy_from_slice(&MAGIC.to_le_bytes());
    header[4..8].copy_from_slice(&length.to_le_bytes());
    header[8..16].copy_from_slice(&sequence.to_le_bytes());
    header[16..20].copy_from_slice(&checksum.to_le_bytes());
    out.resize(out.len().next_multiple_of(8), 0);
}

/// A frame found in a segment.
pub(super) struct Found {
    pub(super) items: Vec<Item>,
    pub(super) sequence: u64,
    /// With header and padding.
    pub(super) bytes: usize,
}

/// The frame at the start of `bytes`, if a whole and undamaged one is there.
pub(super) fn decode(bytes: &[u8]) -> Option<Found> {
    if word(bytes, 0)? != MAGIC {
        return None;
    }
    let length = word(bytes, 4)?;
    let sequence = u64::from_le_bytes(bytes.get(8..16)?.try_into().ok()?);
    let payload = bytes.get(HEADER_BYTES..HEADER_BYTES.checked_add(length as usize)?)?;
    if checksum(length, sequence, payload) != word(bytes, 16)? {
        return None;
    }
    let items = postcard::from_bytes(payload).ok()?;
    Some(Found { items, sequence, bytes: (HEADER_BYTES + payload.len()).next_multiple_of(8) })
}

/// Does a frame begin at the start of `bytes` that is longer than they are?
pub(super) fn is_cut_off(bytes: &[u8]) -> bool {
    let is_longer = |length| length as usize > bytes.len().saturating_sub(HEADER_BYTES);
    word(bytes, 0) == Some(MAGIC) && word(bytes, 4).is_some_and(is_longer)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn checksum(length: u32, sequence: u64, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length.to_le_bytes());
    hasher.update(&sequence.to_le_bytes());
    hasher.update(payload);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_comes_back_whole_or_not_at_all() {
        let mut bytes = Vec::new();
        encode(&[Item::TruncateAfter(Some(7)), Item::TruncateAfter(None)], 42, &mut bytes);
        let found = decode(&bytes).unwrap();
        assert_eq!((found.sequence, found.bytes, found.items.len()), (42, bytes.len(), 2));
        for index in 0..HEADER_BYTES + 4 {
            let mut damaged = bytes.clone();
            damaged[index] ^= 0x40;
            // The last word of the header is not used.
            assert_eq!(decode(&damaged).is_some(), (20..24).contains(&index), "byte {index}");
        }
        assert!(decode(&bytes[..HEADER_BYTES + 2]).is_none());
    }
}
