//! Chance that a seed fixes (splitmix64): the same seed, the same plan, on every machine.

use std::time::Duration;

pub(crate) struct Random(u64);

impl Random {
    /// One stream of chance of many under the same seed.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let mut random = Self(seed ^ stream.wrapping_mul(0xd134_2543_de82_ef95));
        random.next();
        random
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to `bound`, without it; 0 for a bound of 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.next()) * u128::from(bound);
        u64::try_from(wide >> 64).unwrap_or_default()
    }

    pub(crate) fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    pub(crate) fn between_ms(&mut self, min: u64, max: u64) -> Duration {
        Duration::from_millis(min + self.below(max - min + 1))
    }

    /// Some of `count` places, at least one where there is any.
    pub(crate) fn some_of(&mut self, count: usize, one_in: u64) -> Vec<usize> {
        let mut places: Vec<usize> = (0..count).filter(|_| self.one_in(one_in)).collect();
        if places.is_empty() && count > 0 {
            places.push(usize::try_from(self.below(count as u64)).unwrap_or_default());
        }
        places
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for place in (1..items.len()).rev() {
            let other = usize::try_from(self.below(place as u64 + 1)).unwrap_or_default();
            items.swap(place, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_fixes_everything_and_streams_differ() {
        let drawn = |stream| {
            let mut random = Random::new(7, stream);
            (0..5).map(|_| random.below(1_000)).collect::<Vec<_>>()
        };
        assert_eq!(drawn(1), drawn(1));
        assert_ne!(drawn(1), drawn(2));
        assert!(Random::new(7, 1).some_of(50, 1_000_000).len() == 1);
    }
}
