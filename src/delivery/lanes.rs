//! Who is next: the urgent first, tenants in turn, nobody starved.
//!
//! First deliveries wait like this until they are in all outboxes, and repeats until they are handed
//! out; neither waits for the other. What waits is bounded by what is pending.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

use crate::model::Priority;

/// Items of higher lanes that pass while a lower one waits, until one of that comes.
const AHEAD_MAX: u32 = 8;

/// How urgent something is: the order within one lane is kept, lanes pass each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Lane {
    /// Priority 7 to 10.
    Urgent,
    /// Priority 1 to 6.
    Raised,
    /// Priority 0, which is what nobody asked for.
    Normal,
}

impl Lane {
    pub(super) fn of(priority: Priority) -> Self {
        match priority.get() {
            7.. => Self::Urgent,
            1.. => Self::Raised,
            0 => Self::Normal,
        }
    }
}

/// What waits, by lane and tenant.
#[derive(Debug)]
pub(super) struct Lanes<K, T> {
    lanes: [Turns<K, T>; 3],
    len: usize,
}

/// One lane: tenants take turns, each one's own items keep their order.
#[derive(Debug)]
struct Turns<K, T> {
    waiting: HashMap<K, VecDeque<T>>,
    /// Tenants with something waiting, the next one in front.
    order: VecDeque<K>,
    /// Items of higher lanes that passed since this one's last.
    passed: u32,
}

impl<K: Clone + Eq + Hash, T> Lanes<K, T> {
    pub(super) fn new() -> Self {
        let lane = || Turns { waiting: HashMap::new(), order: VecDeque::new(), passed: 0 };
        Self { lanes: [lane(), lane(), lane()], len: 0 }
    }

    /// Adds an item at the end of its tenant's row.
    pub(super) fn push(&mut self, lane: Lane, tenant: &K, item: T) {
        self.len += 1;
        let turns = &mut self.lanes[lane as usize];
        let row = turns.waiting.entry(tenant.clone()).or_default();
        if row.is_empty() {
            turns.order.push_back(tenant.clone());
        }
        row.push_back(item);
    }

    /// The next item.
    pub(super) fn pop(&mut self) -> Option<T> {
        let starved = self.lanes.iter().rposition(|lane| lane.passed >= AHEAD_MAX);
        let chosen =
            starved.or_else(|| self.lanes.iter().position(|lane| !lane.order.is_empty()))?;
        let item = self.lanes[chosen].pop()?;
        self.lanes[chosen].passed = 0;
        for lower in &mut self.lanes[chosen + 1..] {
            lower.passed = if lower.order.is_empty() { 0 } else { lower.passed + 1 };
        }
        self.len -= 1;
        Some(item)
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.len
    }
}

impl<K: Clone + Eq + Hash, T> Turns<K, T> {
    fn pop(&mut self) -> Option<T> {
        let tenant = self.order.pop_front()?;
        let row = self.waiting.get_mut(&tenant)?;
        let item = row.pop_front();
        if row.is_empty() {
            self.waiting.remove(&tenant);
        } else {
            self.order.push_back(tenant);
        }
        item
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drained(lanes: &mut Lanes<&'static str, u32>) -> Vec<u32> {
        std::iter::from_fn(|| lanes.pop()).collect()
    }

    #[test]
    fn the_urgent_pass_and_within_a_lane_the_order_is_kept() {
        let mut lanes = Lanes::new();
        for (lane, item) in
            [(Lane::Normal, 1), (Lane::Raised, 2), (Lane::Normal, 3), (Lane::Urgent, 4)]
        {
            lanes.push(lane, &"a", item);
        }
        assert_eq!(lanes.len(), 4);
        assert_eq!(drained(&mut lanes), [4, 2, 1, 3]);
        assert_eq!(lanes.len(), 0);
    }

    #[test]
    fn a_tenant_with_a_million_does_not_keep_another_from_its_one() {
        let mut lanes = Lanes::new();
        for item in 0..100 {
            lanes.push(Lane::Normal, &"loud", item);
        }
        lanes.push(Lane::Normal, &"quiet", 1_000);
        assert_eq!(drained(&mut lanes)[..3], [0, 1_000, 1]);
    }

    #[test]
    fn a_lower_lane_is_not_starved_by_a_full_higher_one() {
        let mut lanes = Lanes::new();
        for item in 0..100 {
            lanes.push(Lane::Urgent, &"a", item);
        }
        lanes.push(Lane::Normal, &"b", 1_000);
        let place = drained(&mut lanes).iter().position(|&item| item == 1_000);
        assert_eq!(place, Some(AHEAD_MAX as usize));
    }

    #[test]
    fn priorities_fall_into_three_lanes() {
        let lane = |value| Lane::of(Priority::new(value).unwrap());
        assert_eq!([lane(0), lane(1), lane(6)], [Lane::Normal, Lane::Raised, Lane::Raised]);
        assert_eq!([lane(7), lane(10)], [Lane::Urgent, Lane::Urgent]);
    }
}
