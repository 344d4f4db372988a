//! Random numbers that repeat: `SplitMix64` (Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators",
//! OOPSLA 2014).

pub(crate) struct Chance(pub(super) u64);

impl Chance {
    /// A number from 0 to `limit` - 1.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let below = (u128::from(mixed ^ (mixed >> 31)) * limit as u128) >> 64;
        usize::try_from(below).unwrap_or_default()
    }
}
