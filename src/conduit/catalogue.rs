//! Conduit's hubs, as they are written in `config/hubs`, embedded in the binary.

use std::sync::Arc;

use super::task_directory::TaskDirectory;
use super::task_owner::TaskOwner;
use crate::hub::catalogue::{BadDefinition, CatalogueHub, Definition, Guard, Guards};

const SOURCES: [&str; 2] = [
    include_str!("../../config/hubs/tasks.toml"),
    include_str!("../../config/hubs/enhanced-video-generation.toml"),
];

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
    use crate::delivery::AckMode;
    use crate::hub::catalogue::Authentication;

    fn definitions() -> Vec<Definition> {
        let metrics = Metrics::new(&prometheus::Registry::new()).unwrap();
        let hubs = hubs(&Arc::new(TaskDirectory::new(metrics))).unwrap();
        hubs.into_iter().map(|(definition, _)| definition).collect()
    }

    /// Name, path, ways to acknowledge, and what clients may call.
    fn shown(definition: &Definition) -> (&str, &str, &[AckMode], Vec<&str>) {
        let methods = definition.methods.iter().map(|method| method.name.as_str()).collect();
        (&definition.name, &definition.path, &definition.acks, methods)
    }

    #[test]
    fn clients_of_each_hub_can_call_what_joins_and_leaves_and_nothing_that_sends() {
        let definitions = definitions();
        let [tasks, video] = &definitions[..] else { panic!("{definitions:?}") };
        let methods = [
            "SubscribeToTask",
            "UnsubscribeFromTask",
            "SubscribeToTaskType",
            "UnsubscribeFromTaskType",
        ];
        let acks = [AckMode::None, AckMode::Method, AckMode::Result];
        assert_eq!(shown(tasks), ("tasks", "/hubs/tasks", &acks[..], methods.to_vec()));
        let name = "enhanced-video-generation";
        let acks = [AckMode::Method, AckMode::None, AckMode::Result];
        let path = "/hubs/enhanced-video-generation";
        assert_eq!(shown(video), (name, path, &acks[..], methods[..2].to_vec()));
    }

    #[test]
    fn every_hub_asks_for_a_virtual_key_and_joins_its_group() {
        for own in definitions() {
            assert_eq!(own.authentication, Authentication::VirtualKey, "{}", own.name);
            assert_eq!(own.groups_on_connect, ["vkey-{virtual_key_id}"], "{}", own.name);
        }
    }
}
