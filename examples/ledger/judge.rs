//! The verdict: the ledger's records against the server's word.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::records::{Answer, Published, Seen};

/// `GET /api/v1/delivery/stats`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "StatsBody", into = "StatsBody")]
pub(crate) struct Stats {
    pub(crate) targeted: u64,
    pub(crate) acknowledged: u64,
    pub(crate) unconfirmed: u64,
    pub(crate) expired: u64,
    pub(crate) dead: u64,
    pub(crate) purged: u64,
    pub(crate) pending: u64,
    pub(crate) accepted: u64,
    pub(crate) settled: u64,
    pub(crate) open: u64,
}

/// The body that carries [`Stats`].
#[derive(Serialize, Deserialize)]
struct StatsBody {
    pairs: Pairs,
    messages: Messages,
}

#[derive(Serialize, Deserialize)]
struct Pairs {
    targeted: u64,
    acknowledged: u64,
    unconfirmed: u64,
    expired: u64,
    dead: u64,
    purged: u64,
    pending: u64,
}

#[derive(Serialize, Deserialize)]
struct Messages {
    accepted: u64,
    settled: u64,
    open: u64,
}

impl From<StatsBody> for Stats {
    fn from(StatsBody { pairs, messages }: StatsBody) -> Self {
        let Pairs { targeted, acknowledged, unconfirmed, expired, dead, purged, pending } = pairs;
        let Messages { accepted, settled, open } = messages;
        Self {
            targeted,
            acknowledged,
            unconfirmed,
            expired,
            dead,
            purged,
            pending,
            accepted,
            settled,
            open,
        }
    }
}

impl From<Stats> for StatsBody {
    fn from(stats: Stats) -> Self {
        let Stats { targeted, acknowledged, unconfirmed, expired, dead, purged, pending, .. } =
            stats;
        let Stats { accepted, settled, open, .. } = stats;
        Self {
            pairs: Pairs { targeted, acknowledged, unconfirmed, expired, dead, purged, pending },
            messages: Messages { accepted, settled, open },
        }
    }
}

/// `GET /api/v1/messages/{id}`, as far as it matters here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Receipt {
    pub(crate) expired: u64,
    pub(crate) dead: u64,
    pub(crate) pending: u64,
}

/// Who is in which audience.
pub(crate) trait Members {
    fn of(&self, audience: u32) -> &[u32];
}

/// What the records say by themselves.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    pub(crate) accepted: u64,
    pub(crate) refused: u64,
    pub(crate) unanswered: u64,
    /// What the 202s promised.
    pub(crate) targeted: u64,
    /// Pairs that were handled at least once.
    pub(crate) handled_pairs: u64,
    pub(crate) handled_twice: u64,
    pub(crate) redelivered: u64,
    pub(crate) reordered: u64,
    /// Messages that were refused, and handled nevertheless.
    pub(crate) refused_but_handled: u64,
    /// Accepted messages, with how many subscribers that surely were there did not handle them.
    pub(crate) missing: BTreeMap<u32, u64>,
    /// Unhandled pairs of subscribers that may have been away for too long to be owed anything.
    pub(crate) unchecked: u64,
}

/// Reads the records. `remembers` says which subscribers keep their memory.
pub(crate) fn find(
    messages: &[Published],
    seen: &[&Seen],
    members: &dyn Members,
    remembers: impl Fn(u32) -> bool,
) -> Findings {
    let mut found = Findings::default();
    for message in messages {
        match message.answer {
            Answer::None => found.unanswered += 1,
            Answer::Refused => found.refused += 1,
            Answer::Accepted { targeted } => {
                found.accepted += 1;
                found.targeted += u64::from(targeted);
                let (missing, unchecked) = missing(message, seen, members);
                found.unchecked += unchecked;
                if missing > 0 {
                    found.missing.insert(message.note.m, missing);
                }
            }
        }
    }
    for (subscriber, seen) in seen.iter().enumerate() {
        found.reordered += seen.reordered;
        for (m, sight) in &seen.sights {
            let again = u64::from(sight.handled.saturating_sub(1));
            found.handled_pairs += u64::from(sight.handled > 0);
            if remembers(u32::try_from(subscriber).unwrap_or(u32::MAX)) {
                found.handled_twice += again;
            } else {
                found.redelivered += again;
            }
            let refused = |message: &Published| message.answer == Answer::Refused;
            if messages.get(*m as usize).is_some_and(refused) {
                found.refused_but_handled += 1;
            }
        }
    }
    found
}

/// How many did not handle it: those that surely were in the audience, and the others.
fn missing(message: &Published, seen: &[&Seen], members: &dyn Members) -> (u64, u64) {
    let (mut missing, mut unchecked) = (0, 0);
    let members = members.of(message.note.audience).iter();
    for seen in members.filter_map(|member| seen.get(*member as usize)) {
        if seen.sights.get(&message.note.m).is_some_and(|sight| sight.handled > 0) {
            continue;
        }
        if seen.was_there(message) {
            missing += 1;
        } else {
            unchecked += 1;
        }
    }
    (missing, unchecked)
}

/// What is lost: not handled, and neither expired nor dead by the message's receipt, if it has one.
/// What is pending now is lost too, handled or not.
pub(crate) fn lost(
    found: &Findings,
    receipts: &BTreeMap<u32, Receipt>,
    stats: Option<&Stats>,
) -> u64 {
    let (mut lost, mut pending_and_missing) = (0, 0);
    for (m, missing) in &found.missing {
        let receipt = receipts.get(m).copied().unwrap_or_default();
        let gone = missing.saturating_sub(receipt.expired + receipt.dead);
        lost += gone;
        pending_and_missing += gone.min(receipt.pending);
    }
    let pending = stats.map_or(0, |stats| stats.pending);
    lost + pending.saturating_sub(pending_and_missing)
}

