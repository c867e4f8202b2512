//! Conduit: what the product's hubs mean.
//!
//! Owns: the catalogue of Conduit's hubs (`config/hubs/*.toml`), the rules that guard their groups,
//! and the directory of tasks.
//! Never knows: bytes, sockets, retries.

mod metrics;
mod task_directory;

pub use metrics::Metrics;
pub use task_directory::TaskDirectory;
