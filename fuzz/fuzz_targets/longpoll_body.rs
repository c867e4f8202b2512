//! Bodies POSTed in any pieces, read at any moments: the session reads the bytes that were taken,
//! in order, and never more than 64 KiB wait.
#![no_main]

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::BytesMut;
use conduit_realtime::connections::Inbound;
use conduit_realtime::transport::{Inbox, Offer};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|turns: Vec<(bool, Vec<u8>)>| {
    let inbox = Arc::new(Inbox::default());
    let mut source = inbox.source();
    let mut cx = Context::from_waker(Waker::noop());
    let (mut taken, mut read) = (Vec::new(), BytesMut::new());
    for (reads, body) in turns {
        match inbox.offer(&body) {
            Offer::Taken(length) => taken.extend_from_slice(&body[..length]),
            refused => panic!("{refused:?} without a reason"),
        }
        assert!(taken.len() - read.len() <= 65_536);
        if reads && source.poll_read(&mut cx, &mut read) == Poll::Ready(Inbound::Lost) {
            panic!("lost without a reason");
        }
    }
    let _ = source.poll_read(&mut cx, &mut read);
    assert_eq!(taken, read);
});
