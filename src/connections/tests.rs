//! What the room promises as a whole: flusher, monitor, pipe and registry over sockets in memory.
//!
//! Time is paused: the tests wait for minutes and take milliseconds.

mod watching;
mod world;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use super::*;
use crate::model::{Audience, Caller, GroupName, Subject};
use crate::protocol::Close;
use world::{FakeSocket, Script, World, frame};

#[tokio::test(start_paused = true)]
async fn a_fan_out_reaches_every_member_once_and_those_excluded_never() {
    let world = World::new();
    let registry = Registry::new(world.node.clone());
    let (a, b, c) = (world.client("a"), world.client("b"), world.client("c"));
    for client in [&a, &b, &c] {
        registry.add(&client.connection);
    }
    let group = GroupName::from("g");
    for id in ["a", "b", "b"] {
        registry.join(&id.into(), &group).unwrap();
    }
    let all = Audience::All { except: vec!["c".into()] };
    assert_eq!(registry.fan_out(&all, |_| Some(frame("x"))), 2);
    let in_group = Audience::Group { group: group.clone(), except: vec!["a".into()] };
    assert_eq!(registry.fan_out(&in_group, |_| Some(frame("y"))), 1);
    assert_eq!(registry.fan_out(&Audience::Connection("c".into()), |_| Some(frame("z"))), 1);
    a.expect("x").await;
    b.expect("xy").await;
    c.expect("z").await;
    assert_eq!(b.socket.writes.load(Ordering::Relaxed), 1, "two frames of one turn, one write");
}

