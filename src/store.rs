//! Store: what must not be forgotten, kept until it is settled.
//!
//! Owns: sessions and their groups, owed messages, dead letters, idempotency keys, receipts,
//! totals, last task snapshots; the files they lie in.
//! Never knows: who sends, who reads, what an argument means, that a connection has a socket.
//!
//! [`Store`] is the interface. [`LocalStore`] implements it for one node: one pure state machine
//! (`ledger`) alone in `memory` mode, and behind an append-only log (`log`) in `embedded` mode. Each
//! change of the ledger is one `record`; what the log holds is what the ledger was told, so reading
//! it back rebuilds the ledger.
//!
//! Promise: in embedded mode, what a completed future reported is found again after any cut of the
//! power, and damage to a file costs what stood in the damaged place and is reported. Nothing grows
//! without a bound, and nothing that is owed leaves without being counted.
//!
//! The room for a dead letter is taken when its message is accepted: its bytes are counted until the
//! last pair of the message is over, dead letters included, and on a full disk the reserve has room
//! for the end of each owed pair. The limits of dead letters close the door to new messages of a
//! tenant, never to a death: at most what was pending then goes over them.

mod config;
mod dead_letter;
mod health;
mod interface;
mod message;
mod names;
mod receipt;
mod session;

mod bytes;
mod record;

mod ledger;
mod local;

mod disk;
mod log;
mod writer;

mod metrics;
#[cfg(test)]
mod tests;

pub use config::{Config, Mode};
pub use dead_letter::{
    Attempt, BadRequeue, DeadFilter, DeadKey, DeadLetter, DeadPage, Death, DeathKey, Reason,
    Requeued, Spent, Target, WholeLetter,
};
pub use disk::OpenError;
pub use health::{Damage, Health};
pub use interface::{Answer, Store, StoreError};
pub use local::LocalStore;
pub use message::{
    Acceptance, Accepted, Content, Encoding, Ended, NewMessage, Outcome, Owed, OwedPage,
    PairStatus, Refusal, RefusedBy, Settle, Swept, Which,
};
pub use metrics::Metrics;
pub use names::{BadClientId, ClientKey, Identity, MessageSeq, Moment, SessionKey, SubscriberId};
pub use receipt::{Counts, PairReceipt, Receipt, Stats, Totals};
pub use session::{Departed, Joined, Moved, Open, Opened};
#[cfg(test)]
pub(crate) use tests::disk::SimulatedDisk;
