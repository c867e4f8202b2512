//! What a store promises, whichever store it is.

mod attempts;
mod bounds;
mod dead_letters;
mod deaths;
mod disk;
mod files;
mod full;
mod layouts;
mod messages;
mod model;
mod reading;
mod subscribers;
mod unheard;
mod world;

use std::sync::Arc;

use super::{Config, LocalStore, Metrics, Moment};

pub(crate) use disk::SimulatedDisk;

/// A store on a disk that may fail, for the tests of other rooms.
pub(crate) fn open_on(disk: &SimulatedDisk, config: Config, metrics: Metrics) -> LocalStore {
    LocalStore::open_on(Arc::new(disk.clone()), config, metrics, Moment::default()).unwrap()
}
