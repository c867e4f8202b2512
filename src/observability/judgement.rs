//! Is the node well? Decided from numbers, without asking anybody.

use serde_json::{Value, json};

use super::queue::QueueReport;
use super::shape;
use super::statistics::Statistics;
use crate::delivery::{BreakerState, Counts};

/// More stale connections than this degrade the node.
const STALE_PERCENT_MAX: f64 = 10.0;
/// So many dead letters degrade it, as in Conduit.
const DEAD_LETTERS_DEGRADED: u64 = 100;
/// A queue that is fuller degrades it: soon publishers will be refused.
const QUEUE_PERCENT_MAX: f64 = 90.0;

/// The node's health, in ASP.NET's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// All is well.
    Healthy,
    /// It serves, and somebody should look.
    Degraded,
    /// It must not be sent anybody.
    Unhealthy,
}

impl Status {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Healthy => "Healthy",
            Self::Degraded => "Degraded",
            Self::Unhealthy => "Unhealthy",
        }
    }
}

/// A status, and why it is not better.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Judgement {
    pub(super) status: Status,
    pub(super) reasons: Vec<String>,
}

impl Judgement {
    /// Of the realtime part: never worse than degraded, for clients are still served.
    pub(super) fn of(statistics: &Statistics, queue: &QueueReport) -> Self {
        let mut reasons = Vec::new();
        let stale = statistics.stale_percent();
        if stale > STALE_PERCENT_MAX {
            reasons.push(format!("{stale:.0} % of the connections are stale"));
        }
        if let Some(word) = queue.breakers.and_then(|own| held_open(own.store)) {
            reasons.push(format!("the circuit breaker of the store is {word}"));
        }
        let Counts { pending, dead, .. } = queue.pairs.unwrap_or_default();
        if dead >= DEAD_LETTERS_DEGRADED {
            reasons.push(format!("there are {dead} dead letters"));
        }
        let full = shape::percent(pending, queue.pending_max.unwrap_or(0));
        if full > QUEUE_PERCENT_MAX {
            reasons.push(format!("the queue is {full:.0} % full"));
        }
        reasons.extend(queue.complaints.iter().cloned());
        let status = if reasons.is_empty() { Status::Healthy } else { Status::Degraded };
        Self { status, reasons }
    }

    /// Of the node as a whole.
    pub(super) fn of_node(self, ready: bool) -> Status {
        if ready { self.status } else { Status::Unhealthy }
    }
}

/// What a breaker that lets nothing through is called; none of one that does.
fn held_open(breaker: BreakerState) -> Option<&'static str> {
    match breaker {
        BreakerState::Open => Some("open"),
        BreakerState::Isolated => Some("held open by an operator"),
        BreakerState::Closed | BreakerState::HalfOpen => None,
    }
}

/// Conduit's names of a breaker's states.
fn circuit(breaker: BreakerState) -> &'static str {
    match breaker {
        BreakerState::Closed => "Closed",
        BreakerState::Open => "Open",
        BreakerState::HalfOpen => "HalfOpen",
        BreakerState::Isolated => "Isolated",
    }
}

/// The body of `/health/signalr`: Conduit's, and below it what Conduit does not have.
pub(super) fn body(
    judgement: &Judgement,
    statistics: &Statistics,
    queue: &QueueReport,
    timestamp: &str,
) -> Value {
    let rate =
        shape::percent(statistics.total_messages_acknowledged, statistics.total_messages_sent);
    let pairs = queue.pairs.as_ref();
    let (breakers, under_way) = (queue.breakers.as_ref(), queue.under_way.as_ref());
    json!({
        "status": judgement.status.name(),
        "timestamp": timestamp,
        "connections": {
            "active": statistics.total_active_connections,
            "stale": statistics.stale_connections,
            "acknowledgmentRate": format!("{rate:.2}%"),
        },
        "queue": {
            "pending": pairs.map(|own| own.pending),
            "deadLetter": pairs.map(|own| own.dead),
            "circuitBreaker": breakers.map(|own| circuit(own.store)),
            "processed": pairs.map(|own| own.acknowledged + own.unconfirmed),
            "failed": pairs.map(|own| own.dead + own.purged + own.expired),
            "inFlight": under_way.map(|own| own.in_flight),
            "repeatsWaiting": under_way.map(|own| own.repeats_waiting),
            "subscribersBehind": under_way.map(|own| own.behind),
        },
        "subscriberBreakers": breakers.map(|own| json!({
            "open": own.open,
            "halfOpen": own.half_open,
            "isolated": own.isolated,
        })),
        "reasons": judgement.reasons,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::Breakers;

    fn statistics(active: usize, stale: usize) -> Statistics {
        Statistics {
            total_active_connections: active,
            stale_connections: stale,
            ..Statistics::default()
        }
    }

    fn status(statistics: &Statistics, queue: &QueueReport) -> Status {
        Judgement::of(statistics, queue).status
    }

    #[test]
    fn more_than_a_tenth_of_stale_connections_degrades_the_node() {
        let none = QueueReport::default();
        assert_eq!(status(&statistics(0, 0), &none), Status::Healthy);
        assert_eq!(status(&statistics(10, 1), &none), Status::Healthy);
        assert_eq!(status(&statistics(19, 2), &none), Status::Degraded);
    }

    #[test]
    fn an_open_breaker_of_the_store_many_dead_letters_or_a_complaint_degrade_it_too() {
        use BreakerState::{Closed, HalfOpen, Isolated, Open};
        let fine = statistics(1, 0);
        let of = |queue: QueueReport| status(&fine, &queue);
        let breaker = |store, open| {
            let breakers = Breakers { store, store_failures: 9, open, half_open: 9, isolated: 9 };
            of(QueueReport { breakers: Some(breakers), ..QueueReport::default() })
        };
        assert_eq!(breaker(Open, 0), Status::Degraded);
        assert_eq!(breaker(Isolated, 0), Status::Degraded);
        assert_eq!(breaker(HalfOpen, 0), Status::Healthy);
        assert_eq!(breaker(Closed, 9), Status::Healthy, "a client's own is nobody else's problem");
        let dead = |dead| {
            let pairs = Some(Counts { dead, ..Counts::default() });
            of(QueueReport { pairs, ..QueueReport::default() })
        };
        assert_eq!((dead(99), dead(100)), (Status::Healthy, Status::Degraded));
        let complaints = vec!["x".to_owned()];
        assert_eq!(of(QueueReport { complaints, ..QueueReport::default() }), Status::Degraded);
    }

    #[test]
    fn a_queue_that_is_nearly_full_degrades_it_before_publishers_are_refused() {
        let with = |pending, pending_max| {
            let pairs = Some(Counts { pending, ..Counts::default() });
            status(&statistics(1, 0), &QueueReport { pairs, pending_max, ..QueueReport::default() })
        };
        assert_eq!(with(900, Some(1_000)), Status::Healthy);
        assert_eq!(with(901, Some(1_000)), Status::Degraded);
        assert_eq!(with(901, None), Status::Healthy, "without a limit there is no full");
    }

    #[test]
    fn a_node_that_stops_is_unhealthy() {
        let judged = Judgement::of(&statistics(1, 0), &QueueReport::default());
        assert_eq!(judged.clone().of_node(true), Status::Healthy);
        assert_eq!(judged.of_node(false), Status::Unhealthy);
    }
}
