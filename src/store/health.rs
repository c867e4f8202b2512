//! How the store is, for those who must know.

use super::config::Mode;
use super::names::Moment;

/// How the store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// What survives what.
    pub mode: Mode,
    /// The disk is full: nothing new is accepted, what is owed still settles.
    pub disk_full: bool,
    /// Writing fails for another reason; it is tried again.
    pub failing: Option<String>,
    /// The store has stopped for good: its thread met a bug. Only a restart helps.
    pub broken: Option<String>,
    /// What was lost when the files were read; stays until it is acknowledged.
    pub damage: Option<Damage>,
}

impl Health {
    pub(super) fn new(mode: Mode) -> Self {
        Self { mode, disk_full: false, failing: None, broken: None, damage: None }
    }

    /// Whether new messages can be accepted.
    pub fn accepts(&self) -> bool {
        !self.disk_full && self.failing.is_none() && self.broken.is_none()
    }

    /// Whether nobody needs to look.
    pub fn is_good(&self) -> bool {
        self.accepts() && self.damage.is_none()
    }
}

/// What damaged files cost, up to now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// When it was found, the last time.
    pub at: Moment,
    /// Records read then.
    pub saved: u64,
    /// Records that are missing, told from the gaps in their numbers.
    pub lost: u64,
    /// Bytes that could not be read.
    pub bytes: u64,
    /// The damaged files, as they were, under their new names.
    pub set_aside: Vec<String>,
}

impl Damage {
    /// None at all.
    pub(super) fn none(at: Moment) -> Self {
        Self { at, saved: 0, lost: 0, bytes: 0, set_aside: Vec::new() }
    }

    pub(super) fn is_none(&self) -> bool {
        self.lost == 0 && self.bytes == 0 && self.set_aside.is_empty()
    }

    /// With what was found besides, later.
    pub(super) fn and(&self, later: &Self) -> Self {
        let mut all = self.clone();
        (all.at, all.saved) = (later.at, later.saved);
        all.lost += later.lost;
        all.bytes += later.bytes;
        all.set_aside.extend(later.set_aside.iter().cloned());
        all
    }
}
