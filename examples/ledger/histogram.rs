//! How long things took: buckets a sixty-fourth apart, so that memory does not grow with the run.

const STEPS: usize = 64;
const BUCKETS: usize = 64 * STEPS;

pub(crate) struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], total: 0 }
    }
}

impl Histogram {
    pub(crate) fn add(&mut self, value_us: u64) {
        self.counts[bucket(value_us)] += 1;
        self.total += 1;
    }

    /// The upper end of the bucket in which this share of all values ends, in milliseconds. None
    /// when there is no value.
    pub(crate) fn quantile_ms(&self, share: f64) -> Option<f64> {
        if self.total == 0 {
            return None;
        }
        let wanted = (self.total as f64 * share).ceil().max(1.0);
        let mut seen = 0;
        let place = self.counts.iter().position(|count| {
            seen += count;
            seen as f64 >= wanted
        });
        Some(upper_end(place.unwrap_or(BUCKETS - 1)) as f64 / 1_000.0)
    }
}

fn bucket(value: u64) -> usize {
    let value = value.max(STEPS as u64);
    let power = value.ilog2();
    let step = (value >> (power - STEPS.ilog2())) as usize % STEPS;
    (power as usize * STEPS + step).min(BUCKETS - 1)
}

fn upper_end(bucket: usize) -> u64 {
    let (power, step) = (bucket / STEPS, bucket % STEPS + 1);
    let base = 1_u64 << power.min(62);
    base.saturating_add(base / STEPS as u64 * step as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_no_further_off_than_a_sixty_fourth() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile_ms(0.5), None);
        for value in 1..=100_000 {
            histogram.add(value);
        }
        for (share, exact) in [(0.5, 50.0), (0.99, 99.0), (1.0, 100.0)] {
            let found = histogram.quantile_ms(share).unwrap();
            assert!(found >= exact && found <= exact * 1.017, "{share}: {found}");
        }
    }
}
