//! How long to wait after a failure: exponential, capped, with full jitter.

use std::time::Duration;

/// Waits in `[0, min(base · 2ⁿ, cap)]` after the failure number `n`, counted from 0.
///
/// Full jitter, because failures come in crowds (a restart, a cut cable): only a wait that may be
/// short spreads them over the whole interval. `backon` adds its jitter on top of the interval, so
/// the arithmetic is here; a test holds its intervals against backon's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
}

impl Backoff {
    /// `cap` bounds every wait, the first included.
    pub const fn new(base: Duration, cap: Duration) -> Self {
        Self { base, cap }
    }

    /// The longest wait after failure number `n`.
    pub fn ceiling(&self, n: u32) -> Duration {
        let factor = 1_u32.checked_shl(n).unwrap_or(u32::MAX);
        self.base.checked_mul(factor).map_or(self.cap, |wait| wait.min(self.cap))
    }

    /// The wait after failure number `n`. `random` is uniform over all of `u64`.
    pub fn delay(&self, n: u32, random: u64) -> Duration {
        let nanos = self.ceiling(n).as_nanos().min(u128::from(u64::MAX));
        // At most `nanos`, which fits.
        Duration::from_nanos(((nanos * u128::from(random)) >> 64) as u64)
    }
}

#[cfg(test)]
mod tests {
    use backon::{BackoffBuilder, ExponentialBuilder};
    use proptest::prelude::*;

    use super::*;

    const SEED: Backoff = Backoff::new(Duration::from_secs(2), Duration::from_secs(32));

    #[test]
    fn the_ceilings_are_backons_intervals_without_jitter() {
        let theirs = ExponentialBuilder::new()
            .with_min_delay(Duration::from_secs(2))
            .with_max_delay(Duration::from_secs(32))
            .with_factor(2.0)
            .with_max_times(12)
            .build();
        for (n, theirs) in theirs.enumerate() {
            assert_eq!(SEED.ceiling(n as u32), theirs, "{n}");
        }
    }

    #[test]
    fn a_wait_may_be_nothing_and_nearly_the_whole_ceiling() {
        assert_eq!(SEED.delay(3, 0), Duration::ZERO);
        assert_eq!(SEED.delay(3, u64::MAX / 2 + 1), Duration::from_secs(8));
        assert!(SEED.delay(3, u64::MAX) > Duration::from_millis(15_999));
    }

    proptest! {
        #[test]
        fn no_wait_is_over_its_ceiling_nor_any_over_the_cap(
            base in 0_u64..1 << 40, cap in 0_u64..1 << 40, n: u32, random: u64,
        ) {
            let (base, cap) = (Duration::from_micros(base), Duration::from_micros(cap));
            let backoff = Backoff::new(base, cap);
            prop_assert!(backoff.delay(n, random) <= backoff.ceiling(n));
            prop_assert!(backoff.ceiling(n) <= cap);
        }
    }
}
