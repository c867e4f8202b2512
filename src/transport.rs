//! Transports: bytes between one client and its [`crate::connections::Pipe`].
//!
//! Owns: the accept loop, negotiate, connection tokens, WebSockets, Server-Sent Events, long
//! polling, CORS.
//! Never knows: hub messages, hubs, what the bytes mean.
//!
//! [`serve`] accepts sockets and runs the application's router on them. [`Transport::router`] makes
//! the routes of each hub. A request finds its slot in the table by its secret token; the first GET
//! attaches a transport to it and starts the conversation of the hub's
//! [`Endpoint`](crate::connections::Endpoint). After an upgrade the socket belongs to the
//! connection alone: nothing of HTTP stays behind it.
//!
//! Promise: an idle WebSocket holds no buffer, and nothing a client sends is kept beyond a limit.

mod accept;
mod config;
mod cors;
mod io;
mod metrics;

mod agents;
mod answer;
mod negotiate;
mod query;
mod room;
mod router;
mod table;
mod token;

mod inbox;
mod polling;
mod post;
mod sse;
mod websocket;

pub use accept::serve;
pub use config::{Config, TransportKind, Transports};
pub use cors::Cors;
pub use inbox::{Inbox, Offer};
pub use metrics::Metrics;
pub use room::Transport;
pub use router::HubRoute;
pub use websocket::{Fed, FrameReader, Violation, close_frame};
