//! Cuts, stalls, nacks and silence in any order: nothing is lost, and the counts add up.

use std::collections::HashSet;
use std::time::Duration;

use super::world::{Client, Plan, World, publisher, seconds, turn};
use crate::connections;
use crate::delivery::acks::{AckMode, Config};
use crate::delivery::lanes::Lane;

/// A small generator, so that a seed is a story.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

fn plan() -> Plan {
    let config = Config {
        ack_timeout_ms: 1_000,
        backoff_ms_min: 100,
        backoff_ms_max: 1_000,
        unanswered_per_subscriber_max: 16,
        page_messages: 4,
        // Dead letters have stories of their own.
        retry_attempts_max: 255,
        breaker_open_ms: 2_000,
        ..Config::default()
    };
    let connections =
        connections::Config { outbox_messages_max: 8, ..connections::Config::default() };
    Plan { config, connections, ..Plan::default() }
}

/// Handles what has arrived, or not: acks, nacks, gives no word.
async fn handle(client: &Client, seen: &mut usize, handled: &mut HashSet<String>, dice: &mut Dice) {
    let got = client.got().await;
    for id in got.into_iter().skip(std::mem::replace(seen, client.got().await.len())) {
        match dice.roll(4) {
            0 => {}
            1 => {
                client.subscription.nack(&id, None, Some(Duration::from_millis(dice.roll(900))));
            }
            _ => {
                client.ack(&id).await;
                handled.insert(id);
            }
        }
    }
}

async fn story(seed: u64) {
    let world = World::with(plan()).await;
    let mut dice = Dice(seed);
    let names = ["a", "b", "c"];
    let mut clients = Vec::new();
    let mut handled = vec![HashSet::new(); 3];
    for name in names {
        clients.push(Some((world.client(name).await, 0)));
    }
    let mut published = 0;
    for _ in 0..400 {
        let who = dice.roll(3) as usize;
        match dice.roll(10) {
            0..=3 => {
                assert_eq!(world.publish(&format!("m{published}")).await.targeted, 3);
                published += 1;
            }
            4 => match clients[who].take() {
                Some((client, _)) => client.leave(&world).await,
                None => clients[who] = Some((world.client(names[who]).await, 0)),
            },
            5 => {
                if let Some((client, _)) = &clients[who] {
                    client.socket.stop_reading();
                }
            }
            6 => {
                if let Some((client, _)) = &clients[who] {
                    client.socket.read_on();
                }
            }
            _ => {
                if let Some((client, seen)) = &mut clients[who] {
                    handle(client, seen, &mut handled[who], &mut dice).await;
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(dice.roll(700))).await;
    }
    // The last fault is over: all are here, read, and ack.
    let mut back = Vec::new();
    for (who, name) in names.into_iter().enumerate() {
        if let Some((client, _)) = clients[who].take() {
            client.leave(&world).await;
        }
        back.push(world.client(name).await);
    }
    for _ in 0..100 {
        for (client, handled) in back.iter().zip(&mut handled) {
            for id in client.got().await {
                client.ack(&id).await;
                handled.insert(id);
            }
        }
        seconds(1).await;
    }
    for (handled, name) in handled.iter().zip(names) {
        assert_eq!(handled.len(), published, "seed {seed}: {name} handled each message");
    }
    let pairs = world.pairs().await;
    assert_eq!((pairs.pending, pairs.dead), (0, 0), "seed {seed}");
    assert_eq!(pairs.acknowledged, 3 * published as u64, "seed {seed}");
    assert_eq!(world.delivery.queue().in_flight, 0, "seed {seed}");
}

#[tokio::test(start_paused = true)]
async fn whatever_happens_each_message_is_handled_by_each_subscriber() {
    for seed in [1, 7, 42, 20_261_124] {
        story(seed).await;
    }
}

/// A publisher's burst has its turns at any moment of a client's coming back, with little room.
async fn burst(seed: u64) {
    let mut dice = Dice(seed);
    let connections = connections::Config {
        outbox_messages_max: 2 + dice.roll(12) as usize,
        ..connections::Config::default()
    };
    let config = Config { page_messages: 1 + dice.roll(6) as usize, ..Config::default() };
    let world = World::with(Plan { config, connections, ..Plan::default() }).await;
    world.client("a").await.leave(&world).await;
    let owed = 1 + dice.roll(4);
    let ids: Vec<String> = (0..owed + 1 + dice.roll(20)).map(|n| format!("m{n}")).collect();
    let (first, then) = ids.split_at(owed as usize);
    for id in first {
        world.publish(id).await;
    }
    let turns = world.acks().turns.clone();
    let before = turns.ticket(&"hub".into(), &publisher(), Lane::Normal);
    let accept = |id: &String| world.delivery.publish_acknowledged(world.message(id, "[{}]"));
    let early = dice.roll(1 + then.len() as u64) as usize;
    let mut accepted: Vec<_> = then[..early].iter().map(accept).collect();
    turn().await;
    let client = world.connect("a", AckMode::Method, false).await;
    world.delivery.connected(&client.connection).await.unwrap();
    let (waits, some) = (dice.roll(8), dice.roll(3));
    tokio::join!(client.catch_up(), async {
        for _ in 0..waits {
            tokio::task::yield_now().await;
        }
        drop(before);
        for _ in 0..some {
            tokio::task::yield_now().await;
        }
        accepted.extend(then[early..].iter().map(accept));
        futures_util::future::join_all(accepted).await;
    });
    let mut acked = 0;
    for _ in 0..40 {
        let got = client.got().await;
        for id in &got[acked..] {
            assert!(client.ack(id).await);
        }
        acked = got.len();
        seconds(1).await;
    }
    assert_eq!(client.got().await, ids, "seed {seed}: in order, each once");
}

#[tokio::test(start_paused = true)]
async fn whoever_comes_back_in_the_middle_of_a_burst_sees_it_in_order() {
    for seed in 1..=200 {
        burst(seed).await;
    }
}
