//! The three ways to say that a message has arrived.

use std::time::Duration;

use super::world::{Plan, World, seconds, turn};
use crate::delivery::acks::{AckMode, Acknowledged, HubAcks, Status};
use crate::protocol::{FieldPlace, Invocation, Outcome};

#[tokio::test(start_paused = true)]
async fn without_acks_written_is_delivered_unconfirmed_and_nobody_sees_a_changed_event() {
    let world = World::new().await;
    let client = world.join("a", AckMode::None, false).await;
    client.socket.stop_reading();
    world.publish("m1").await;
    assert_eq!(world.pairs().await.pending, 1, "in the outbox is not written");
    client.socket.read_on();
    let pairs = world.pairs().await;
    assert_eq!((pairs.unconfirmed, pairs.pending), (1, 0));
    let messages = client.socket.messages();
    assert_eq!(messages[0]["arguments"], serde_json::json!([{}]));
    assert!(messages[0]["invocationId"].is_null());
}

#[tokio::test(start_paused = true)]
async fn by_result_the_id_of_the_invocation_is_the_message_and_a_value_acks() {
    let world = World::new().await;
    let client = world.join("a", AckMode::Result, false).await;
    for id in ["m1", "m2", "m3", "m4"] {
        world.publish(id).await;
    }
    turn().await;
    let messages = client.socket.messages();
    assert_eq!(messages[0]["invocationId"], "m1");
    assert_eq!(messages[0]["arguments"], serde_json::json!([{}]), "no base fields");
    let say = async |id: &str, outcome: Outcome| {
        client.subscription.completion(id, &outcome).await.unwrap()
    };
    assert!(say("m1", Outcome::Void).await);
    assert!(say("m2", Outcome::Error("Client didn't provide a result.".into())).await);
    assert!(say("m3", Outcome::Error("Client provided multiple results.".into())).await);
    assert!(say("m4", Outcome::Error("boom".into())).await);
    assert!(!say("s1", Outcome::Void).await, "none of ours");
    let pairs = world.pairs().await;
    assert_eq!((pairs.acknowledged, pairs.unconfirmed, pairs.pending), (1, 2, 1));
    assert_eq!(client.subscription.status("m4").await.unwrap(), Some(Status::Nacked));
    seconds(5).await;
    assert_eq!(client.got().await.last().unwrap(), "m4", "sent again with the same id");
}

