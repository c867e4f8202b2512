//! What an outbox promises to fast, slow, parked and stateful readers.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;

use super::*;
use crate::connections::sink::Sink;
use crate::protocol::{Encoded, FrameKind};

/// A socket that takes as many bytes as the test allows.
#[derive(Default)]
struct FakeSocket {
    room: AtomicUsize,
    taken: Mutex<Vec<u8>>,
    writes: AtomicUsize,
}

impl FakeSocket {
    fn with_room(room: usize) -> Arc<Self> {
        Arc::new(Self { room: room.into(), ..Self::default() })
    }

    fn text(&self) -> String {
        // Headers of short frames are two bytes each; the letters are what tests look at.
        self.taken.lock().iter().filter(|b| b.is_ascii_alphabetic()).map(|&b| b as char).collect()
    }
}

impl Sink for FakeSocket {
    fn try_write(&self, frames: &[IoSlice<'_>]) -> io::Result<usize> {
        self.writes.fetch_add(1, Ordering::Relaxed);
        let all: Vec<u8> = frames.iter().flat_map(|frame| frame.iter().copied()).collect();
        let taken = all.len().min(self.room.load(Ordering::Relaxed));
        if taken == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.room.fetch_sub(taken, Ordering::Relaxed);
        self.taken.lock().extend_from_slice(&all[..taken]);
        Ok(taken)
    }

    fn writable(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::pending())
    }

    fn close_frame(&self, _code: u16) -> Bytes {
        Bytes::from_static(b"Z")
    }

    fn shutdown(&self) {}

    fn reset(&self) {}
}

fn bounds(messages_max: usize, bytes_max: usize) -> Bounds {
    Bounds { bytes_max, messages_max, total_bytes_max: 1_000_000, total_bytes: 0.into() }
}

fn encoded(text: &str) -> Encoded {
    Encoded::from_payload(FrameKind::Binary, text.as_bytes())
}

fn ordered(text: &str) -> Arc<Frame> {
    Frame::ordered(encoded(text))
}

fn volatile(text: &str, key: &str) -> Arc<Frame> {
    Frame::volatile(encoded(text), key.into())
}

fn attached(socket: &Arc<FakeSocket>) -> Outbox {
    let mut outbox = Outbox::default();
    outbox.attach(Outlet::Direct(socket.clone()));
    outbox
}

/// The flusher comes, as often as it was told to.
fn flushed(outbox: &mut Outbox, bounds: &Bounds) -> Flushed {
    let sink = match outbox.outlet() {
        Some(Outlet::Direct(sink)) if outbox.flusher == Flusher::Waiting => Some(sink.clone()),
        _ => None,
    };
    outbox.flush_queued(sink.as_ref(), bounds).0
}

fn total(bounds: &Bounds) -> usize {
    bounds.total_bytes.load(Ordering::Relaxed)
}

#[test]
fn what_was_appended_in_one_turn_leaves_in_one_write() {
    let (socket, bounds) = (FakeSocket::with_room(1_000), bounds(100, 1_000));
    let mut outbox = attached(&socket);
    assert_eq!(outbox.offer(ordered("a"), &bounds), Offered::Queued(Wake::Flusher));
    assert_eq!(outbox.offer(ordered("b"), &bounds), Offered::Queued(Wake::Nobody));
    assert_eq!(flushed(&mut outbox, &bounds), Flushed::Drained);
    assert_eq!(socket.text(), "ab");
    assert_eq!(socket.writes.load(Ordering::Relaxed), 1);
    assert_eq!(total(&bounds), 0);
}

#[test]
fn a_frame_that_the_socket_took_in_part_is_finished_before_the_next() {
    let (socket, bounds) = (FakeSocket::with_room(4), bounds(100, 1_000));
    let mut outbox = attached(&socket);
    for text in ["abcdef", "gh"] {
        outbox.offer(ordered(text), &bounds);
    }
    assert_eq!(flushed(&mut outbox, &bounds), Flushed::Blocked);
    outbox.set_pong(Bytes::from_static(b"P"));
    socket.room.store(100, Ordering::Relaxed);
    assert_eq!(flushed(&mut outbox, &bounds), Flushed::Drained);
    assert_eq!(socket.text(), "abcdefghP", "a control frame may not split a frame");
}

