//! Contents that are not in memory, filled in before an answer goes out.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::ready;

use super::LocalStore;
use super::reports::Reports;
use crate::store::dead_letter::WholeLetter;
use crate::store::disk::DiskFile;
use crate::store::interface::{Answer, StoreError};
use crate::store::ledger::{Ledger, Place, Unread};
use crate::store::log::{NotRead, content_at};
use crate::store::message::{Content, Owed};
use crate::store::names::MessageSeq;

/// An answer with a content that may be filled in later.
pub(super) trait HasContent: Send + 'static {
    fn content(&mut self) -> &mut Content;
}

impl HasContent for Owed {
    fn content(&mut self) -> &mut Content {
        &mut self.content
    }
}

impl HasContent for WholeLetter {
    fn content(&mut self) -> &mut Content {
        &mut self.content
    }
}

/// What was read, and what was not.
pub(super) struct Whole<T> {
    pub(super) read: Vec<T>,
    /// Without a content; in the same order.
    pub(super) not_read: Vec<(T, NotRead)>,
}

impl<T> Whole<T> {
    fn of(read: impl Iterator<Item = T>) -> Self {
        Self { read: read.collect(), not_read: Vec::new() }
    }
}

/// A value, and where the rest of it lies.
struct Half<T> {
    value: T,
    seq: MessageSeq,
    rest: Option<(Arc<dyn DiskFile>, Place)>,
}

impl LocalStore {
    /// Asks the ledger, and reads what is not in memory.
    pub(super) fn read_whole<T: HasContent>(
        &self,
        question: impl FnOnce(&Ledger) -> Vec<Unread<T>>,
    ) -> Answer<Whole<T>> {
        let Some(thread) = &self.thread else {
            let unread = question(&self.shared.ledger.lock());
            return ready(Ok(Whole::of(unread.into_iter().map(|unread| unread.value)))).boxed();
        };
        // The files are looked up under the lock: a file only goes when the ledger names another
        // place, and whoever holds it may read it even then.
        let ledger = self.shared.ledger.lock();
        let halves: Vec<Half<T>> = question(&ledger)
            .into_iter()
            .map(|Unread { value, seq, place }| {
                let file = place.and_then(|place| thread.files.get(place.segment));
                Half { value, seq, rest: file.zip(place) }
            })
            .collect();
        drop(ledger);
        if halves.iter().all(|half| half.rest.is_none()) {
            return ready(Ok(Whole::of(halves.into_iter().map(|half| half.value)))).boxed();
        }
        let deadline = self.shared.config.deadline();
        let shared = self.shared.clone();
        let read = async move {
            let reading = tokio::task::spawn_blocking(move || read_all(halves, &shared.reports));
            match tokio::time::timeout(deadline, reading).await {
                Ok(read) => read.map_err(|_panic| StoreError::Closed),
                Err(_elapsed) => Err(StoreError::Deadline),
            }
        };
        read.boxed()
    }
}

/// Neighbours of one message share what is read once.
fn read_all<T: HasContent>(halves: Vec<Half<T>>, reports: &Reports) -> Whole<T> {
    let mut whole = Whole { read: Vec::new(), not_read: Vec::new() };
    let mut last: Option<(MessageSeq, Result<Content, NotRead>)> = None;
    for Half { mut value, seq, rest } in halves {
        let Some((file, place)) = rest else {
            whole.read.push(value);
            continue;
        };
        let known = last.take().filter(|(of, _)| *of == seq);
        let (_, content) = last.insert(known.unwrap_or_else(|| {
            let content = content_at(&*file, place);
            if let Err(error) = &content {
                reports.not_read(seq, error);
            }
            (seq, content)
        }));
        match content {
            Ok(content) => {
                value.content().clone_from(content);
                whole.read.push(value);
            }
            Err(why) => whole.not_read.push((value, why.clone())),
        }
    }
    whole
}
