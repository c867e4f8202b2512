//! A limit on the length of files (`ulimit -f`) is an error for whoever writes, like that of a full
//! disk, and not the end of the process.

use std::io;

use tokio::signal::unix::{SignalKind, signal};

/// SIGXFSZ: a file may not grow beyond its limit. By default it ends the process.
const FILE_TOO_LONG: SignalKind = SignalKind::from_raw(25);

/// From now on such a write only fails. To be called in a runtime, before a store is opened; fails
/// when the operating system does not allow it.
pub(crate) fn outlive() -> io::Result<()> {
    // Nobody waits for the signal. Tokio listens to it for as long as the process lives.
    signal(FILE_TOO_LONG).map(drop)
}
