//! The names of clients' programs: each is kept once, however many connections call themselves so.

use std::collections::HashSet;

use http::{HeaderMap, header};
use parking_lot::Mutex;
use prometheus::IntCounter;

use crate::model::UserAgent;

/// Names that are kept, some 300 KiB at most. A site's visitors have a few hundred; a stranger who
/// makes up one for each connection fills it, and then new names are not kept.
const KNOWN_MAX: usize = 1_024;

/// The names that are known.
pub(super) struct Agents {
    known: Mutex<HashSet<UserAgent>>,
    not_kept: IntCounter,
}

impl Agents {
    pub(super) fn new(not_kept: IntCounter) -> Self {
        Self { known: Mutex::default(), not_kept }
    }

    /// What a request says its client is; none when it does not say so, or too many others do.
    pub(super) fn of(&self, headers: &HeaderMap) -> Option<UserAgent> {
        let agent = UserAgent::of(headers.get(header::USER_AGENT)?.as_bytes())?;
        let mut known = self.known.lock();
        if let Some(own) = known.get(agent.as_str()) {
            return Some(own.clone());
        }
        if known.len() >= KNOWN_MAX {
            known.retain(|own| !own.is_last());
        }
        if known.len() >= KNOWN_MAX {
            self.not_kept.inc();
            return None;
        }
        known.insert(agent.clone());
        Some(agent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agents() -> Agents {
        Agents::new(IntCounter::new("a", "b").unwrap())
    }

    fn of(agents: &Agents, name: &str) -> Option<UserAgent> {
        let mut headers = HeaderMap::new();
        headers.insert(header::USER_AGENT, name.parse().unwrap());
        agents.of(&headers)
    }

    #[test]
    fn a_name_is_kept_once_for_all_that_have_it() {
        let agents = agents();
        let (a, b) = (of(&agents, "same").unwrap(), of(&agents, "same").unwrap());
        assert!(std::ptr::eq(a.as_str(), b.as_str()));
        assert_eq!(agents.of(&HeaderMap::new()), None);
    }

    #[test]
    fn names_that_nobody_has_any_more_make_room_and_others_are_not_pushed_out() {
        let agents = agents();
        let mut held: Vec<_> = (0..KNOWN_MAX).map(|n| of(&agents, &n.to_string())).collect();
        assert_eq!(of(&agents, "one more"), None);
        assert_eq!(agents.not_kept.get(), 1);
        assert!(of(&agents, "7").is_some(), "who is known stays known");
        held.pop();
        assert!(of(&agents, "one more").is_some());
        assert_eq!(agents.known.lock().len(), KNOWN_MAX);
    }
}
