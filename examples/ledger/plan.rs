//! The plan of faults: what goes wrong and when, fixed by the seed.

use std::time::Duration;

use clap::ValueEnum;

use crate::random::Random;

/// A kind of fault, as the command line names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
pub(crate) enum Kind {
    None,
    Cut,
    Stall,
    KillClient,
    KillServer,
    FullStore,
    FullDisk,
    DupAck,
}

/// One fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A fifth of the links get a reset.
    Cut,
    /// A fifth of the links carry nothing for so long.
    Stall(Duration),
    /// An eighth of the subscribers die with all they had not acked, and come back after so long.
    KillClient(Duration),
    /// SIGKILL, and a new start after so long.
    KillServer(Duration),
    /// Nobody receives for so long, so that the tiny store fills up.
    FullStore(Duration),
    /// The disk is full for so long.
    FullDisk(Duration),
    /// A quarter of the subscribers ack again what they have handled, and what others are owed.
    DupAck,
}

/// A fault and when it happens, from the start of publishing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Planned {
    pub(crate) at: Duration,
    pub(crate) fault: Fault,
}

/// Faults of these kinds from a twentieth to nine tenths of the time: rounds in which each kind
/// comes once, in a new order.
pub(crate) fn plan(seed: u64, kinds: &[Kind], length: Duration) -> Vec<Planned> {
    let mut random = Random::new(seed, 1);
    let (mut at, end) = (length / 20, length * 9 / 10);
    let longest_gap = u64::try_from((end.saturating_sub(at)).as_millis()).unwrap_or(u64::MAX)
        / (kinds.len().max(1) as u64 + 1);
    let mut planned = Vec::new();
    let mut round = kinds.to_vec();
    while at < end && !kinds.is_empty() {
        random.shuffle(&mut round);
        for kind in &round {
            let Some(fault) = draw(*kind, &mut random) else { continue };
            if at >= end {
                break;
            }
            planned.push(Planned { at, fault });
            at += random.between_ms(longest_gap.min(200), longest_gap.clamp(200, 1_500));
        }
    }
    planned
}

fn draw(kind: Kind, random: &mut Random) -> Option<Fault> {
    Some(match kind {
        Kind::None => return None,
        Kind::Cut => Fault::Cut,
        Kind::Stall => Fault::Stall(random.between_ms(200, 3_500)),
        Kind::KillClient => Fault::KillClient(random.between_ms(50, 2_500)),
        Kind::KillServer => Fault::KillServer(random.between_ms(0, 1_000)),
        Kind::FullStore => Fault::FullStore(random.between_ms(500, 2_000)),
        Kind::FullDisk => Fault::FullDisk(random.between_ms(500, 2_500)),
        Kind::DupAck => Fault::DupAck,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Kind; 7] = [
        Kind::Cut,
        Kind::Stall,
        Kind::KillClient,
        Kind::KillServer,
        Kind::FullStore,
        Kind::FullDisk,
        Kind::DupAck,
    ];

    #[test]
    fn the_same_seed_makes_the_same_plan_and_another_one_another() {
        let minute = Duration::from_secs(60);
        assert_eq!(plan(7, &ALL, minute), plan(7, &ALL, minute));
        assert_ne!(plan(7, &ALL, minute), plan(8, &ALL, minute));
    }

    #[test]
    fn each_kind_comes_even_in_a_short_run_and_none_in_its_last_tenth() {
        for seconds in [10, 60] {
            let planned = plan(3, &ALL, Duration::from_secs(seconds));
            let kinds: std::collections::HashSet<_> =
                planned.iter().map(|one| std::mem::discriminant(&one.fault)).collect();
            assert_eq!(kinds.len(), ALL.len(), "{seconds} s: {planned:?}");
            assert!(planned.iter().all(|one| one.at < Duration::from_secs(seconds) * 9 / 10));
            assert!(planned.is_sorted_by_key(|one| one.at));
        }
    }

    #[test]
    fn without_kinds_nothing_goes_wrong() {
        assert_eq!(plan(3, &[], Duration::from_secs(60)), []);
    }
}
