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

#[test]
fn a_marked_frame_has_its_place_among_them_within_the_bounds_until_it_is_taken_out() {
    let (socket, bounds) = (FakeSocket::with_room(100), bounds(3, 1_000));
    let mut outbox = attached(&socket);
    let (one, two) = (marked("m", 1), marked("mm", 2));
    assert_eq!(outbox.put_marked_aside(&one, &bounds), PutAside::Closed, "nothing waits aside");
    outbox.open_aside();
    outbox.offer(ordered("a"), &bounds);
    assert_eq!(outbox.put_marked_aside(&one, &bounds), PutAside::Waits);
    assert_eq!(outbox.put_marked_aside(&two, &bounds), PutAside::Waits);
    assert_eq!(outbox.put_marked_aside(&one, &bounds), PutAside::NoRoom);
    assert_eq!(outbox.take_marked_aside(one.mark(), &bounds), [one.mark().unwrap()]);
    outbox.offer(ordered("b"), &bounds);
    let lengths: Vec<usize> =
        std::iter::from_fn(|| outbox.take_aside(&bounds).ok()).map(|own| own.len()).collect();
    assert_eq!(lengths, [ordered("a").len(), two.len(), ordered("b").len()]);
    assert_eq!(total(&bounds), 0);
    outbox.open_aside();
    outbox.offer(ordered("a"), &bounds);
    outbox.put_marked_aside(&two, &bounds);
    assert_eq!(outbox.take_marked_aside(None, &bounds), [two.mark().unwrap()]);
    assert_eq!(total(&bounds), ordered("a").len());
}
