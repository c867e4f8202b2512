//! What this room counts.

use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// Handles resolved once; counting is one atomic addition. No label comes from a client.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Pairs that are owed.
    pub pending: IntGauge,
    /// Dead letters.
    pub dead: IntGauge,
    /// Bytes of owed and dead messages.
    pub bytes: IntGauge,
    /// Bytes of the log's files.
    pub log_bytes: IntGauge,
    /// Subscribers known.
    pub subscribers: IntGauge,
    /// Commits of the log.
    pub commits: IntCounter,
    /// Commits that failed.
    pub commit_failures: IntCounter,
    /// How long writing and syncing one commit took.
    pub sync_seconds: Histogram,
    /// Messages refused, by [`super::Refusal::name`] or [`super::StoreError::name`].
    pub refused: IntCounterVec,
    /// Records that were missing or broken when files were read.
    pub records_lost: IntCounter,
    /// Files set aside as damaged.
    pub files_set_aside: IntCounter,
}

impl Metrics {
    /// Registers the room's metrics. Errors when the registry has them already.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let counter = |name: &str, help: &str| -> prometheus::Result<IntCounter> {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        let gauge = |name: &str, help: &str| -> prometheus::Result<IntGauge> {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        let refused = IntCounterVec::new(
            Opts::new("store_refused_total", "Messages refused by reason"),
            &["reason"],
        )?;
        registry.register(Box::new(refused.clone()))?;
        // A sync takes 0.1 ms on a good disk and seconds on a sick one.
        let buckets = prometheus::exponential_buckets(0.000_25, 2.0, 16)?;
        let sync_seconds = Histogram::with_opts(
            HistogramOpts::new("store_sync_seconds", "Writing and syncing one commit")
                .buckets(buckets),
        )?;
        registry.register(Box::new(sync_seconds.clone()))?;
        Ok(Self {
            pending: gauge("store_pending_pairs", "Pairs that are owed")?,
            dead: gauge("store_dead_letters", "Dead letters")?,
            bytes: gauge("store_message_bytes", "Bytes of owed and dead messages")?,
            log_bytes: gauge("store_log_bytes", "Bytes of the log's files")?,
            subscribers: gauge("store_subscribers", "Subscribers known, those away included")?,
            commits: counter("store_commits_total", "Commits of the log")?,
            commit_failures: counter("store_commit_failures_total", "Commits that failed")?,
            sync_seconds,
            refused,
            records_lost: counter("store_records_lost_total", "Records that could not be read")?,
            files_set_aside: counter("store_files_set_aside_total", "Damaged files set aside")?,
        })
    }
}
