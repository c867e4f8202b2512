//! Whether new work is taken.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Open until the server closes it, once, when it stops. Clones are the same door.
#[derive(Clone, Debug, Default)]
pub struct Door {
    closed: Arc<AtomicBool>,
}

impl Door {
    /// From now on every request is answered with 503.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// Whether requests are taken.
    pub fn is_open(&self) -> bool {
        !self.closed.load(Ordering::Acquire)
    }
}