#[tokio::test(start_paused = true)]
async fn who_leaves_is_gone_from_groups_and_users() {
    let world = World::new();
    let registry = Registry::new(world.node.clone());
    let a = world.client_of("a", Caller::of_user("ann"), Settings::default(), false);
    assert!(registry.add(&a.connection), "the user's first");
    let group = GroupName::from("g");
    assert_eq!(registry.join(&"a".into(), &group), Ok(Some(true)));
    assert_eq!(registry.join(&"nobody".into(), &group), Ok(None));
    assert!(registry.has(&Subject::User("ann".into())));
    let left = registry.remove(&a.connection);
    assert_eq!(left.len(), 3, "connection, user and group: {left:?}");
    assert!(!registry.has(&Subject::Group(group)));
    assert_eq!(registry.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_connection_may_only_be_in_so_many_groups() {
    let world = World::with(Config { groups_per_connection_max: 2, ..Config::default() });
    let registry = Registry::new(world.node.clone());
    registry.add(&world.client("a").connection);
    for group in ["g", "h", "g"] {
        registry.join(&"a".into(), &group.into()).unwrap();
    }
    let full = registry.join(&"a".into(), &"i".into());
    assert_eq!(full, Err(GroupFull { max: 2 }));
    assert_eq!(world.node.metrics().groups_full.get(), 1);
    registry.leave(&"a".into(), &"g".into());
    assert!(registry.join(&"a".into(), &"i".into()).is_ok());
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_pinged_every_fifteen_seconds_or_so() {
    let world = World::new();
    let client = world.client("a");
    tokio::time::sleep(Duration::from_secs(49)).await;
    let pings = client.socket.text().matches("type").count();
    assert_eq!(pings, 3);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_pinged_and_went_silent_is_timed_out_and_one_that_never_did_is_not() {
    let world = World::new();
    let (mut pinger, quiet) = (world.client("a"), world.client("b"));
    pinger.connection.heard(true);
    tokio::time::sleep(Duration::from_secs(59)).await;
    assert_eq!(pinger.connection.ended(), None);
    pinger.connection.heard(false);
    tokio::time::sleep(Duration::from_secs(59)).await;
    assert_eq!(pinger.connection.ended(), None);
    assert_eq!(pinger.read().await, Read::Ended(End::ClientTimedOut));
    assert_eq!(quiet.connection.ended(), None);
}

#[tokio::test(start_paused = true)]
async fn silence_while_the_server_is_busy_is_not_the_clients() {
    let world = World::new();
    let client = world.client("a");
    client.connection.heard(true);
    client.connection.set_busy(true);
    tokio::time::sleep(Duration::from_secs(300)).await;
    client.connection.set_busy(false);
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(client.connection.ended(), None);
}

#[tokio::test(start_paused = true)]
async fn a_handshake_must_come_in_time() {
    let world = World::new();
    let mut client = world.before_handshake("a");
    assert_eq!(client.read().await, Read::Ended(End::HandshakeTimedOut));
    assert!(world.elapsed() >= Duration::from_secs(15));
    assert!(world.elapsed() <= Duration::from_secs(17));
}

#[tokio::test(start_paused = true)]
async fn an_expired_credential_ends_the_connection_where_the_hub_wants_it() {
    let world = World::new();
    let caller = Caller {
        expires_at: Some(SystemTime::now() - Duration::from_secs(1)),
        ..Caller::default()
    };
    let strict = Settings { close_on_expiry: true, ..Settings::default() };
    let strict = world.client_of("a", caller.clone(), strict, false);
    let lenient = world.client_of("b", caller, Settings::default(), false);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(strict.connection.ended(), Some(&End::Expired));
    assert_eq!(lenient.connection.ended(), None);
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_is_told_and_disconnected_and_nobody_else_notices() {
    let world = World::with(Config { outbox_messages_max: 3, ..Config::default() });
    let registry = Registry::new(world.node.clone());
    let (mut slow, fast) = (world.client("slow"), world.client("fast"));
    slow.socket.stop_reading();
    for client in [&slow, &fast] {
        registry.add(&client.connection);
    }
    for text in ["a", "b", "c", "d"] {
        registry.fan_out(&Audience::all(), |_| Some(frame(text)));
    }
    fast.expect("abcd").await;
    assert_eq!(slow.read().await, Read::Ended(End::TooSlow));
    slow.socket.read_on();
    let text = slow.finish(None).await;
    assert!(text.contains("the client reads too slowly."), "{text}");
    assert!(!text.contains('b'), "what waited is thrown away");
    assert!(text.ends_with("[close 1008]"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_that_never_reads_again_is_reset_after_five_seconds() {
    let world = World::with(Config { outbox_messages_max: 1, ..Config::default() });
    let registry = Registry::new(world.node.clone());
    let mut slow = world.client("slow");
    slow.socket.stop_reading();
    registry.add(&slow.connection);
    for text in ["a", "b"] {
        registry.fan_out(&Audience::all(), |_| Some(frame(text)));
    }
    assert_eq!(slow.read().await, Read::Ended(End::TooSlow));
    let before = world.elapsed();
    let socket = slow.socket.clone();
    slow.finish(None).await;
    assert!(socket.was_reset.load(Ordering::Relaxed));
    assert_eq!((world.elapsed() - before).as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_write_without_progress_for_ten_seconds_ends_the_connection() {
    let world = World::new();
    let mut client = world.client("a");
    client.socket.stop_reading();
    client.connection.send(frame("a")).await.unwrap();
    assert_eq!(client.read().await, Read::Ended(End::SendTimedOut));
    assert!(world.elapsed() >= Duration::from_secs(10));
    assert!(world.elapsed() <= Duration::from_secs(13));
    // It has had its time: the socket does not wait for it again.
    let (socket, before) = (client.socket.clone(), world.elapsed());
    client.finish(None).await;
    assert!(socket.was_reset.load(Ordering::Relaxed));
    assert_eq!(world.elapsed(), before);
}

#[tokio::test(start_paused = true)]
async fn a_session_waits_for_room_and_no_longer_than_the_send_timeout() {
    let world = World::with(Config { outbox_messages_max: 1, ..Config::default() });
    let client = world.client("a");
    client.socket.stop_reading();
    client.connection.send(frame("a")).await.unwrap();
    let connection = client.connection.clone();
    let waiting = world.tasks.spawn(async move { connection.send(frame("b")).await });
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(!waiting.is_finished());
    client.socket.read_on();
    assert_eq!(waiting.await.unwrap(), Ok(()));
    client.expect("ab").await;

    client.socket.stop_reading();
    client.connection.send(frame("c")).await.unwrap();
    assert_eq!(client.connection.send(frame("d")).await, Err(SendError::TimedOut));
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_waiting_for_room_is_not_counted_any_more() {
    let world = World::with(Config { outbox_messages_max: 1, ..Config::default() });
    let client = world.client("a");
    client.socket.stop_reading();
    client.connection.send(frame("a")).await.unwrap();
    let sending = client.connection.send(frame("b"));
    assert!(tokio::time::timeout(Duration::from_secs(1), sending).await.is_err());
    assert_eq!(client.connection.waiters.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn a_lost_stateful_connection_waits_for_its_client_and_goes_on_where_it_was() {
    let world = World::new();
    let registry = Registry::new(world.node.clone());
    let mut client = world.client_of("a", Caller::default(), Settings::default(), true);
    registry.add(&client.connection);
    registry.fan_out(&Audience::all(), |_| Some(frame("a")));
    client.expect("a").await;
    client.script.lose();
    let read = client.read_within(Duration::from_secs(10)).await;
    assert_eq!(read, None, "parked, not ended");
    assert_eq!(world.node.metrics().parked.get(), 1);
    registry.fan_out(&Audience::all(), |_| Some(frame("b")));

    client.resume();
    assert_eq!(client.read().await, Read::Resumed);
    client.expect("{\"type\":9,\"sequenceId\":1}ab").await;
    assert_eq!(world.node.metrics().parked.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_new_socket_need_not_wait_for_the_old_one_that_is_full() {
    let world = World::new();
    let mut client = world.client_of("a", Caller::default(), Settings::default(), true);
    client.socket.stop_reading();
    client.connection.send(frame("a")).await.unwrap();
    client.expect("").await;
    client.script.lose();
    assert_eq!(client.read_within(Duration::from_millis(1)).await, None);
    // Nobody ever says that the old socket takes more.
    client.resume();
    client.expect("{\"type\":9,\"sequenceId\":1}a").await;
}

#[tokio::test(start_paused = true)]
async fn a_new_socket_wins_over_the_last_words_of_the_old_one() {
    let world = World::new();
    let mut client = world.client_of("a", Caller::default(), Settings::default(), true);
    client.script.close();
    client.resume();
    // The session reads the old socket in the moment before it is told of the new one.
    client.connection.signal.store(false, Ordering::Relaxed);
    assert_eq!(client.read().await, Read::Resumed);
    assert_eq!(client.connection.ended(), None);
}

#[tokio::test]
async fn a_socket_that_comes_while_the_old_one_is_lost_leaves_nobody_parked() {
    let world = World::new();
    for round in 0..2_000 {
        let mut client = world.client_of("a", Caller::default(), Settings::default(), true);
        client.script.lose();
        let connection = client.connection.clone();
        let start = Arc::new(std::sync::Barrier::new(2));
        let ready = start.clone();
        let resuming = std::thread::spawn(move || {
            ready.wait();
            // A few steps more each time, so that every moment of the loss is met.
            (0..round).for_each(|_| std::hint::spin_loop());
            let outlet = Outlet::Direct(Arc::new(FakeSocket::default()));
            connection.resume(Box::new(Script::default()), outlet).unwrap();
        });
        start.wait();
        assert_eq!(client.read().await, Read::Resumed);
        resuming.join().unwrap();
        assert_eq!(world.node.metrics().parked.get(), 0, "in round {round}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_time_without_a_socket_is_no_silence_of_the_client() {
    let world = World::new();
    let settings = Settings { client_timeout: Duration::from_secs(12), ..Settings::default() };
    let mut client = world.client_of("a", Caller::default(), settings, true);
    client.connection.heard(true);
    client.script.lose();
    assert_eq!(client.read_within(Duration::from_secs(14)).await, None, "parked");
    client.resume();
    assert_eq!(client.read().await, Read::Resumed);
    assert_eq!(client.read_within(Duration::from_secs(11)).await, None);
    assert_eq!(client.read().await, Read::Ended(End::ClientTimedOut));
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_the_disconnect_timeout_for_a_client() {
    let world = World::new();
    let mut client = world.client_of("a", Caller::default(), Settings::default(), true);
    client.script.lose();
    assert_eq!(client.read().await, Read::Ended(End::NotResumed));
    assert!(world.elapsed() >= Duration::from_secs(15));
    let resumed = client
        .connection
        .resume(Box::new(Script::default()), Outlet::Direct(Arc::new(FakeSocket::default())));
    assert_eq!(resumed, Err(NotResumable));
}

#[tokio::test(start_paused = true)]
async fn over_the_bound_a_lost_connection_is_not_parked() {
    let world = World::with(Config { parked_per_caller_max: 1, ..Config::default() });
    let user = || Caller::of_user("ann");
    let mut first = world.client_of("a", user(), Settings::default(), true);
    let mut second = world.client_of("b", user(), Settings::default(), true);
    first.script.lose();
    second.script.lose();
    assert_eq!(first.read_within(Duration::from_millis(1)).await, None);
    assert_eq!(second.read().await, Read::Ended(End::NotResumed));
}

#[tokio::test(start_paused = true)]
async fn a_parked_connection_whose_outbox_fills_is_ended() {
    let world = World::with(Config { outbox_messages_max: 2, ..Config::default() });
    let registry = Registry::new(world.node.clone());
    let mut client = world.client_of("a", Caller::default(), Settings::default(), true);
    registry.add(&client.connection);
    client.script.lose();
    assert_eq!(client.read_within(Duration::from_millis(1)).await, None);
    for text in ["a", "b", "c"] {
        registry.fan_out(&Audience::all(), |_| Some(frame(text)));
    }
    assert_eq!(client.read().await, Read::Ended(End::NotResumed));
    assert_eq!(world.node.outbox_bytes(), 0);
}

#[tokio::test(start_paused = true)]
async fn received_messages_are_acked_within_two_seconds_and_only_when_there_is_news() {
    let world = World::new();
    let client = world.client_of("a", Caller::default(), Settings::default(), true);
    client.connection.set_received(3);
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    client.expect("{\"type\":8,\"sequenceId\":3}").await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    client.expect("{\"type\":8,\"sequenceId\":3}").await;
}

#[tokio::test(start_paused = true)]
async fn a_close_in_good_order_comes_after_all_that_waited() {
    let world = World::new();
    let client = world.client("a");
    client.connection.send(frame("a")).await.unwrap();
    client.script.close();
    let text = client.finish(Some(Close::default())).await;
    assert_eq!(text, "a{\"type\":7}[close 1000]");
    assert_eq!(world.node.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_long_poll_that_nobody_makes_ends_the_connection_after_the_disconnect_timeout() {
    let world = World::new();
    let client = world.client("a");
    client.connection.set_polled(false);
    tokio::time::sleep(Duration::from_secs(10)).await;
    client.connection.set_polled(true);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(client.connection.ended(), None);
    client.connection.set_polled(false);
    tokio::time::sleep(Duration::from_secs(17)).await;
    assert_eq!(client.connection.ended(), Some(&End::Lost));
}
