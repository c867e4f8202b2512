//! Protocol: bytes to hub messages and back, in JSON and MessagePack.
//!
//! Owns: handshake, framing, the nine message types, raw arguments and their conversion, encode once.
//! Never knows: sockets, hubs, who listens.
//! Promises: nothing a peer says makes it panic, recurse, or take more than a small multiple of the
//! message's own bytes; what it has read is well-formed wherever it is passed on.
//!
//! [`Protocol::split`] cuts a complete message off a byte stream, [`Protocol::decode`] reads it.
//! Arguments stay raw ([`RawArguments`], [`RawValue`]) until a method binds them. [`encode`] makes
//! [`Encoded`] frames that every transport can share.

mod arguments;
mod convert;
pub mod encode;
mod encoded;
mod event;
mod fields;
mod framing;
pub mod handshake;
mod json;
mod message;
mod messagepack;
pub mod metrics;
mod raw;
mod wire;

pub use arguments::Arguments;
pub use encoded::{Encoded, FrameKind};
pub use event::Event;
pub use fields::{Field, FieldPlace};
pub use framing::{DEPTH_MAX, FrameError};
pub use message::{
    Close, Completion, DecodeError, HubMessage, Invocation, InvocationKind, Outcome,
};
pub use raw::{BindError, EncodeError, RawArguments, RawValue};
pub use wire::{FromWire, Protocol, ToWire};
