//! A rule that the catalogue names and a room above implements.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::Caller;

/// Decides whether a caller may call a method with these arguments.
pub trait Guard: Send + Sync + 'static {
    /// Every reason [`Guard::check`] may give. The catalogue has the client's text for each.
    fn reasons(&self) -> &'static [&'static str];

    /// Refuses with one of [`Guard::reasons`]. Must not wait.
    fn check(&self, caller: &Caller, arguments: &[String]) -> Result<(), &'static str>;

    /// Whether a session that passed once may be in the group again when it returns. As
    /// [`Guard::check`], unless the guard can forget what it knew.
    fn allows_again(&self, caller: &Caller, arguments: &[String]) -> bool {
        self.check(caller, arguments).is_ok()
    }
}

/// Guards by the names that the catalogue uses.
pub type Guards = BTreeMap<&'static str, Arc<dyn Guard>>;
