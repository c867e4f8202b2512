//! Timeouts, nacks, and what comes of them.

use std::time::Duration;

use super::world::{Plan, World, seconds, turn};
use crate::delivery::acks::{Config, Status};
use crate::store::{DeadFilter, Reason, Target};

async fn retry_counts(client: &super::world::Client) -> Vec<i64> {
    turn().await;
    let messages = client.socket.messages();
    messages.iter().filter_map(|message| message["arguments"][0]["retryCount"].as_i64()).collect()
}

/// R5, R6: a repeat is sent, with the same id, and the budget is one: four sends, not thirty.
#[tokio::test(start_paused = true)]
async fn a_silent_client_is_sent_it_four_times_and_then_it_is_a_dead_letter_with_its_history() {
    let world = World::new().await;
    let client = world.client("a").await;
    world.publish("m1").await;
    seconds(600).await;
    assert_eq!(client.got().await, ["m1"; 4]);
    assert_eq!(retry_counts(&client).await, [0, 1, 2, 3]);
    let dead = world.dead().await;
    assert_eq!((dead.len(), dead[0].reason, dead[0].attempts.len()), (1, Reason::TimedOut, 4));
    assert_eq!(client.subscription.status("m1").await.unwrap(), Some(Status::Dead));
    assert_eq!(world.metrics.timeouts.get(), 4);
}

