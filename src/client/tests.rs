//! Promises of the client, kept against a tiny server that the tests play by hand.

mod acknowledging;
mod calling;
mod connecting;
mod peer;
mod resuming;
mod returning;
mod staying;
