//! How many lost connections may wait for their clients, in all and for one caller.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

/// Counts parked connections per caller. An entry lives while its count is above zero, so the map
/// is bounded by `total_max`.
#[derive(Debug)]
pub(super) struct Parking {
    total_max: usize,
    per_caller_max: usize,
    parked: Mutex<Parked>,
}

#[derive(Debug, Default)]
struct Parked {
    total: usize,
    per_caller: HashMap<Arc<str>, usize>,
}

impl Parking {
    pub(super) fn new(total_max: usize, per_caller_max: usize) -> Self {
        Self { total_max, per_caller_max, parked: Mutex::default() }
    }

    /// Takes a place, unless the node or the caller has no more.
    pub(super) fn enter(&self, caller: &Arc<str>) -> bool {
        let mut parked = self.parked.lock();
        let own = parked.per_caller.get(caller).copied().unwrap_or(0);
        if parked.total >= self.total_max || own >= self.per_caller_max {
            return false;
        }
        parked.total += 1;
        parked.per_caller.insert(caller.clone(), own + 1);
        true
    }

    /// Gives the place back.
    pub(super) fn leave(&self, caller: &Arc<str>) {
        let mut parked = self.parked.lock();
        parked.total = parked.total.saturating_sub(1);
        if let Some(own) = parked.per_caller.get_mut(caller) {
            *own -= 1;
            if *own == 0 {
                parked.per_caller.remove(caller);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_cannot_take_the_places_of_others() {
        let parking = Parking::new(3, 2);
        let (greedy, other): (Arc<str>, Arc<str>) = ("greedy".into(), "other".into());
        assert!(parking.enter(&greedy) && parking.enter(&greedy));
        assert!(!parking.enter(&greedy), "over the caller's bound");
        assert!(parking.enter(&other));
        assert!(!parking.enter(&"third".into()), "over the node's bound");
        parking.leave(&greedy);
        assert!(parking.enter(&greedy));
    }
}
