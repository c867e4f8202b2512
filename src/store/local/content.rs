//! Contents that are not in memory, filled in before an answer goes out.

use super::LocalStore;
use crate::store::dead_letter::DeadLetter;
use crate::store::interface::Answer;
use crate::store::ledger::Unread;
use crate::store::message::{Content, Owed};

/// An answer with a content that may be filled in later.
pub(super) trait HasContent: Send + 'static {
    fn content(&mut self) -> &mut Content;
}

impl HasContent for Owed {
    fn content(&mut self) -> &mut Content {
        &mut self.content
    }
}

impl HasContent for DeadLetter {
    fn content(&mut self) -> &mut Content {
        &mut self.content
    }
}

impl LocalStore {
    pub(super) fn with_content<T: HasContent>(&self, unread: Vec<Unread<T>>) -> Answer<Vec<T>> {
        let values = unread.into_iter().map(|unread| unread.value).collect();
        Box::pin(std::future::ready(Ok(values)))
    }
}
