//! Clients that bring no id: what a lost connection was owed waits for the next one of its identity.

use super::world::{World, seconds, turn};
use crate::model::Audience;
use crate::protocol::Outcome;
use crate::store::Reason;

#[tokio::test(start_paused = true)]
async fn what_a_lost_connection_owed_goes_to_the_next_one_of_its_identity_that_joins_the_group() {
    let world = World::new().await;
    let first = world.stock("a").await;
    world.join_group(&first, "g").await;
    for id in ["m1", "m2", "m3"] {
        world.publish(id).await;
    }
    turn().await;
    assert!(first.subscription.completed("m1", &Outcome::Void));
    first.leave(&world).await;
    let stranger = world.stock("b").await;
    world.join_group(&stranger, "g").await;
    let next = world.stock("a").await;
    assert_eq!(next.got().await, [""; 0], "it is in no group yet");
    world.join_group(&next, "other").await;
    assert_eq!(next.got().await, [""; 0]);
    world.join_group(&next, "g").await;
    assert_eq!(next.got().await, ["m2", "m3"], "in order of acceptance");
    assert_eq!(stranger.got().await, [""; 0]);
    for id in ["m2", "m3"] {
        assert!(next.subscription.completion(id, &Outcome::Void).await.unwrap());
    }
    seconds(300).await;
    let pairs = world.pairs().await;
    assert_eq!((pairs.acknowledged, pairs.pending, pairs.dead), (3, 0, 0));
    assert_eq!(next.got().await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_was_here_before_the_old_one_was_known_to_be_lost_inherits_too() {
    let world = World::new().await;
    let first = world.stock("a").await;
    world.join_group(&first, "g").await;
    first.socket.stop_reading();
    world.publish("m1").await;
    let second = world.stock("a").await;
    world.join_group(&second, "g").await;
    world.publish("m2").await;
    assert_eq!(second.got().await, ["m2"], "the first may still get its own");
    first.leave(&world).await;
    assert_eq!(second.got().await, ["m2", "m1"]);
    for id in ["m1", "m2"] {
        assert!(second.subscription.completed(id, &Outcome::Void));
    }
    // The copy of m2 that the first one owed is nobody else's: the second had its own.
    seconds(130).await;
    let dead = world.dead().await;
    assert_eq!((dead.len(), dead[0].id.as_str()), (1, "m2"));
    assert_eq!(dead[0].reason, Reason::SubscriberGone);
}

#[tokio::test(start_paused = true)]
async fn what_is_for_all_goes_to_the_next_connection_at_once() {
    let world = World::new().await;
    let first = world.stock("a").await;
    let mut message = world.message("m1", "[{}]");
    message.envelope.audience = Audience::all();
    world.send(message).await.unwrap();
    turn().await;
    first.leave(&world).await;
    let next = world.stock("a").await;
    assert_eq!((next.subscription.owed(), next.got().await), (1, vec!["m1".to_owned()]));
    assert!(next.subscription.completed("m1", &Outcome::Void));
    assert_eq!(world.pairs().await.acknowledged, 1);
}

#[tokio::test(start_paused = true)]
async fn when_nobody_comes_in_time_it_is_a_dead_letter() {
    let world = World::new().await;
    let first = world.stock("a").await;
    world.join_group(&first, "g").await;
    world.publish("m1").await;
    turn().await;
    first.leave(&world).await;
    seconds(115).await;
    assert_eq!((world.pairs().await.pending, world.metrics.timeouts.get()), (1, 0));
    seconds(10).await;
    let dead = world.dead().await;
    assert_eq!((dead.len(), dead[0].reason), (1, Reason::SubscriberGone));
    assert_eq!(dead[0].attempts.len(), 1, "it was sent once");
    let late = world.stock("a").await;
    world.join_group(&late, "g").await;
    assert_eq!(late.got().await, [""; 0]);
}

/// R2: what was tried with the lost connection counts for the next one.
#[tokio::test(start_paused = true)]
async fn attempts_go_with_the_message_to_the_next_connection() {
    let world = World::new().await;
    let first = world.stock("a").await;
    world.join_group(&first, "g").await;
    world.publish("m1").await;
    // Three timeouts, and the last repeat is under way when the link is cut.
    while first.got().await.len() < 4 {
        seconds(1).await;
    }
    first.leave(&world).await;
    let next = world.stock("a").await;
    world.join_group(&next, "g").await;
    seconds(300).await;
    assert_eq!(next.got().await, ["m1"], "no repeat is left");
    let dead = world.dead().await;
    assert_eq!((dead[0].reason, dead[0].attempts.len()), (Reason::TimedOut, 5));
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_is_forgotten_when_the_next_one_has_taken_over_what_it_was_owed() {
    let world = World::new().await;
    let in_group = async || {
        let client = world.stock("a").await;
        world.join_group(&client, "g").await;
        client
    };
    let mut client = in_group().await;
    let couriers = || world.acks().couriers.read().len();
    world.publish("m1").await;
    // To a connection that is here before the other is lost, and to one that joins later.
    for round in 0..9 {
        assert_eq!(client.got().await, ["m1"], "round {round}");
        assert_eq!((couriers(), world.delivery.queue().in_flight), (1, 1), "round {round}");
        if round % 2 == 0 {
            let next = in_group().await;
            std::mem::replace(&mut client, next).leave(&world).await;
        } else {
            client.leave(&world).await;
            client = in_group().await;
        }
    }
    let mut message = world.message("m2", "[{}]");
    message.envelope.audience = Audience::all();
    world.send(message).await.unwrap();
    turn().await;
    client.leave(&world).await;
    let last = in_group().await;
    assert_eq!(last.got().await, ["m2", "m1"]);
    assert_eq!((couriers(), world.delivery.queue().in_flight), (1, 2));
}
