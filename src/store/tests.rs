//! What a store promises, whichever store it is.

mod attempts;
mod bounds;
mod dead_letters;
mod deaths;
pub(super) mod disk;
mod files;
mod full;
mod layouts;
mod messages;
mod model;
mod reading;
mod subscribers;
mod unheard;
mod world;