#[test]
fn a_reader_too_slow_for_ordered_messages_overflows_only_when_its_socket_takes_nothing() {
    let (socket, bounds) = (FakeSocket::with_room(0), bounds(2, 1_000));
    let mut outbox = attached(&socket);
    for text in ["a", "b"] {
        outbox.offer(ordered(text), &bounds);
    }
    socket.room.store(3, Ordering::Relaxed);
    assert!(matches!(outbox.offer(ordered("c"), &bounds), Offered::Queued(_)));
    assert_eq!(socket.text(), "a");
    assert_eq!(outbox.offer(ordered("d"), &bounds), Offered::Overflow);
}

#[test]
fn at_the_bound_only_the_newest_of_each_volatile_key_stays() {
    let (socket, bounds) = (FakeSocket::with_room(0), bounds(3, 1_000));
    let mut outbox = attached(&socket);
    outbox.offer(ordered("a"), &bounds);
    outbox.offer(volatile("b", "x"), &bounds);
    outbox.offer(volatile("c", "y"), &bounds);
    assert!(matches!(outbox.offer(volatile("d", "x"), &bounds), Offered::Queued(_)));
    assert_eq!(outbox.offer(volatile("e", "z"), &bounds), Offered::Dropped);
    assert_eq!(outbox.offer(ordered("f"), &bounds), Offered::Overflow);
    outbox.take_back(&bounds);
    socket.room.store(100, Ordering::Relaxed);
    outbox.flush(&bounds);
    assert_eq!(socket.text(), "acd");
    assert_eq!(total(&bounds), 0);
}

#[test]
fn a_frame_larger_than_the_bound_may_wait_alone() {
    let (socket, bounds) = (FakeSocket::with_room(0), bounds(10, 8));
    let mut outbox = attached(&socket);
    assert!(outbox.append(ordered("abcdefghij"), &bounds).is_ok());
    assert!(outbox.append(ordered("k"), &bounds).is_err());
}

#[test]
fn the_budget_of_the_node_bounds_every_outbox_but_not_those_who_read() {
    let mut bounds = bounds(100, 1_000);
    bounds.total_bytes_max = 6;
    let (slow, fast) = (FakeSocket::with_room(0), FakeSocket::with_room(100));
    let (mut slow_outbox, mut fast_outbox) = (attached(&slow), attached(&fast));
    slow_outbox.offer(ordered("abcd"), &bounds);
    assert_eq!(slow_outbox.offer(ordered("e"), &bounds), Offered::Overflow);
    slow_outbox.take_back(&bounds);
    assert!(matches!(fast_outbox.offer(ordered("f"), &bounds), Offered::Queued(_)));
    assert_eq!(fast.text(), "f");
}

#[test]
fn cut_short_finishes_the_begun_frame_then_says_close() {
    let (socket, bounds) = (FakeSocket::with_room(3), bounds(10, 1_000));
    let mut outbox = attached(&socket);
    for text in ["ab", "c", "d"] {
        outbox.offer(ordered(text), &bounds);
    }
    outbox.flush(&bounds);
    outbox.cut_short(Frame::untracked(encoded("E")), 1008, &bounds);
    assert_eq!(outbox.offer(ordered("f"), &bounds), Offered::Closed);
    socket.room.store(100, Ordering::Relaxed);
    outbox.flush(&bounds);
    assert_eq!(socket.text(), "abEZ");
    assert!(outbox.is_drained());
    assert_eq!(total(&bounds), 0);
}

#[test]
fn a_stateful_connection_is_sent_no_more_than_its_limit_until_an_ack() {
    let (socket, bounds) = (FakeSocket::with_room(100), bounds(100, 1_000));
    let mut outbox = attached(&socket);
    outbox.enable_replay(5);
    for text in ["a", "b", "c", "d"] {
        outbox.offer(ordered(text), &bounds);
    }
    flushed(&mut outbox, &bounds);
    assert_eq!(socket.text(), "ab", "three bytes each: the second goes over five");
    assert_eq!(outbox.acked(1), Wake::Flusher);
    flushed(&mut outbox, &bounds);
    assert_eq!(socket.text(), "abc");
    outbox.acked(3);
    flushed(&mut outbox, &bounds);
    assert_eq!(socket.text(), "abcd");
}

