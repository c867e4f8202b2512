//! Counters and gauges as every room makes them: named, explained, registered.

use prometheus::core::Collector;
use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    Result,
};

/// Registers what the rooms count. Each call errors when the registry has that name already.
#[derive(Clone, Copy)]
pub struct Counting<'a>(pub &'a Registry);

impl Counting<'_> {
    /// Something that only grows.
    pub fn counter(self, name: &str, help: &str) -> Result<IntCounter> {
        self.register(IntCounter::new(name, help)?)
    }

    /// Something that only grows, by labels whose values are bounded.
    pub fn counters(self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec> {
        self.register(IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    /// Something that is so many now.
    pub fn gauge(self, name: &str, help: &str) -> Result<IntGauge> {
        self.register(IntGauge::new(name, help)?)
    }

    /// Something that is so many now, by labels whose values are bounded.
    pub fn gauges(self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec> {
        self.register(IntGaugeVec::new(Opts::new(name, help), labels)?)
    }

    /// How much or how long, by labels whose values are bounded; a bucket for each upper bound.
    pub fn histograms(
        self,
        name: &str,
        help: &str,
        labels: &[&str],
        bounds: Vec<f64>,
    ) -> Result<HistogramVec> {
        let options = HistogramOpts::new(name, help).buckets(bounds);
        self.register(HistogramVec::new(options, labels)?)
    }

    fn register<C: Collector + Clone + 'static>(self, own: C) -> Result<C> {
        self.0.register(Box::new(own.clone()))?;
        Ok(own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_seen_in_the_registry_and_a_name_is_taken_once() {
        let registry = Registry::new();
        let counting = Counting(&registry);
        counting.counter("messages_total", "Messages").unwrap().inc_by(3);
        counting.gauges("open", "Open ones", &["hub"]).unwrap().with_label_values(&["a"]).set(2);
        let families = registry.gather();
        let names: Vec<_> = families.iter().map(|family| family.name()).collect();
        assert_eq!(names, ["messages_total", "open"]);
        assert!(counting.gauge("open", "Open ones").is_err());
    }
}