#[tokio::test(start_paused = true)]
async fn a_late_completion_of_an_earlier_attempt_still_settles() {
    let world = World::new().await;
    let client = world.join("a", AckMode::Result, false).await;
    world.publish("m1").await;
    world.publish("m2").await;
    seconds(34).await;
    assert_eq!(client.got().await.len(), 4);
    let none = Outcome::Error("Client didn't provide a result.".into());
    assert!(client.subscription.completion("m1", &none).await.unwrap());
    assert!(client.subscription.completion("m2", &Outcome::Void).await.unwrap());
    assert_eq!(world.pairs().await.pending, 0);
    seconds(120).await;
    assert_eq!(client.got().await.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_hub_may_want_the_base_fields_beside_the_payload() {
    let hub = HubAcks { ack_fields: FieldPlace::Argument, ..HubAcks::default() };
    let world = World::with(Plan { hub, ..Plan::default() }).await;
    let client = world.client("a").await;
    world.publish("m1").await;
    turn().await;
    let arguments = &client.socket.messages()[0]["arguments"];
    assert_eq!((&arguments[0], &arguments[1]["messageId"]), (&serde_json::json!({}), &"m1".into()));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_faster_than_the_news_of_its_frame_counts() {
    let world = World::new().await;
    let client = world.join("a", AckMode::Result, false).await;
    // As with long polling: the frame counts as written when the client comes for more.
    client.socket.stop_reading();
    for id in ["m1", "m2"] {
        world.publish(id).await;
    }
    let unconfirmed = Outcome::Error("Client didn't provide a result.".into());
    assert!(client.subscription.completed("m1", &unconfirmed));
    assert!(client.subscription.completed("m2", &Outcome::Error("boom".into())));
    let pairs = world.pairs().await;
    assert_eq!((pairs.unconfirmed, pairs.pending), (1, 1));
    assert_eq!(client.subscription.status("m2").await.unwrap(), Some(Status::Nacked));
    client.socket.read_on();
    seconds(5).await;
    let got = client.got().await;
    assert_eq!(got.iter().filter(|id| *id == "m1").count(), 1, "{got:?}");
    assert_eq!(got.iter().filter(|id| *id == "m2").count(), 2, "{got:?}");
}

fn of(world: &World, tenant: &str) -> Acknowledged {
    let mut message = world.message("m", "[{}]");
    message.publisher.tenant = tenant.into();
    message
}

/// Two tenants may choose the same id; what a client says must mean the copy it got.
#[tokio::test(start_paused = true)]
async fn two_messages_of_one_id_have_two_names_for_a_client() {
    for mode in [AckMode::Method, AckMode::Result] {
        let world = World::new().await;
        let client = world.join("a", mode, false).await;
        world.send(of(&world, "t1")).await.unwrap();
        let second = world.send(of(&world, "t2")).await.unwrap();
        assert_eq!(second.id.as_str(), "m", "for its publisher");
        let named = format!("m~{}", second.seq);
        assert_eq!(client.got().await, ["m", &named]);
        let say = async |id: &str| match mode {
            AckMode::Method => client.ack(id).await,
            _ => client.subscription.completion(id, &Outcome::Void).await.unwrap(),
        };
        assert!(say("m").await);
        turn().await;
        assert!(!say("m").await, "an ack that comes twice does not settle the other one");
        assert_eq!(client.subscription.status("m").await.unwrap(), Some(Status::Acknowledged));
        assert_eq!(client.subscription.status(&named).await.unwrap(), Some(Status::Pending));
        assert_eq!(world.pairs().await.pending, 1);
        seconds(34).await;
        assert_eq!(client.got().await[2..], [&*named]);
        client.leave(&world).await;
        let world = world.restart().await;
        let client = world.join("a", mode, false).await;
        assert_eq!(client.got().await, [&*named]);
        client.subscription.ack_all(&["m".into(), named.clone(), "m~x".into()]).await.unwrap();
        assert_eq!(world.pairs().await.acknowledged, 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_anothers_place_means_nothing_to_who_was_not_owed_it() {
    let world = World::new().await;
    let stranger = world.client("b").await;
    let client = world.connect("a", AckMode::Method, false).await;
    let receipt = world.publish("m1").await;
    let named = format!("m1~{}", receipt.seq);
    assert!(!client.ack(&named).await);
    assert_eq!(client.subscription.status(&named).await.unwrap(), None);
    assert_eq!(world.pairs().await.pending, 1);
    assert!(stranger.ack("m1").await);
}

#[tokio::test(start_paused = true)]
async fn the_monitor_counts_each_message_once_that_a_client_acknowledged() {
    let world = World::new().await;
    let client = world.client("a").await;
    let acknowledged = || world.node.facts().map(|own| own.messages_acknowledged).sum::<u64>();
    for id in ["m1", "m2", "m3", "m4", "m5"] {
        world.publish(id).await;
    }
    turn().await;
    // The second one finds that the first is not in the store yet.
    assert!(client.ack("m1").await && client.ack("m1").await);
    assert!(client.subscription.nack("m2", None, None));
    assert!(client.subscription.give_up("m3", None) && client.subscription.give_up("m4", None));
    assert_eq!((world.dead().await.len(), acknowledged()), (2, 1));
    assert!(client.ack("m3").await, "late, and yet acknowledged");
    assert_eq!(acknowledged(), 2);
    client.subscription.ack_all(&["m4".to_owned(), "m5".to_owned()]).await.unwrap();
    let none = Outcome::Error("Client didn't provide a result.".into());
    assert!(client.subscription.completion("m2", &none).await.unwrap());
    let pairs = world.pairs().await;
    assert_eq!((acknowledged(), pairs.acknowledged, pairs.unconfirmed), (4, 4, 1));
}

fn told(invocation: &Invocation, argument: usize) -> serde_json::Value {
    invocation.arguments.values().unwrap()[argument].bind().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_client_that_speaks_messagepack_is_told_the_same_and_acknowledges_the_same() {
    let world = World::new().await;
    let (plain, packed) = (world.client("a").await, world.packed("b", AckMode::Method).await);
    let mut message = world.message("m1", r#"[{"taskId":7,"note":"é"}]"#);
    message.envelope.correlation_id = Some("c".into());
    world.send(message).await.unwrap();
    turn().await;
    let own = told(&packed.socket.packed_invocations()[0], 0);
    let other = &plain.socket.messages()[0]["arguments"][0];
    assert_eq!((&own, own["retryCount"].as_i64()), (other, Some(0)));
    assert_eq!((&own["messageId"], &own["taskId"]), (&"m1".into(), &7.into()));
    assert!(packed.subscription.nack("m1", Some("not yet"), Some(Duration::from_secs(1))));
    assert!(plain.ack("m1").await);
    seconds(2).await;
    let invocations = packed.socket.packed_invocations();
    assert_eq!((invocations.len(), told(&invocations[1], 0)["retryCount"].as_i64()), (2, Some(1)));
    assert_eq!(plain.socket.messages().len(), 1);
    assert!(packed.ack("m1").await);
    assert_eq!(world.pairs().await.acknowledged, 2);
}

#[tokio::test(start_paused = true)]
async fn by_result_and_without_acks_a_client_that_speaks_messagepack_sees_the_event_unchanged() {
    let world = World::new().await;
    let packed = world.packed("a", AckMode::Result).await;
    let silent = world.packed("b", AckMode::None).await;
    world.send(world.message("m1", r#"[{"n":1},[2,null,"x"]]"#)).await.unwrap();
    turn().await;
    for (client, id) in [(&packed, Some("m1")), (&silent, None)] {
        let invocation = client.socket.packed_invocations().remove(0);
        assert_eq!((invocation.id.as_deref(), &*invocation.target), (id, "News"));
        assert_eq!(told(&invocation, 0), serde_json::json!({"n": 1}));
        assert_eq!(told(&invocation, 1), serde_json::json!([2, null, "x"]));
    }
    assert!(packed.subscription.completed("m1", &Outcome::Void));
    let pairs = world.pairs().await;
    assert_eq!((pairs.acknowledged, pairs.unconfirmed), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn base_fields_beside_the_payload_are_beside_it_in_messagepack_too() {
    let hub = HubAcks { ack_fields: FieldPlace::Argument, ..HubAcks::default() };
    let world = World::with(Plan { hub, ..Plan::default() }).await;
    let packed = world.packed("a", AckMode::Method).await;
    world.publish("m1").await;
    turn().await;
    let invocation = packed.socket.packed_invocations().remove(0);
    assert_eq!(told(&invocation, 0), serde_json::json!({}));
    assert_eq!(told(&invocation, 1)["messageId"], "m1");
}
