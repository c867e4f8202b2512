//! A configured value that cannot be used, and why: the same words in every room.

use std::fmt::Display;
use std::ops::RangeInclusive;

/// A setting with its full name (`publish.body_bytes_max`) and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} {problem}")]
pub struct BadSetting {
    /// The full name of the setting.
    pub field: String,
    /// What is wrong, with the limit: "must be 1 to 10, not 11".
    pub problem: String,
    /// The least, the most, and what was given, when it is about that and they are whole numbers.
    numbers: Option<[u64; 3]>,
}

impl BadSetting {
    /// Something is wrong with a setting.
    pub fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { field: field.into(), problem: problem.into(), numbers: None }
    }

    /// None when the value is in the range, both ends included.
    pub fn outside<T: PartialOrd + Display>(
        field: impl Into<String>,
        value: T,
        range: RangeInclusive<T>,
    ) -> Option<Self> {
        if range.contains(&value) {
            return None;
        }
        let (min, max) = (range.start(), range.end());
        let bad = Self::new(field, format!("must be {min} to {max}, not {value}"));
        let number = |value: &T| value.to_string().parse().ok();
        let numbers = [number(min), number(max), number(&value)];
        let [Some(min), Some(max), Some(value)] = numbers else { return Some(bad) };
        Some(Self { numbers: Some([min, max, value]), ..bad })
    }

    /// Says the numbers in a larger unit, for a reader who gave the value in it.
    pub fn count_in(&mut self, unit: u64) {
        if let Some([min, max, value]) = self.numbers
            && unit > 1
            && value.is_multiple_of(unit)
        {
            let (min, max, value) = (min.div_ceil(unit), max / unit, value / unit);
            self.problem = format!("must be {min} to {max}, not {value}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_outside_its_range_is_named_with_its_limits() {
        assert_eq!(BadSetting::outside("a.b", 5, 5..=6), None);
        let bad = BadSetting::outside("a.b", 7, 5..=6).unwrap();
        assert_eq!(bad.to_string(), "a.b must be 5 to 6, not 7");
    }

    #[test]
    fn the_numbers_can_be_said_in_a_larger_unit() {
        let mut bad = BadSetting::outside("a_ms", 60_000, 1..=32_999).unwrap();
        bad.count_in(1);
        assert_eq!(bad.problem, "must be 1 to 32999, not 60000");
        bad.count_in(1_000);
        assert_eq!(bad.problem, "must be 1 to 32, not 60");
        let mut other = BadSetting::outside("a_ms", 60_001, 1..=32_999).unwrap();
        other.count_in(1_000);
        assert_eq!(other.problem, "must be 1 to 32999, not 60001", "it was not given in seconds");
    }
}
