//! What the monitor knows of connections, and whom its sweep asks and closes.

use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;

use super::world::{Client, World, frame};
use super::*;
use crate::model::{Audience, GroupName};

const MINUTE: Duration = Duration::from_secs(60);
/// How exact the monitor's moments are.
const SECOND: Duration = Duration::from_secs(1);

/// A threshold of an hour, a sweep every five minutes, and a client timeout that catches nobody.
fn world() -> World {
    World::with(Config { round_trip_ms: 0, ..Config::default() })
}

fn patient() -> Settings {
    Settings { client_timeout: Duration::from_secs(86_400), ..Settings::default() }
}

/// Takes everything that is written and says nothing: half of its link is gone, or it only listens.
fn silent(world: &World, id: &str) -> Client {
    world.client_of(id, Caller::default(), patient(), false)
}

fn stale(world: &World) -> Vec<String> {
    let facts = world.node.facts().filter(|facts| facts.stale);
    let mut ids: Vec<_> = facts.map(|facts| facts.id.as_str().to_owned()).collect();
    ids.sort();
    ids
}

/// R15: nobody is closed for being silent alone.
#[tokio::test(start_paused = true)]
async fn a_live_silent_listener_stays_and_a_half_open_link_goes() {
    let world = world();
    let (listener, mut half_open) = (silent(&world, "listener"), silent(&world, "half-open"));
    // It was alive once: it pinged, as stock clients do. Then its end of the link vanished.
    half_open.connection.heard(true);
    tokio::time::sleep(60 * MINUTE - Duration::from_secs(2)).await;
    assert_eq!(stale(&world), Vec::<String>::new());
    tokio::time::sleep(2 * MINUTE).await;
    assert_eq!(stale(&world), ["half-open", "listener"], "both are asked first");
    assert_eq!(half_open.connection.ended(), None);
    assert_eq!(half_open.read_within(6 * MINUTE).await, Some(Read::Ended(End::Stale)));
    assert!(world.elapsed() <= 66 * MINUTE, "{:?}", world.elapsed());
    // Days later the listener that never pinged still gets what it came for.
    tokio::time::sleep(24 * 60 * MINUTE).await;
    assert_eq!(listener.connection.ended(), None);
    assert_eq!(listener.connection.send(frame("news")).await, Ok(()));
    tokio::time::sleep(Duration::from_millis(1)).await;
    let text = listener.socket.text();
    assert!(text.contains("news"), "{}", &text[text.len().saturating_sub(100)..]);
}

