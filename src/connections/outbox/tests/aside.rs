//! Fan-outs that wait aside while a returning client is served.

use super::*;

#[test]
fn what_waits_aside_follows_when_it_is_let_in_and_what_had_no_room_is_counted() {
    let (socket, bounds) = (FakeSocket::with_room(100), bounds(2, 1_000));
    let mut outbox = attached(&socket);
    outbox.open_aside();
    for frame in [ordered("a"), ordered("b"), ordered("lost")] {
        assert_eq!(outbox.offer(frame, &bounds), Offered::Queued(Wake::Nobody));
    }
    assert_eq!(outbox.offer(volatile("v", "k"), &bounds), Offered::Dropped);
    assert_eq!(outbox.waiting(), (0, 0), "nothing is on its way");
    let mut let_in = Vec::new();
    let lost = loop {
        match outbox.take_aside(&bounds) {
            Ok(frame) => let_in.push(frame.len()),
            Err(lost) => break lost,
        }
    };
    assert_eq!((let_in.len(), lost), (2, 1));
    assert_eq!(total(&bounds), 0);
    assert_eq!(outbox.offer(ordered("c"), &bounds), Offered::Queued(Wake::Flusher));
}

#[test]
fn what_waits_aside_goes_with_the_outbox() {
    let (socket, bounds) = (FakeSocket::with_room(100), bounds(2, 1_000));
    let mut outbox = attached(&socket);
    outbox.open_aside();
    outbox.offer(ordered("a"), &bounds);
    outbox.dispose(&bounds);
    assert_eq!(total(&bounds), 0);
    assert_eq!(outbox.offer(ordered("b"), &bounds), Offered::Closed);
}
