//! From a publisher to an ack.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;

use super::world::{Client, Plan, World, seconds, turn};
use crate::delivery::NotAccepted;
use crate::delivery::acks::{Config, Status};
use crate::model::MessageId;
use crate::store::{Reason, Refusal};

/// R3, R4: a group send is registered, for each member, before it is sent.
#[tokio::test(start_paused = true)]
async fn everybody_in_the_group_owes_an_answer_and_gets_the_message_before_the_publisher_its_own() {
    let world = World::new().await;
    let (a, b) = (world.client("a").await, world.client("b").await);
    let receipt = world.publish("m1").await;
    assert_eq!((receipt.targeted, receipt.duplicate), (2, false));
    assert_eq!(a.connection.waiting().0 + b.connection.waiting().0, 2, "appended before the 202");
    assert_eq!((a.got().await, b.got().await), (vec!["m1".into()], vec!["m1".to_owned()]));
    assert_eq!(world.pairs().await.pending, 2);
    assert!(a.ack("m1").await);
    let pairs = world.pairs().await;
    assert_eq!((pairs.pending, pairs.acknowledged), (1, 1));
    assert_eq!(a.subscription.status("m1").await.unwrap(), Some(Status::Acknowledged));
    assert_eq!(b.subscription.status("m1").await.unwrap(), Some(Status::Pending));
    assert_eq!(b.subscription.status("m2").await.unwrap(), None);
    seconds(300).await;
    assert_eq!(a.got().await, ["m1"], "what is acked is not sent again");
}