#[tokio::test(start_paused = true)]
async fn the_first_repeat_comes_after_thirty_seconds_and_at_most_two_more() {
    let world = World::new().await;
    let client = world.client("a").await;
    world.publish("m1").await;
    seconds(29).await;
    assert_eq!(client.got().await.len(), 1);
    tokio::time::sleep(Duration::from_millis(3_300)).await;
    assert_eq!(client.got().await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_nack_is_answered_with_a_repeat_after_the_delay_the_client_asked_for() {
    let world = World::new().await;
    let client = world.client("a").await;
    world.publish("m1").await;
    turn().await;
    assert!(client.subscription.nack("m1", Some("busy"), Some(Duration::from_secs(20))));
    assert_eq!(client.subscription.status("m1").await.unwrap(), Some(Status::Nacked));
    seconds(19).await;
    assert_eq!(client.got().await.len(), 1);
    seconds(2).await;
    assert_eq!(client.got().await.len(), 2);
    assert!(client.ack("m1").await);
    assert_eq!(world.pairs().await.acknowledged, 1);
}

#[tokio::test(start_paused = true)]
async fn what_a_client_refuses_four_times_dies_with_the_clients_words() {
    let world = World::new().await;
    let client = world.client("a").await;
    world.publish("m1").await;
    for round in 1..=4 {
        while client.got().await.len() < round {
            seconds(1).await;
        }
        client.subscription.nack("m1", Some("no such task"), None);
    }
    let dead = world.dead().await;
    assert_eq!((dead[0].reason, dead[0].attempts.len()), (Reason::Nacked, 4));
    assert_eq!(&*dead[0].attempts[0].error, "no such task");
}

#[tokio::test(start_paused = true)]
async fn giving_up_is_final_and_a_late_ack_settles_even_that() {
    let world = World::new().await;
    let client = world.client("a").await;
    world.publish("m1").await;
    turn().await;
    assert!(client.subscription.give_up("m1", Some("broken")));
    assert_eq!(world.dead().await[0].reason, Reason::GivenUp);
    assert!(client.ack("m1").await, "the client has it after all");
    let pairs = world.pairs().await;
    assert_eq!((pairs.dead, pairs.acknowledged), (0, 1));
    assert!(!client.ack("m1").await, "once is enough");
}

#[tokio::test(start_paused = true)]
async fn who_is_still_working_is_not_disturbed() {
    let world = World::new().await;
    let client = world.client("a").await;
    world.publish("m1").await;
    for _ in 0..10 {
        seconds(25).await;
        assert!(client.subscription.still_working("m1"));
    }
    assert_eq!(client.got().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn while_the_clients_words_cannot_be_read_its_time_stands_still_for_a_minute() {
    let world = World::new().await;
    let client = world.client("a").await;
    world.publish("m1").await;
    turn().await;
    client.connection.set_busy(true);
    seconds(55).await;
    client.connection.set_busy(false);
    seconds(29).await;
    assert_eq!(client.got().await.len(), 1);
    client.ack("m1").await;

    world.publish("m2").await;
    turn().await;
    client.connection.set_busy(true);
    seconds(60 + 33).await;
    assert_eq!(client.got().await.len(), 3, "a method that hangs does not hold it for ever");
}

/// R7: one message that waits blocks no other, and repeats share their turns.
#[tokio::test(start_paused = true)]
async fn a_delayed_message_blocks_no_other_and_repeats_are_handed_out_in_batches() {
    let config = Config { processing_batch_size: 2, ..Config::default() };
    let world = World::with(Plan { config, ..Plan::default() }).await;
    let client = world.client("a").await;
    for id in ["m1", "m2", "m3", "m4"] {
        world.publish(id).await;
    }
    turn().await;
    for id in ["m1", "m2", "m3", "m4"] {
        client.subscription.nack(id, None, Some(Duration::from_secs(5)));
    }
    world.publish("m5").await;
    assert_eq!(client.got().await.len(), 5, "a first delivery waits for no repeat");
    tokio::time::sleep(Duration::from_millis(5_050)).await;
    assert!(client.got().await.len() <= 7, "two repeats per tick");
    seconds(1).await;
    assert_eq!(client.got().await.len(), 9);
}

#[tokio::test(start_paused = true)]
async fn a_cumulative_ack_covers_what_was_sent_before_and_not_what_was_refused() {
    let world = World::new().await;
    let client = world.client("a").await;
    for id in ["m1", "m2", "m3", "m4"] {
        world.publish(id).await;
    }
    turn().await;
    client.subscription.nack("m2", None, Some(Duration::from_secs(60)));
    assert!(client.subscription.ack_up_to("m3").await.unwrap());
    let pairs = world.pairs().await;
    assert_eq!((pairs.acknowledged, pairs.pending), (2, 2));
    assert_eq!(client.subscription.status("m2").await.unwrap(), Some(Status::Nacked));
    assert_eq!(client.subscription.status("m4").await.unwrap(), Some(Status::Pending));
}

#[tokio::test(start_paused = true)]
async fn a_cumulative_ack_of_a_repeat_does_not_cover_what_came_between() {
    let world = World::new().await;
    let client = world.client("a").await;
    client.refuses_until_another_has_come(&world).await;
    assert_eq!(client.got().await, ["m1", "m2", "m1"]);
    client.subscription.ack_up_to("m1").await.unwrap();
    let pairs = world.pairs().await;
    assert_eq!((pairs.acknowledged, pairs.pending), (1, 1), "m2 may not have been handled");
}

#[tokio::test(start_paused = true)]
async fn a_requeued_dead_letter_is_sent_at_once_with_attempts_anew() {
    let world = World::new().await;
    let client = world.client("a").await;
    world.publish("m1").await;
    turn().await;
    client.subscription.give_up("m1", None);
    turn().await;
    let all = DeadFilter::default();
    let requeued = world.delivery.requeue(all, Target::SameSubscriber, 10).await.unwrap();
    assert_eq!(requeued.letters, 1);
    assert_eq!(retry_counts(&client).await, [0, 0]);
    client.ack("m1").await;
    let pairs = world.pairs().await;
    assert_eq!((pairs.dead, pairs.acknowledged, pairs.targeted()), (0, 1, 1));
}

/// R2, R8: what was tried before a restart counts after it, for the client and for the budget.
#[tokio::test(start_paused = true)]
async fn a_restart_gives_no_attempt_back() {
    let world = World::new().await;
    let client = world.client("a").await;
    world.publish("m1").await;
    seconds(34).await;
    assert_eq!(retry_counts(&client).await, [0, 1], "one timeout, and one repeat is under way");
    let world = world.restart().await;
    let client = world.client("a").await;
    seconds(600).await;
    // A process that was killed could not note what was under way.
    assert_eq!(retry_counts(&client).await, [1, 2, 3]);
    let dead = world.dead().await;
    assert_eq!((dead[0].reason, dead[0].attempts.len()), (Reason::TimedOut, 4));
}

#[tokio::test(start_paused = true)]
async fn what_was_lost_with_its_connection_before_a_restart_is_a_repeat_after_it() {
    let world = World::new().await;
    let client = world.client("a").await;
    world.publish("m1").await;
    turn().await;
    client.leave(&world).await;
    let world = world.restart().await;
    let client = world.client("a").await;
    assert_eq!(retry_counts(&client).await, [1]);
    client.subscription.nack("m1", None, Some(Duration::from_secs(1)));
    seconds(2).await;
    assert_eq!(retry_counts(&client).await, [1, 2]);
    client.ack("m1").await;
    assert_eq!(world.pairs().await.acknowledged, 1);
}

#[tokio::test(start_paused = true)]
async fn what_a_client_put_off_holds_nothing_else_back() {
    let config = Config { unanswered_per_subscriber_max: 4, ..Config::default() };
    let world = World::with(Plan { config, ..Plan::default() }).await;
    let client = world.client("a").await;
    for id in ["m1", "m2", "m3", "m4"] {
        world.publish(id).await;
        turn().await;
        assert!(client.subscription.nack(id, None, Some(Duration::from_secs(600))));
    }
    world.publish("m5").await;
    assert_eq!(client.got().await[4..], ["m5"]);
}