#[test]
fn a_new_socket_gets_sequence_then_the_unacked_then_what_waited() {
    let (first, bounds) = (FakeSocket::with_room(8), bounds(100, 1_000));
    let mut outbox = attached(&first);
    outbox.enable_replay(1_000);
    for text in ["a", "b", "c"] {
        outbox.offer(ordered(text), &bounds);
    }
    outbox.offer(Frame::untracked(encoded("p")), &bounds);
    outbox.flush(&bounds);
    assert_eq!(first.text(), "ab", "the third is begun");
    outbox.acked(1);
    outbox.detach();
    assert_eq!(outbox.offer(ordered("d"), &bounds), Offered::Queued(Wake::Nobody));
    let second = FakeSocket::with_room(1_000);
    let mut announced = 0;
    assert!(outbox.resume(Outlet::Direct(second.clone()), |number| {
        announced = number;
        Bytes::from_static(b"S")
    }));
    outbox.flush(&bounds);
    assert_eq!(announced, 2);
    assert_eq!(second.text(), "Sbcpd");
}

#[test]
fn without_replay_nothing_can_be_resumed() {
    let socket = FakeSocket::with_room(10);
    let mut outbox = attached(&socket);
    assert!(!outbox.resume(Outlet::Direct(socket.clone()), |_| Bytes::new()));
}

#[test]
fn a_session_writes_what_it_appended_in_its_turn_at_the_end_of_it() {
    let (socket, bounds) = (FakeSocket::with_room(100), bounds(100, 1_000));
    let mut outbox = attached(&socket);
    outbox.hold();
    assert_eq!(outbox.offer(ordered("a"), &bounds), Offered::Queued(Wake::Nobody));
    assert_eq!(socket.text(), "");
    assert_eq!(outbox.release(&bounds), (Flushed::Drained, Wake::Nobody));
    assert_eq!(socket.text(), "a");
}

#[test]
fn a_session_leaves_a_full_socket_to_the_flusher() {
    let (socket, bounds) = (FakeSocket::with_room(0), bounds(100, 1_000));
    let mut outbox = attached(&socket);
    outbox.hold();
    outbox.offer(ordered("a"), &bounds);
    assert_eq!(outbox.release(&bounds), (Flushed::Blocked, Wake::Flusher));
}

#[test]
fn the_flusher_waits_once_for_a_full_socket_and_not_for_one_that_was_replaced() {
    let (full, bounds) = (FakeSocket::with_room(0), bounds(100, 1_000));
    let mut outbox = attached(&full);
    outbox.enable_replay(100);
    assert_eq!(outbox.offer(ordered("a"), &bounds), Offered::Queued(Wake::Flusher));
    let (_, old) = outbox.flush_queued(None, &bounds);
    assert!(old.is_some());
    assert!(outbox.flush_queued(None, &bounds).1.is_none(), "it waits already");

    let next = FakeSocket::with_room(0);
    outbox.detach();
    outbox.resume(Outlet::Direct(next.clone()), |_| Bytes::from_static(b"S"));
    assert_eq!(outbox.mark(), Wake::Flusher, "nobody comes for the next socket by itself");
    assert!(outbox.flush_queued(None, &bounds).1.is_some());
    assert!(outbox.flush_queued(old.as_ref(), &bounds).1.is_none(), "not its socket any more");
}

#[test]
fn nothing_is_written_behind_the_close_frame() {
    let (socket, bounds) = (FakeSocket::with_room(100), bounds(100, 1_000));
    let mut outbox = attached(&socket);
    outbox.close(1000);
    flushed(&mut outbox, &bounds);
    let closed = socket.text();
    assert_eq!(outbox.set_pong(Bytes::from_static(b"pong")), Wake::Nobody);
    flushed(&mut outbox, &bounds);
    assert_eq!(socket.text(), closed);
}

#[test]
fn who_pulls_gets_complete_frames_up_to_a_size_and_then_the_end() {
    let bounds = bounds(100, 1_000);
    let mut outbox = Outbox::default();
    outbox.attach(Outlet::Pulled);
    assert!(outbox.pull(10, &bounds).is_none());
    for text in ["abc", "def"] {
        assert_eq!(outbox.offer(ordered(text), &bounds), Offered::Queued(Wake::Puller));
    }
    let Some(Pulled::Frames(frames)) = outbox.pull(6, &bounds) else { panic!("no frames") };
    assert_eq!(frames.len(), 1, "each is five bytes");
    outbox.close(1000);
    assert!(matches!(outbox.pull(6, &bounds), Some(Pulled::Frames(_))));
    assert!(!outbox.is_drained());
    assert!(matches!(outbox.pull(6, &bounds), Some(Pulled::Over)));
    assert!(outbox.is_drained());
    assert_eq!(total(&bounds), 0);
}
