//! What one session has under way: permits, streams, uploads.

use std::collections::HashMap;
use std::sync::Arc;
use std::task::Context;

use bytestring::ByteString;
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use smallvec::SmallVec;
use tokio_util::sync::CancellationToken;

use super::argument::Queues;
use super::error::{CallError, HubError};
use super::upload::{UploadEnd, UploadQueue};
use crate::protocol::{Completion, Outcome, RawValue};

/// Shared by the session's loop and its calls, which run in the same task; so it is never contended.
#[derive(Default)]
pub(super) struct Desk {
    books: Mutex<Books>,
    /// The session's loop, when it waits for a permit.
    waiting: AtomicWaker,
}

#[derive(Default)]
struct Books {
    /// Calls that hold a permit, by serial.
    permits: SmallVec<[u64; 1]>,
    calls: usize,
    /// Most connections never have any, so they cost a pointer.
    open: Option<Box<Open>>,
}

/// What runs under an id of the client's.
#[derive(Default)]
struct Open {
    streams: HashMap<ByteString, CancellationToken>,
    uploads: HashMap<ByteString, Upload>,
}

struct Upload {
    call: u64,
    queue: Arc<UploadQueue>,
}

impl Desk {
    /// Whether another plain invocation may run; if not, `cx` is woken when that changes.
    pub(super) fn has_permit(&self, permits_max: usize, cx: &mut Context<'_>) -> bool {
        if self.books.lock().permits.len() < permits_max {
            return true;
        }
        self.waiting.register(cx.waker());
        self.books.lock().permits.len() < permits_max
    }

    pub(super) fn take_permit(&self, call: u64) {
        self.books.lock().permits.push(call);
    }

    /// Gives back the permit of a call, if it still has one.
    pub(super) fn release_permit(&self, call: u64) {
        let mut books = self.books.lock();
        let before = books.permits.len();
        books.permits.retain(|holder| *holder != call);
        if books.permits.len() < before {
            drop(books);
            self.waiting.wake();
        }
    }

    /// A call begins. False when as many are under way as may be.
    pub(super) fn begin(&self, calls_max: usize) -> bool {
        let mut books = self.books.lock();
        let room = books.calls < calls_max;
        books.calls += 1;
        room
    }

    /// A call is over: everything of it is given back.
    pub(super) fn finish(&self, call: u64, stream: Option<&ByteString>, uploads: &[ByteString]) {
        self.release_permit(call);
        let mut books = self.books.lock();
        books.calls -= 1;
        let Some(open) = &mut books.open else { return };
        if let Some(id) = stream {
            open.streams.remove(id);
        }
        for id in uploads {
            if open.uploads.get(id).is_some_and(|upload| upload.call == call)
                && let Some(upload) = open.uploads.remove(id)
            {
                upload.queue.close();
            }
        }
        if open.streams.is_empty() && open.uploads.is_empty() {
            books.open = None;
        }
    }

    pub(super) fn open_stream(&self, id: &ByteString) -> Result<CancellationToken, CallError> {
        let mut books = self.books.lock();
        let streams = &mut books.open.get_or_insert_default().streams;
        if streams.contains_key(id) {
            return Err(CallError::IdInUse);
        }
        let token = CancellationToken::new();
        streams.insert(id.clone(), token.clone());
        Ok(token)
    }

    /// The client wants no more of a stream. Ids that are not known are ignored.
    pub(super) fn cancel_stream(&self, id: &str) {
        let books = self.books.lock();
        let token = books.open.as_ref().and_then(|open| open.streams.get(id)).cloned();
        drop(books);
        if let Some(token) = token {
            token.cancel();
        }
    }

    pub(super) fn open_uploads(
        &self,
        call: u64,
        ids: &[ByteString],
        items_max: usize,
    ) -> Result<Queues, CallError> {
        let mut queues = Queues::new();
        if ids.is_empty() {
            return Ok(queues);
        }
        let mut books = self.books.lock();
        let uploads = &mut books.open.get_or_insert_default().uploads;
        for id in ids {
            if uploads.contains_key(id) {
                return Err(CallError::IdInUse);
            }
            let queue = UploadQueue::new(items_max);
            uploads.insert(id.clone(), Upload { call, queue: queue.clone() });
            queues.push(queue);
        }
        Ok(queues)
    }

    /// An item of an upload; given back when there is no room, and `cx` is woken when there is.
    /// Items of unknown uploads are ignored (B09).
    pub(super) fn upload(
        &self,
        id: &str,
        item: RawValue,
        cx: &mut Context<'_>,
    ) -> Result<(), RawValue> {
        match self.queue(id) {
            Some(queue) => queue.push(item, cx),
            None => Ok(()),
        }
    }

    /// Whether an item of the upload would not have to wait; if it would, `cx` is woken in time.
    pub(super) fn has_room(&self, id: &str, cx: &mut Context<'_>) -> bool {
        self.queue(id).is_none_or(|queue| queue.has_room(cx))
    }

    /// The end of an upload; gives the completion back when it is none.
    pub(super) fn end_upload(&self, completion: Completion) -> Option<Completion> {
        let Some(queue) = self.queue(&completion.id) else { return Some(completion) };
        queue.end(match completion.outcome {
            Outcome::Void | Outcome::Value(_) => UploadEnd::Complete,
            Outcome::Error(text) => UploadEnd::Failed(HubError::Client(text.to_string())),
        });
        None
    }

    /// The connection is over: streams stop, and readers of uploads learn why.
    pub(super) fn close(&self) {
        let Some(open) = self.books.lock().open.take() else { return };
        for token in open.streams.values() {
            token.cancel();
        }
        for upload in open.uploads.values() {
            let text = "The underlying connection was closed.";
            let kind = "OperationCanceledException";
            upload.queue.end(UploadEnd::Failed(HubError::of_kind(kind, text)));
        }
    }

    fn queue(&self, id: &str) -> Option<Arc<UploadQueue>> {
        let books = self.books.lock();
        Some(books.open.as_ref()?.uploads.get(id)?.queue.clone())
    }
}
