//! Is the node well? Decided from numbers, without asking anybody.

use serde_json::{Value, json};

use super::queue::{CircuitState, QueueReport};
use super::shape;
use super::statistics::Statistics;

/// More stale connections than this degrade the node.
const STALE_PERCENT_MAX: f64 = 10.0;
/// So many dead letters degrade it, as in Conduit.
const DEAD_LETTERS_DEGRADED: u64 = 100;

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
        if let Some(state) = queue.circuit_breaker_state.filter(|state| state.is_open()) {
            reasons.push(format!("the circuit breaker is {}", state.name()));
        }
        if let Some(dead) = queue.dead_letter_messages.filter(|dead| *dead >= DEAD_LETTERS_DEGRADED)
        {
            reasons.push(format!("there are {dead} dead letters"));
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

/// The body of `/health/signalr`: Conduit's, and the reasons.
pub(super) fn body(
    judgement: &Judgement,
    statistics: &Statistics,
    queue: &QueueReport,
    timestamp: &str,
) -> Value {
    let rate =
        shape::percent(statistics.total_messages_acknowledged, statistics.total_messages_sent);
    json!({
        "status": judgement.status.name(),
        "timestamp": timestamp,
        "connections": {
            "active": statistics.total_active_connections,
            "stale": statistics.stale_connections,
            "acknowledgmentRate": format!("{rate:.2}%"),
        },
        "queue": {
            "pending": queue.pending_messages,
            "deadLetter": queue.dead_letter_messages,
            "circuitBreaker": queue.circuit_breaker_state.map(CircuitState::name),
            "processed": queue.processed_messages,
            "failed": queue.failed_messages,
        },
        "reasons": judgement.reasons,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn an_open_breaker_many_dead_letters_or_a_complaint_degrade_it_too() {
        let fine = statistics(1, 0);
        let with = |change: fn(&mut QueueReport)| {
            let mut queue = QueueReport::default();
            change(&mut queue);
            status(&fine, &queue)
        };
        use CircuitState::{HalfOpen, Isolated, Open};
        assert_eq!(with(|own| own.circuit_breaker_state = Some(Open)), Status::Degraded);
        assert_eq!(with(|own| own.circuit_breaker_state = Some(Isolated)), Status::Degraded);
        assert_eq!(with(|own| own.circuit_breaker_state = Some(HalfOpen)), Status::Healthy);
        assert_eq!(with(|own| own.dead_letter_messages = Some(100)), Status::Degraded);
        assert_eq!(with(|own| own.dead_letter_messages = Some(99)), Status::Healthy);
        assert_eq!(with(|own| own.complaints.push("x".into())), Status::Degraded);
    }

    #[test]
    fn a_node_that_stops_is_unhealthy() {
        let judged = Judgement::of(&statistics(1, 0), &QueueReport::default());
        assert_eq!(judged.clone().of_node(true), Status::Healthy);
        assert_eq!(judged.of_node(false), Status::Unhealthy);
    }
}
