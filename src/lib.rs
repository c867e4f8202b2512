//! Conduit Realtime: a SignalR server outside .NET, as a library and one binary.
//!
//! The map of the rooms is `docs/architecture.md`; imports point down only, and
//! `tests/floor_plan.rs` holds that. Listed here from the ground up.

pub mod model;
pub mod timing;

pub mod auth;
pub mod protocol;

pub mod backplane;
pub mod client;
pub mod connections;
pub mod store;

pub mod delivery;
pub mod transport;

pub mod hub;

pub mod conduit;
pub mod publish;

pub mod observability;

pub mod cli;
pub mod config;
pub mod server;
