//! Streams from the client to the server (section 5.4).

use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt};

use crate::protocol::{Encoded, Protocol, ToWire, encode};

type Start = dyn FnOnce(Protocol, String) -> BoxStream<'static, Encoded> + Send;

/// One stream argument of a call. The client's task sends it, at the server's pace, until it ends
/// or the call does.
pub struct Upload {
    start: Box<Start>,
}

impl Upload {
    /// Sends every item.
    pub fn new<T: ToWire + 'static>(items: impl Stream<Item = T> + Send + 'static) -> Self {
        Self::fallible(items.map(Ok))
    }

    /// Sends every item up to an error, whose text the server's reader gets.
    pub fn fallible<T: ToWire + 'static>(
        items: impl Stream<Item = Result<T, String>> + Send + 'static,
    ) -> Self {
        let start = move |protocol, id: String| {
            let items = Some(items.boxed());
            let frames = stream::unfold((items, id), move |(items, id)| async move {
                let mut items = items?;
                let item = match items.next().await {
                    None => return Some((encode::completion_void(protocol, &id), (None, id))),
                    Some(item) => item,
                };
                let encoded = item.and_then(|item| {
                    encode::stream_item(protocol, &id, &item).map_err(|error| error.to_string())
                });
                Some(match encoded {
                    Ok(frame) => (frame, (Some(items), id)),
                    Err(error) => (encode::completion_error(protocol, &id, &error), (None, id)),
                })
            });
            frames.boxed()
        };
        Self { start: Box::new(start) }
    }

    /// Its messages, the completion included.
    pub(super) fn start(self, protocol: Protocol, id: String) -> BoxStream<'static, Encoded> {
        (self.start)(protocol, id)
    }
}
