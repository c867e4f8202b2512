//! What a store promises, whichever store it is.

mod bounds;
mod dead_letters;
mod messages;
mod subscribers;
mod world;
