//! Conduit: what the product's hubs mean.
//!
//! Owns: the catalogue of Conduit's hubs (`config/hubs/*.toml`), the rules that guard their groups,
//! and the directory of tasks.
//! Never knows: bytes, sockets, retries.

mod catalogue;
mod task_directory;
mod task_owner;

mod metrics;

pub use catalogue::hubs;
pub use metrics::Metrics;
pub use task_directory::TaskDirectory;
pub use task_owner::TaskOwner;
