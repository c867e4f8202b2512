//! What a store promises, whichever store it is.

mod bounds;
mod dead_letters;
mod deaths;
pub(super) mod disk;
mod files;
mod messages;
mod model;
mod subscribers;
mod unheard;
mod world;
