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
}

impl BadSetting {
    /// Something is wrong with a setting.
    pub fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { field: field.into(), problem: problem.into() }
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
        Some(Self::new(field, format!("must be {min} to {max}, not {value}")))
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
}
