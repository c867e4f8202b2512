//! Server: the composition root. Builds the rooms, wires them, spawns their tasks, stops them.
//!
//! Owns: the order in which things start and stop, health, the task tree.
//! Never knows: behaviour; every decision belongs to a room.
//!
//! A user of the crate begins with [`Builder`]; the binary does the same in [`product`].

mod builder;
pub(crate) mod file_limit;
mod gate;
mod health;
mod options;
pub mod product;

mod stopping;

pub use builder::{BuildError, Builder, Server};
pub use health::Health;
pub use options::{HubRouteOptions, ServerOptions};

pub use stopping::Stopped;
