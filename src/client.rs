//! Client: a SignalR client over WebSockets, for tests, `listen` and load.
//!
//! Owns: negotiation, the handshake's other side, calls under way, handlers, pings, resumption;
//! acknowledging and what a subscriber remembers of it, coming back after a lost connection.
//! Never knows: hubs, connections of the server, configuration, which server it talks to.
//! Promise: one task per client owns the socket and ends with the last handle; every queue has a
//! bound, and every wait for the network a deadline ([`Settings`]). Only the next event and the next
//! item of a stream may take as long as the connection lives.
//!
//! ```no_run
//! # use conduit_realtime::client::Client;
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::builder("http://127.0.0.1:8080/hubs/tasks").access_token("key").connect().await?;
//! let mut progress = client.events("TaskProgress");
//! client.invoke::<()>("SubscribeToTask", ("7",)).await?;
//! let (task, percent) = progress.recv().await?.bind::<(String, u8)>()?;
//! client.stop().await;
//! # Ok(()) }
//! ```

// In reading order: what a caller sees, how it connects, what runs then, what that needs.
mod builder;
mod handle;
mod message;
mod settings;
mod subscriber;

mod address;
mod dial;
mod negotiate;

mod link;
mod session;

pub mod ack_methods;
mod client_id;
mod handling;
mod memory;
mod words;

mod calls;
mod error;
mod events;
mod handlers;
mod resume;
mod uploads;

#[cfg(test)]
mod tests;

pub use builder::{Acks, Builder};
pub use client_id::{ClientId, NoRandomness};
pub use error::{CallError, Closed, ConnectError};
pub use events::{EventError, EventReceiver};
pub use handle::{Client, ResultStream};
pub use handlers::{Event, Registration};
pub use memory::{MEMORY_IDS, Memory};
pub use message::{BaseFields, Message, Refusal};
pub use settings::{REDIRECTS_MAX, Settings};
pub use subscriber::{Reconnects, State, Subscriber};
pub use uploads::Upload;
