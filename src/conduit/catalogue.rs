//! Conduit's hubs, as they are written in `config/hubs`, embedded in the binary.

use std::sync::Arc;

use super::task_directory::TaskDirectory;
use super::task_owner::TaskOwner;
use crate::hub::catalogue::{BadDefinition, CatalogueHub, Definition, Guard, Guards};

const SOURCES: [&str; 1] = [include_str!("../../config/hubs/tasks.toml")];

/// Every hub of the product: what the catalogue says about it, and the hub itself.
pub fn hubs(tasks: &Arc<TaskDirectory>) -> Result<Vec<(Definition, CatalogueHub)>, BadDefinition> {
    let task_owner: Arc<dyn Guard> = Arc::new(TaskOwner::new(tasks.clone()));
    let guards = Guards::from([("task_owner", task_owner)]);
    let hub = |source: &&str| {
        let definition = Definition::parse(source)?;
        let hub = CatalogueHub::new(&definition, &guards)?;
        Ok((definition, hub))
    };
    SOURCES.iter().map(hub).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conduit::Metrics;
    use crate::hub::catalogue::Authentication;

    #[test]
    fn the_embedded_catalogue_is_good() {
        let metrics = Metrics::new(&prometheus::Registry::new()).unwrap();
        let hubs = hubs(&Arc::new(TaskDirectory::new(metrics))).unwrap();
        let (tasks, _) = &hubs[0];
        assert_eq!((tasks.name.as_str(), tasks.path.as_str()), ("tasks", "/hubs/tasks"));
        assert_eq!(tasks.authentication, Authentication::VirtualKey);
        let names: Vec<_> = tasks.methods.iter().map(|method| method.name.as_str()).collect();
        let expected = [
            "SubscribeToTask",
            "UnsubscribeFromTask",
            "SubscribeToTaskType",
            "UnsubscribeFromTaskType",
        ];
        assert_eq!(names, expected);
    }
}
