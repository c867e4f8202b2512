//! Whose task it is: what a client must own to hear of it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::Deserialize;
use serde::de::IgnoredAny;
use tokio::time::Instant;

use super::metrics::Metrics;

/// About 40 MB with ids of the usual length; a day of tasks at more than one a second.
const TASKS_MAX: usize = 100_000;
/// No task of Conduit runs longer.
const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
/// Characters in the id of a task.
const ID_CHARS_MAX: usize = 256;

/// The hub whose events tell of tasks, and the event that brings a new one.
const HUB: &str = "tasks";
const STARTED: &str = "TaskStarted";

/// The owners of the latest tasks, in memory. When it is full the oldest registration goes.
pub struct TaskDirectory {
    tasks: Mutex<Tasks>,
    tasks_max: usize,
    metrics: Metrics,
}

#[derive(Default)]
struct Tasks {
    by_id: HashMap<Arc<str>, Entry>,
    /// By the number of their registration: the first is the oldest.
    by_age: BTreeMap<u64, Arc<str>>,
    next: u64,
}

struct Entry {
    owner: u32,
    number: u64,
    ends_at: Instant,
}

impl TaskDirectory {
    /// An empty directory.
    pub fn new(metrics: Metrics) -> Self {
        Self::with_room_for(TASKS_MAX, metrics)
    }

    fn with_room_for(tasks_max: usize, metrics: Metrics) -> Self {
        Self { tasks: Mutex::default(), tasks_max, metrics }
    }

    /// The task belongs to the virtual key with this number, for a day from now. The last word
    /// counts: whoever publishes is trusted.
    pub fn register(&self, task: &str, owner: u32) {
        let now = Instant::now();
        let mut tasks = self.tasks.lock();
        tasks.remove(task);
        tasks.forget_ended(now);
        if tasks.by_id.len() >= self.tasks_max && tasks.forget_oldest() {
            self.metrics.tasks_dropped.inc();
        }
        tasks.insert(task.into(), owner, now + LIFETIME);
        self.metrics.tasks.set(i64::try_from(tasks.by_id.len()).unwrap_or(i64::MAX));
    }

    /// The number of the virtual key that owns the task, if the task is known.
    pub fn owner(&self, task: &str) -> Option<u32> {
        let tasks = self.tasks.lock();
        let entry = tasks.by_id.get(task)?;
        (entry.ends_at > Instant::now()).then_some(entry.owner)
    }

    /// Learns from what is published: `TaskStarted(taskId, taskType, {…, virtualKeyId})` on the hub
    /// of tasks registers the task. Anything else is nothing.
    pub fn observe(&self, hub: &str, target: &str, arguments: &str) {
        if hub != HUB || !target.eq_ignore_ascii_case(STARTED) {
            return;
        }
        if let Some((task, owner)) = started(arguments) {
            self.register(&task, owner);
        }
    }
}

impl Tasks {
    fn insert(&mut self, id: Arc<str>, owner: u32, ends_at: Instant) {
        let number = self.next;
        self.next += 1;
        self.by_age.insert(number, id.clone());
        self.by_id.insert(id, Entry { owner, number, ends_at });
    }

    fn remove(&mut self, id: &str) {
        if let Some(entry) = self.by_id.remove(id) {
            self.by_age.remove(&entry.number);
        }
    }

    fn forget_oldest(&mut self) -> bool {
        let Some((_, oldest)) = self.by_age.pop_first() else { return false };
        self.by_id.remove(&oldest);
        true
    }

    /// All live equally long, so those that have ended are the oldest.
    fn forget_ended(&mut self, now: Instant) {
        while let Some((_, oldest)) = self.by_age.first_key_value()
            && self.by_id.get(oldest).is_none_or(|entry| entry.ends_at <= now)
        {
            self.forget_oldest();
        }
    }
}

/// Only what is needed of the metadata; it may hold anything else.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    virtual_key_id: u32,
}

/// The task and its owner, when the arguments are those of the event.
fn started(arguments: &str) -> Option<(String, u32)> {
    let (task, _kind, metadata): (String, IgnoredAny, Metadata) =
        serde_json::from_str(arguments).ok()?;
    let usable = !task.trim().is_empty() && task.chars().nth(ID_CHARS_MAX).is_none();
    usable.then_some((task, metadata.virtual_key_id))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(tasks_max: usize) -> TaskDirectory {
        let metrics = Metrics::new(&prometheus::Registry::new()).unwrap();
        TaskDirectory::with_room_for(tasks_max, metrics)
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_is_known_for_a_day_after_its_last_registration() {
        let directory = directory(10);
        let hour = Duration::from_secs(3_600);
        directory.register("7", 1);
        directory.register("8", 1);
        tokio::time::advance(12 * hour).await;
        directory.register("7", 2);
        tokio::time::advance(12 * hour - Duration::from_millis(1)).await;
        assert_eq!(directory.owner("8"), Some(1));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(directory.owner("8"), None);
        assert_eq!(directory.owner("7"), Some(2), "the last word counts");
        directory.register("9", 1);
        assert_eq!(directory.tasks.lock().by_id.len(), 2, "what has ended is forgotten");
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_directory_forgets_the_oldest_and_counts_it() {
        let directory = directory(3);
        for task in ["a", "b", "c", "a", "d"] {
            directory.register(task, 1);
        }
        assert_eq!(directory.owner("b"), None, "a was registered again after it");
        for task in ["a", "c", "d"] {
            assert_eq!(directory.owner(task), Some(1), "{task}");
        }
        assert_eq!(directory.metrics.tasks_dropped.get(), 1);
        assert_eq!(directory.metrics.tasks.get(), 3);
        let tasks = directory.tasks.lock();
        assert_eq!((tasks.by_id.len(), tasks.by_age.len()), (3, 3));
    }

    #[tokio::test]
    async fn a_started_task_with_an_owner_is_registered() {
        let directory = directory(10);
        directory.observe("tasks", "TaskStarted", r#"["7","image",{"a":[],"virtualKeyId":3}]"#);
        assert_eq!(directory.owner("7"), Some(3));
    }

    #[tokio::test]
    async fn everything_else_registers_nothing() {
        let directory = directory(10);
        for (hub, target, arguments) in [
            ("bench", "TaskStarted", r#"["7","image",{"virtualKeyId":3}]"#),
            ("tasks", "TaskProgress", r#"["7","image",{"virtualKeyId":3}]"#),
            ("tasks", "TaskStarted", r#"["7","image",{}]"#),
            ("tasks", "TaskStarted", r#"["7","image",{"virtualKeyId":"x"}]"#),
            ("tasks", "TaskStarted", r#"[" ","image",{"virtualKeyId":3}]"#),
            ("tasks", "TaskStarted", r#"["7"]"#),
            ("tasks", "TaskStarted", "[]"),
        ] {
            directory.observe(hub, target, arguments);
        }
        assert!(directory.tasks.lock().by_id.is_empty());
    }
}
