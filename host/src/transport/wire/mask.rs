//! The mask of a client's frames, RFC 6455, section 5.3.

/// Takes it off, or puts it on: both are the same.
pub(super) fn unmask(bytes: &mut [u8], mask: [u8; 4]) {
    // Eight bytes at a time, which the compiler makes vectors of.
    let half = u64::from(u32::from_ne_bytes(mask));
    let wide = half | half << 32;
    let (chunks, rest) = bytes.as_chunks_mut::<8>();
    for chunk in chunks {
        *chunk = (u64::from_ne_bytes(*chunk) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask.into_iter().cycle()) {
        *byte ^= mask;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_meets_the_one_of_the_mask_at_its_place() {
        let mask = [0x37, 0xfa, 0x21, 0x3d];
        for length in 0..40_u8 {
            let plain: Vec<u8> = (0..length).collect();
            let mut bytes = plain.clone();
            unmask(&mut bytes, mask);
            for (place, (masked, plain)) in bytes.iter().zip(&plain).enumerate() {
                assert_eq!(*masked, plain ^ mask[place % 4], "byte {place} of {length}");
            }
        }
    }
}
