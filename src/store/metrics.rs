//! What this room counts.

use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Registry};

use crate::model::Counting;

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
    /// Subscribers that are gone and that receipts name.
    pub former: IntGauge,
    /// Deaths that are kept to be told although their dead letters are gone.
    pub deaths: IntGauge,
    /// Such deaths that went for want of room.
    pub deaths_forgotten: IntCounter,
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
        let counting = Counting(registry);
        // A sync takes 0.1 ms on a good disk and seconds on a sick one.
        let buckets = prometheus::exponential_buckets(0.000_25, 2.0, 16)?;
        let sync_seconds = Histogram::with_opts(
            HistogramOpts::new("store_sync_seconds", "Writing and syncing one commit")
                .buckets(buckets),
        )?;
        registry.register(Box::new(sync_seconds.clone()))?;
        Ok(Self {
            pending: counting.gauge("store_pending_pairs", "Pairs that are owed")?,
            dead: counting.gauge("store_dead_letters", "Dead letters")?,
            bytes: counting.gauge("store_message_bytes", "Bytes of owed and dead messages")?,
            log_bytes: counting.gauge("store_log_bytes", "Bytes of the log's files")?,
            subscribers: counting
                .gauge("store_subscribers", "Subscribers known, those away included")?,
            former: counting
                .gauge("store_former_subscribers", "Subscribers gone that receipts name")?,
            deaths: counting
                .gauge("store_deaths", "Deaths kept to be told though their letters are gone")?,
            deaths_forgotten: counting
                .counter("store_deaths_forgotten_total", "Such deaths that had no room")?,
            commits: counting.counter("store_commits_total", "Commits of the log")?,
            commit_failures: counting
                .counter("store_commit_failures_total", "Commits that failed")?,
            sync_seconds,
            refused: counting.counters(
                "store_refused_total",
                "Messages refused by reason",
                &["reason"],
            )?,
            records_lost: counting
                .counter("store_records_lost_total", "Records that could not be read")?,
            files_set_aside: counting
                .counter("store_files_set_aside_total", "Damaged files set aside")?,
        })
    }
}
