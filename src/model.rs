//! The nouns everybody shares: ids, audiences, envelopes, callers.
//!
//! Owns: the words of `docs/architecture.md` as types, and how a wrong setting is told and something
//! is counted in every room.
//! Never knows: async, bytes, sockets.

mod audience;
mod caller;
mod counting;
mod envelope;
mod ids;
mod setting;
mod transport_kind;
mod user_agent;

pub use audience::{Audience, Subject};
pub use caller::Caller;
pub use counting::Counting;
pub use envelope::{Class, Envelope, Priority};
pub use ids::{BadMessageId, ConnectionId, GroupName, HubName, MessageId, Tenant, UserId};
pub use setting::BadSetting;
pub use transport_kind::TransportKind;
pub use user_agent::UserAgent;