/// Every sum that does not add up, in words.
pub(crate) fn broken(found: &Findings, stats: &Stats) -> Vec<String> {
    let mut broken = Vec::new();
    let mut check = |holds: bool, words: String| {
        if !holds {
            broken.push(words);
        }
    };
    let Stats { targeted, acknowledged, unconfirmed, expired, dead, purged, pending, .. } = *stats;
    let sum = acknowledged + unconfirmed + expired + dead + purged + pending;
    check(
        targeted == sum,
        format!(
            "targeted {targeted} is not acknowledged + unconfirmed + expired + dead + purged + pending, {sum}"
        ),
    );
    let (accepted, settled, open) = (stats.accepted, stats.settled, stats.open);
    check(
        accepted == settled + open,
        format!("accepted {accepted} is not settled {settled} + open {open}"),
    );
    check(
        accepted == found.accepted || found.unanswered > 0,
        format!("the server accepted {accepted}, by its answers {}", found.accepted),
    );
    check(
        targeted == found.targeted || found.unanswered > 0,
        format!("the server targeted {targeted}, by its answers {}", found.targeted),
    );
    check(
        acknowledged <= found.handled_pairs,
        format!("{acknowledged} are acknowledged, but only {} handled", found.handled_pairs),
    );
    broken
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::{Note, Sight, Stay};

    struct Two;

    impl Members for Two {
        fn of(&self, _audience: u32) -> &[u32] {
            &[0, 1]
        }
    }

    fn accepted(m: u32, targeted: u32) -> Published {
        let note = Note { m, publisher: 0, audience: 0, lane: 0, number: m, due_us: 0 };
        let answer = Answer::Accepted { targeted };
        Published { note, began_us: 100, answered_us: 200, answer, order_known: true }
    }

    fn saw(handled: &[(u32, u32)], stays: &[(u64, u64)]) -> Seen {
        let mut seen = Seen::default();
        seen.sights.extend(handled.iter().map(|(m, handled)| (*m, Sight { handled: *handled })));
        seen.stays = stays.iter().map(|&(from_us, to_us)| Stay { from_us, to_us }).collect();
        seen
    }

    fn found(messages: &[Published], seen: &[Seen; 2]) -> Findings {
        find(messages, &[&seen[0], &seen[1]], &Two, |subscriber| subscriber == 0)
    }

    const ALWAYS: [(u64, u64); 1] = [(0, u64::MAX)];

    #[test]
    fn whoever_was_there_and_did_not_handle_it_is_missing() {
        let messages = [accepted(0, 2), accepted(1, 2)];
        let seen = [saw(&[(0, 1), (1, 1)], &ALWAYS), saw(&[(0, 1), (1, 0)], &ALWAYS)];
        let found = found(&messages, &seen);
        assert_eq!(found.missing, [(1, 1)].into());
        assert_eq!(lost(&found, &BTreeMap::new(), None), 1);
        assert_eq!((found.targeted, found.handled_pairs), (4, 3));
    }

    #[test]
    fn a_dead_letter_or_an_expiry_explains_what_is_missing_and_pending_is_lost_once() {
        let seen = [saw(&[], &ALWAYS), saw(&[], &ALWAYS)];
        let found = found(&[accepted(0, 2), accepted(1, 2)], &seen);
        let dead = Receipt { dead: 1, expired: 1, pending: 0 };
        let pending = Receipt { pending: 2, ..Receipt::default() };
        let receipts = [(0, dead), (1, pending)].into();
        let stats = Stats { pending: 2, ..Stats::default() };
        assert_eq!(lost(&found, &receipts, Some(&stats)), 2);
        let stats = Stats { pending: 5, ..Stats::default() };
        assert_eq!(lost(&found, &receipts, Some(&stats)), 5, "three were handled and never acked");
    }

    #[test]
    fn nobody_is_missing_who_was_not_surely_there_all_the_time() {
        let seen = [saw(&[], &[(150, u64::MAX)]), saw(&[], &[(0, 150), (160, u64::MAX)])];
        let found = found(&[accepted(0, 2)], &seen);
        assert_eq!((found.missing, found.unchecked), (BTreeMap::new(), 2));
    }

    #[test]
    fn a_second_run_counts_as_twice_with_a_memory_and_as_redelivered_without() {
        let seen = [saw(&[(0, 3)], &ALWAYS), saw(&[(0, 2)], &ALWAYS)];
        let found = found(&[accepted(0, 2)], &seen);
        assert_eq!((found.handled_twice, found.redelivered), (2, 1));
    }

    #[test]
    fn what_was_refused_must_not_arrive() {
        let refused = Published { answer: Answer::Refused, ..accepted(0, 0) };
        let found = found(&[refused], &[saw(&[(0, 1)], &ALWAYS), saw(&[], &ALWAYS)]);
        assert_eq!((found.refused, found.refused_but_handled), (1, 1));
    }

    #[test]
    fn sums_that_do_not_add_up_are_told_and_good_ones_are_not() {
        let seen = [saw(&[(0, 1)], &ALWAYS), saw(&[(0, 1)], &ALWAYS)];
        let found = found(&[accepted(0, 2)], &seen);
        let good = Stats {
            targeted: 2,
            acknowledged: 1,
            dead: 1,
            accepted: 1,
            settled: 1,
            ..Stats::default()
        };
        assert_eq!(broken(&found, &good), Vec::<String>::new());
        let bad = Stats { targeted: 5, acknowledged: 3, accepted: 2, ..good };
        assert_eq!(broken(&found, &bad).len(), 5, "{:?}", broken(&found, &bad));
    }
}
