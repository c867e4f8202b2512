//! Config: gathers every room's settings, checks them all, and says what is wrong by name.
//!
//! Owns: the file, the `CONDUIT__…` variables, unknown names, the settings of hubs and the server.
//! Never knows: what a setting does.
//!
//! [`Config::load`] lays the sources over one another as trees: defaults, file, environment,
//! command line. `known` refuses names and types that no room has, and then every room checks its
//! own values. `config/gateway.toml` shows every key. `appsettings` translates what an ASP.NET server
//! would read.
//!
//! Promise: the same sources give the same configuration or the same list of problems, and a
//! problem never repeats a secret.

mod appsettings;
mod environment;
mod gathered;
mod hub;
mod known;
mod load;
mod notes;
mod overlay;
mod server;
mod session;

pub use environment::Environment;
pub use gathered::Config;
pub use hub::HubConfig;
pub use load::{BadConfig, Loaded, Overrides};
pub use notes::Notes;
pub use server::ServerConfig;
pub use session::SessionConfig;