#[tokio::test(start_paused = true)]
async fn an_answered_probe_makes_a_connection_fresh_again() {
    let world = world();
    let client = silent(&world, "a");
    client.connection.heard(true);
    for _ in 0..3 {
        tokio::time::sleep(61 * MINUTE).await;
        assert_eq!(stale(&world), ["a"]);
        // Its library answers the transport's ping by itself.
        client.connection.ponged(0);
        assert_eq!(stale(&world), Vec::<String>::new());
    }
    assert_eq!(client.connection.ended(), None);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_cannot_be_written_closes_also_who_never_pinged() {
    let world = world();
    let mut client = silent(&world, "a");
    client.socket.stop_reading();
    // The first ping already waits; nothing was written for the send timeout.
    assert_eq!(client.read().await, Read::Ended(End::SendTimedOut));
}

#[tokio::test(start_paused = true)]
async fn silence_while_a_call_holds_the_session_closes_nobody() {
    let world = world();
    let client = silent(&world, "a");
    client.connection.heard(true);
    client.connection.set_busy(true);
    tokio::time::sleep(10 * 60 * MINUTE).await;
    assert_eq!(client.connection.ended(), None);
    assert!(world.node.metrics().probed.get() > 1, "it is asked all the same");
}

#[tokio::test(start_paused = true)]
async fn a_sweep_asks_stale_connections_and_counts_them() {
    let world = world();
    let quick = Config { stale_after_ms: 5_000, stale_sweep_ms: 2_000, ..Config::default() };
    let quick = World::with(quick);
    let (_calm, _stale) = (silent(&world, "calm"), silent(&quick, "stale"));
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!((world.node.metrics().stale.get(), world.node.metrics().probed.get()), (0, 0));
    assert_eq!(quick.node.metrics().stale.get(), 1);
    assert!(quick.node.metrics().probed.get() >= 2);
}

#[tokio::test(start_paused = true)]
async fn the_round_trip_is_measured_once_a_minute_where_the_transport_can() {
    let world = World::new();
    let client = world.client("a");
    tokio::time::sleep(Duration::from_secs(20)).await;
    let stamps = client.socket.stamps.lock().clone();
    assert_eq!(stamps.len(), 1, "with the first keep-alive");
    tokio::time::sleep(Duration::from_millis(30)).await;
    let before = client.connection.node.now_us();
    client.connection.ponged(stamps[0]);
    let measured = world.node.facts().next().unwrap().round_trip.unwrap();
    assert_eq!(measured, Duration::from_micros(before - stamps[0]));
    tokio::time::sleep(4 * MINUTE).await;
    let count = client.socket.stamps.lock().len();
    assert!((4..=6).contains(&count), "{count}");
}

#[tokio::test(start_paused = true)]
async fn what_a_connection_did_is_known_to_a_second() {
    let world = world();
    let mut client = silent(&world, "a");
    tokio::time::sleep(Duration::from_secs(5)).await;
    client.connection.send(frame("one")).await.unwrap();
    client.connection.send(frame("two")).await.unwrap();
    client.connection.send_unbounded(Frame::untracked(crate::protocol::encode::ping(
        crate::protocol::Protocol::Json,
    )));
    client.expect("onetwo{\"type\":6}").await;
    client.connection.count_acknowledged(2);
    let facts = world.node.facts().next().unwrap();
    assert_eq!((facts.messages_sent, facts.messages_acknowledged), (2, 2), "a ping is no message");
    assert!(facts.idle <= Duration::from_secs(1), "{:?}", facts.idle);
    assert!(facts.silent >= Duration::from_secs(4), "{:?}", facts.silent);
    assert_eq!(facts.age.as_secs(), 5);
    client.script.say(Inbound::Data);
    assert_eq!(client.read().await, Read::Data);
    assert!(world.node.facts().next().unwrap().silent <= Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn every_sign_of_life_counts_and_what_is_written_is_none() {
    let world = world();
    let mut client = silent(&world, "a");
    let silence = || world.node.facts().next().unwrap().silent;
    let idle = || world.node.facts().next().unwrap().idle;
    let quiet = async || {
        tokio::time::sleep(MINUTE).await;
        assert!(silence() >= MINUTE, "{:?}", silence());
    };
    quiet().await;
    client.connection.send_pong(bytes::Bytes::from_static(b"a ping of its transport"));
    assert!(silence() <= SECOND, "{:?}", silence());
    quiet().await;
    client.connection.ponged(0);
    assert!(silence() <= SECOND, "{:?}", silence());
    quiet().await;
    client.connection.set_polled(true);
    assert!(silence() <= SECOND, "{:?}", silence());
    quiet().await;
    // A message, an ack, a ping of the protocol: all come as bytes.
    client.script.say(Inbound::Data);
    assert_eq!(client.read().await, Read::Data);
    assert!(silence() <= SECOND, "{:?}", silence());
    quiet().await;
    client.connection.send(frame("one")).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!(silence() >= MINUTE && idle() <= SECOND, "{:?}", idle());
}

#[tokio::test(start_paused = true)]
async fn nobody_was_active_before_it_came() {
    let world = world();
    // The clock of the monitor lags behind by now.
    tokio::time::sleep(Duration::from_millis(1_900)).await;
    let client = silent(&world, "a");
    client.connection.ponged(0);
    let facts = world.node.facts().next().unwrap();
    assert_eq!((facts.idle, facts.silent), (facts.age, facts.age));
}

#[tokio::test(start_paused = true)]
async fn a_parked_connection_and_one_before_its_handshake_are_not_stale() {
    let world =
        World::with(Config { stale_after_ms: 1_000, stale_sweep_ms: 1_000, ..Config::default() });
    let mut parked = world.client_of("parked", Caller::default(), Settings::default(), true);
    let _new = world.before_handshake("new");
    parked.script.lose();
    assert_eq!(parked.read_within(Duration::from_secs(5)).await, None);
    let facts: Vec<_> = world.node.facts().collect();
    assert_eq!(facts.len(), 1, "nobody is there before the handshake");
    assert!(facts[0].parked && !facts[0].stale);
    assert_eq!(world.node.metrics().stale.get(), 0);
    assert_eq!(world.node.metrics().probed.get(), 0);
    assert!(!parked.socket.stopped.load(Ordering::Relaxed));
}

/// R17: what is looked at while it changes is whole, and nothing of a change is lost.
#[tokio::test]
async fn connections_come_join_leave_and_go_on_many_threads_while_others_look() {
    const THREADS: usize = 4;
    const EACH: usize = 100;
    let world = World::new();
    let registry = Registry::new(world.node.clone());
    let groups = ["a", "b", "c"].map(GroupName::from);
    let kept = Mutex::new(Vec::new());
    let runtime = tokio::runtime::Handle::current();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (world, registry, groups, kept) = (&world, &registry, &groups, &kept);
            let runtime = runtime.clone();
            scope.spawn(move || {
                let _inside = runtime.enter();
                for number in 0..EACH {
                    let client = world.client(&format!("{thread}-{number}"));
                    let id = client.connection.id();
                    registry.add(&client.connection);
                    for group in groups {
                        assert!(registry.join(id, group).unwrap().is_some());
                    }
                    registry.leave(id, &groups[2]);
                    if number % 2 == 0 {
                        registry.remove(&client.connection);
                    }
                    kept.lock().push(client);
                }
            });
        }
        scope.spawn(|| {
            // Fewer than an outbox holds, for nobody writes meanwhile.
            for _ in 0..100 {
                let told = registry.fan_out(&Audience::group("a"), |_| Some(frame("news")));
                assert!(told <= THREADS * EACH);
                for facts in world.node.facts() {
                    assert!(facts.groups.len() <= groups.len(), "{facts:?}");
                }
            }
        });
    });
    assert_eq!((registry.count(), kept.lock().len()), (THREADS * EACH / 2, THREADS * EACH));
    let members = |group: &str| registry.fan_out(&Audience::group(group), |_| Some(frame("x")));
    assert_eq!((members("a"), members("c")), (THREADS * EACH / 2, 0));
    let in_groups = world.node.facts().filter(|facts| facts.groups.len() == 2).count();
    assert_eq!(in_groups, THREADS * EACH / 2);
}
