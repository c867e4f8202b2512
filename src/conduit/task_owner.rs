//! The rule `task_owner`: the first argument is a task of the caller's own key.

use std::sync::Arc;

use super::task_directory::TaskDirectory;
use crate::hub::catalogue::Guard;
use crate::model::Caller;

/// Asks the directory of tasks. An admin key is no exception, as in Conduit.
pub struct TaskOwner {
    tasks: Arc<TaskDirectory>,
}

impl TaskOwner {
    /// The rule over a directory.
    pub fn new(tasks: Arc<TaskDirectory>) -> Self {
        Self { tasks }
    }
}

impl Guard for TaskOwner {
    fn reasons(&self) -> &'static [&'static str] {
        &["keyless", "blank", "unknown", "foreign"]
    }

    fn check(&self, caller: &Caller, arguments: &[String]) -> Result<(), &'static str> {
        let own = caller.claim("virtual_key_id").and_then(|id| id.parse::<u32>().ok());
        let own = own.ok_or("keyless")?;
        let task = arguments.first().map_or("", String::as_str);
        if task.trim().is_empty() {
            return Err("blank");
        }
        let owner = self.tasks.owner(task).ok_or("unknown")?;
        if own == owner { Ok(()) } else { Err("foreign") }
    }

    /// The directory is in memory and forgets: a task it does not know any more is nobody else's.
    fn allows_again(&self, caller: &Caller, arguments: &[String]) -> bool {
        matches!(self.check(caller, arguments), Ok(()) | Err("unknown"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conduit::Metrics;

    #[tokio::test]
    async fn only_the_owner_of_a_known_task_passes() {
        let metrics = Metrics::new(&prometheus::Registry::new()).unwrap();
        let tasks = Arc::new(TaskDirectory::new(metrics));
        tasks.register("7", 1);
        let rule = TaskOwner::new(tasks);
        let check = |key: &str, task: &str| {
            let mut caller = Caller::of_user(key);
            caller.claims.insert("virtual_key_id".into(), key.into());
            rule.check(&caller, &[task.to_owned()])
        };
        assert_eq!(check("1", "7"), Ok(()));
        assert_eq!(check("2", "7"), Err("foreign"));
        assert_eq!(check("1", "8"), Err("unknown"));
        assert_eq!(check("1", " \t"), Err("blank"));
        let again = |key: &str, task: &str| {
            let mut caller = Caller::of_user(key);
            caller.claims.insert("virtual_key_id".into(), key.into());
            rule.allows_again(&caller, &[task.to_owned()])
        };
        assert!(again("1", "7") && !again("2", "7"));
        assert!(again("1", "8"), "forgotten, as after a restart");
        assert_eq!(rule.check(&Caller::default(), &["7".to_owned()]), Err("keyless"));
        assert!(!rule.allows_again(&Caller::default(), &["8".to_owned()]));
    }
}
