//! What a subscriber remembers of messages it has handled, so that none is handled twice.
//!
//! ```text
//!   begin ──▶ running ──succeeded──▶ handled ──▶ forgotten, the longest unused first
//!                │
//!                └──refused, or dropped with its task──▶ forgotten
//! ```

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;

/// Ids that are remembered unless said otherwise.
pub const MEMORY_IDS: usize = 10_000;

/// The ids of handled messages of one subscriber. Cloning shares it: give the same one to every
/// connection of the subscriber, and to no other.
#[derive(Clone)]
pub struct Memory {
    shared: Arc<Mutex<State>>,
}

struct State {
    max: usize,
    running: HashSet<Arc<str>>,
    /// With the number of its last use.
    handled: HashMap<Arc<str>, u64>,
    /// Uses, oldest first. Those that a later use of the same id made stale are skipped.
    uses: VecDeque<(u64, Arc<str>)>,
    next_use: u64,
}

/// What a message is to this subscriber.
pub(super) enum Begun {
    /// To be handled; ends when this is dropped.
    New(Running),
    /// A handler has it; nothing is to be done.
    Running,
    /// It was handled; to be acked again.
    Handled,
}

impl Default for Memory {
    fn default() -> Self {
        Self::new(MEMORY_IDS)
    }
}

impl Memory {
    /// Remembers so many handled ids. With 0 a repeated message is handled again.
    pub fn new(ids_max: usize) -> Self {
        let state = State {
            max: ids_max,
            running: HashSet::new(),
            handled: HashMap::new(),
            uses: VecDeque::new(),
            next_use: 0,
        };
        Self { shared: Arc::new(Mutex::new(state)) }
    }

    /// How many handled ids it remembers now.
    pub fn len(&self) -> usize {
        self.shared.lock().handled.len()
    }

    /// Whether it remembers nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A message has come.
    pub(super) fn begin(&self, id: &str) -> Begun {
        let mut state = self.shared.lock();
        if state.running.contains(id) {
            return Begun::Running;
        }
        if let Some((id, _)) = state.handled.get_key_value(id) {
            let id = id.clone();
            state.used(id);
            return Begun::Handled;
        }
        let id: Arc<str> = id.into();
        state.running.insert(id.clone());
        Begun::New(Running { memory: self.clone(), id })
    }
}

impl State {
    /// The id is the one used last; the one longest unused may go.
    fn used(&mut self, id: Arc<str>) {
        if self.max == 0 {
            return;
        }
        self.next_use += 1;
        self.handled.insert(id.clone(), self.next_use);
        self.uses.push_back((self.next_use, id));
        if self.handled.len() > self.max {
            self.forget_longest_unused();
        }
        if self.uses.len() > 2 * self.max {
            let handled = &self.handled;
            self.uses.retain(|(number, id)| handled.get(id) == Some(number));
        }
    }

    fn forget_longest_unused(&mut self) {
        while let Some((number, id)) = self.uses.pop_front() {
            // Another number means that it was used again since.
            if self.handled.get(&id) == Some(&number) {
                self.handled.remove(&id);
                return;
            }
        }
    }
}

/// A message that a handler has. Dropping it forgets the message.
pub(super) struct Running {
    memory: Memory,
    id: Arc<str>,
}

impl Running {
    /// Its handler succeeded: it is remembered.
    pub(super) fn succeeded(self) {
        self.memory.shared.lock().used(self.id.clone());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.memory.shared.lock().running.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handle(memory: &Memory, id: &str) -> bool {
        match memory.begin(id) {
            Begun::New(running) => {
                running.succeeded();
                true
            }
            Begun::Running | Begun::Handled => false,
        }
    }

    #[test]
    fn what_was_handled_is_not_handled_again_by_any_sharer() {
        let memory = Memory::default();
        assert!(handle(&memory, "a"));
        assert!(!handle(&memory.clone(), "a"));
        assert!(handle(&memory, "b"));
        assert_eq!(memory.len(), 2);
    }

    #[test]
    fn what_still_runs_is_neither_new_nor_handled_and_is_forgotten_when_dropped() {
        let memory = Memory::default();
        let Begun::New(running) = memory.begin("a") else { panic!("it is new") };
        assert!(matches!(memory.begin("a"), Begun::Running));
        drop(running);
        assert!(matches!(memory.begin("a"), Begun::New(_)));
        assert!(memory.is_empty());
    }

    #[test]
    fn the_longest_unused_goes_first_and_ten_thousand_stay() {
        let memory = Memory::default();
        for number in 0..MEMORY_IDS {
            assert!(handle(&memory, &number.to_string()));
        }
        assert!(!handle(&memory, "0"), "used again, so it is the youngest now");
        assert!(handle(&memory, "one more"));
        assert_eq!(memory.len(), MEMORY_IDS);
        assert!(!handle(&memory, "0"));
        assert!(handle(&memory, "1"), "the oldest went");
    }

    #[test]
    fn many_repeats_of_one_id_cost_no_room_and_push_out_nobody() {
        let memory = Memory::new(3);
        for id in ["a", "b", "c"] {
            handle(&memory, id);
        }
        for _ in 0..1_000 {
            assert!(!handle(&memory, "b"));
        }
        assert!(memory.shared.lock().uses.len() <= 6);
        handle(&memory, "d");
        assert!(handle(&memory, "a"), "the longest unused");
        assert!(!handle(&memory, "b"));
    }

    #[test]
    fn without_room_everything_is_new_again() {
        let memory = Memory::new(0);
        assert!(handle(&memory, "a"));
        assert!(handle(&memory, "a"));
    }
}