#[tokio::test(start_paused = true)]
async fn the_base_fields_say_what_the_seed_says() {
    let world = World::new().await;
    let client = world.client("a").await;
    let mut message = world.message("m1", r#"[{"taskId":7,"priority":"own"}]"#);
    message.envelope.correlation_id = Some("c".into());
    message.critical = true;
    world.send(message).await.unwrap();
    turn().await;
    let told = &client.socket.messages()[0]["arguments"][0];
    assert_eq!((&told["messageId"], &told["messageType"]), (&"m1".into(), &"News".into()));
    assert_eq!((&told["retryCount"], &told["taskId"]), (&0.into(), &7.into()));
    assert_eq!((&told["isCritical"], &told["isExpired"]), (&true.into(), &false.into()));
    assert_eq!(told["priority"], "own", "what the payload has keeps the publisher's value");
    assert_eq!((&told["correlationId"], told["expiresAt"].is_null()), (&"c".into(), true));
    assert!(told["timestamp"].as_str().unwrap().ends_with('Z'));
}

#[tokio::test(start_paused = true)]
async fn an_id_is_published_once_and_not_for_another_body() {
    let world = World::new().await;
    let client = world.client("a").await;
    let first = world.publish("m1").await;
    let again = world.publish("m1").await;
    assert_eq!((again.duplicate, again.seq, again.targeted), (true, first.seq, 1));
    let mut other = world.message("m1", "[1]");
    other.body_hash = [1; 16];
    let refused = world.send(other).await.unwrap_err();
    assert_eq!((refused.name(), refused.is_retryable()), ("message_id_reused", false));
    assert_eq!(client.got().await, ["m1"]);
}

#[tokio::test(start_paused = true)]
async fn whoever_learns_from_messages_hears_of_each_once_and_before_it_is_delivered() {
    let world = World::new().await;
    let client = world.client("a").await;
    let heard = Arc::new(Mutex::new(Vec::new()));
    for hash in [0, 0, 1] {
        let (ear, connection) = (heard.clone(), client.connection.clone());
        let mut message = world.message("m1", "[{}]");
        message.body_hash = [hash; 16];
        message.on_first = Some(Box::new(move || ear.lock().push(connection.waiting().0)));
        let _ = world.send(message).await;
    }
    assert_eq!(*heard.lock(), [0], "not the repetition, not the one that was refused");
    assert_eq!(client.got().await, ["m1"]);
}

#[tokio::test(start_paused = true)]
async fn a_message_for_nobody_is_settled_at_once_unless_somebody_is_wanted() {
    let world = World::new().await;
    assert_eq!(world.publish("m1").await.targeted, 0);
    let mut message = world.message("m2", "[]");
    message.require_audience = true;
    let refused = world.send(message).await.unwrap_err();
    assert!(matches!(refused, NotAccepted::Refused(Refusal::Nobody)), "{refused}");
    assert_eq!(world.pairs().await.pending, 0);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_publishers_future_loses_nothing() {
    let world = World::new().await;
    let client = world.client("a").await;
    drop(world.delivery.publish_acknowledged(world.message("m1", "[{}]")));
    assert_eq!(client.got().await, ["m1"]);
}

#[tokio::test(start_paused = true)]
async fn what_expires_before_it_can_be_sent_is_expired_and_not_dead() {
    let world = World::new().await;
    world.client("a").await.leave(&world).await;
    let mut message = world.message("m1", "[{}]");
    message.envelope.expires_at = Some(SystemTime::now() + Duration::from_secs(10));
    world.send(message).await.unwrap();
    seconds(15).await;
    let client = world.client("a").await;
    assert_eq!(client.got().await, [""; 0]);
    let pairs = world.pairs().await;
    assert_eq!((pairs.expired, pairs.dead, pairs.pending), (1, 0, 0));
    assert_eq!(client.subscription.status("m1").await.unwrap(), Some(Status::Expired));
}

#[tokio::test(start_paused = true)]
async fn what_expires_unanswered_is_not_sent_again() {
    let world = World::new().await;
    let client = world.client("a").await;
    let mut message = world.message("m1", "[{}]");
    message.envelope.expires_at = Some(SystemTime::now() + Duration::from_secs(20));
    world.send(message).await.unwrap();
    seconds(120).await;
    assert_eq!(client.got().await, ["m1"]);
    assert_eq!(world.pairs().await.expired, 1);
}

#[tokio::test(start_paused = true)]
async fn a_receipt_tells_what_became_of_each_pair() {
    let world = World::new().await;
    let (a, _b) = (world.client("a").await, world.client("b").await);
    world.publish("m1").await;
    turn().await;
    a.ack("m1").await;
    let receipts = world.delivery.receipts(MessageId::from("m1"), None).await.unwrap();
    let counts = receipts[0].counts;
    assert_eq!((counts.targeted(), counts.acknowledged, counts.pending), (2, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn without_a_store_nothing_is_promised() {
    let registry = prometheus::Registry::new();
    let world = World::new().await;
    let delivery = crate::delivery::Delivery::new(
        &world.node,
        std::sync::Arc::new(crate::backplane::InProcess),
        ["hub".into()],
        crate::delivery::Metrics::new(&registry).unwrap(),
        tokio_util::task::TaskTracker::new(),
    );
    let refused = delivery.publish_acknowledged(world.message("m1", "[]")).await;
    assert!(matches!(refused, Err(NotAccepted::NotConfigured)));
}

/// A message that expires after so many milliseconds, and goes to a client that is silent.
async fn silent(world: &World, id: &str, millis: u64) -> Client {
    let client = world.client("a").await;
    let mut message = world.message(id, "[{}]");
    // By the store's clock, which is not the test's.
    let now = SystemTime::from(world.delivery.now());
    message.envelope.expires_at = Some(now + Duration::from_millis(millis));
    world.send(message).await.unwrap();
    turn().await;
    client
}

#[tokio::test(start_paused = true)]
async fn what_expires_before_its_last_answer_is_due_has_expired_and_is_no_dead_letter() {
    let config = Config { retry_attempts_max: 0, ack_timeout_ms: 30_500, ..Config::default() };
    // The sweep comes once a second, so the last answer is due before it.
    for millis in [30_100, 30_300, 30_490] {
        let world = World::with(Plan { config: config.clone(), ..Plan::default() }).await;
        silent(&world, "m1", millis).await;
        seconds(35).await;
        let pairs = world.pairs().await;
        assert_eq!((pairs.expired, pairs.dead), (1, 0), "{millis} ms");
        assert_eq!(world.metrics.died(Reason::TimedOut), 0, "and nobody counts a death");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_after_the_end_of_its_time_kills_nothing() {
    for word in 0..2 {
        let config = Config { retry_attempts_max: 0, ..Config::default() };
        let world = World::with(Plan { config, ..Plan::default() }).await;
        let client = silent(&world, "m1", 500).await;
        tokio::time::sleep(Duration::from_millis(600)).await;
        if word == 0 {
            client.subscription.nack("m1", Some("no"), None);
        } else {
            client.subscription.give_up("m1", Some("no"));
        }
        let pairs = world.pairs().await;
        assert_eq!((pairs.expired, pairs.dead), (1, 0));
    }
}
