//! Mode `method`: what clients say about messages by calling methods.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::delivery::DeliveryOrder;
use crate::hub::tests_support::{Client, World};
use crate::hub::{Call, CallError, Filter, Next, Reply};
use crate::protocol::FieldPlace;

async fn seconds(count: u64) {
    tokio::time::sleep(Duration::from_secs(count)).await;
}

async fn member(world: &World, user: &str) -> Client {
    let mut client = world.connect_as(user, user, "clientId=tab&acks=method").await;
    client.call("Join", r#"["g"]"#).await;
    client
}

/// A world with one client in group `g`, and so many messages on their way to it.
async fn with_messages(count: usize) -> (World, Client) {
    let world = World::keeping(|_| {});
    let mut client = member(&world, "a").await;
    for number in 1..=count {
        world.publish(&format!("m{number}"), "g").await;
    }
    assert_eq!(client.events().await.len(), count);
    (world, client)
}

/// A repeat that comes meanwhile is not looked at.
async fn status(client: &mut Client, id: &str) -> Value {
    let call = json!({
        "type": 1, "invocationId": "s", "target": "GetMessageStatus", "arguments": [id]
    });
    client.send(&call.to_string());
    let received = client.received().await;
    let answer = received.iter().find(|message| message["type"] == 3).unwrap();
    assert!(answer["error"].is_null(), "{answer}");
    answer["result"].clone()
}

#[tokio::test(start_paused = true)]
async fn an_acknowledged_message_is_settled_and_answered_with_nothing() {
    let (world, mut client) = with_messages(1).await;
    assert_eq!(status(&mut client, "m1").await, 0);
    let answer = client.call("AcknowledgeMessage", r#"["m1"]"#).await;
    assert_eq!(answer, json!({ "type": 3, "invocationId": "c" }));
    assert_eq!(status(&mut client, "m1").await, 1);
    seconds(300).await;
    assert_eq!(client.events().await, [""; 0]);
    assert_eq!(world.pairs().await.acknowledged, 1);
}

#[tokio::test(start_paused = true)]
async fn a_nack_with_or_without_a_text_brings_the_message_again() {
    let (_world, mut client) = with_messages(2).await;
    client.call("NackMessage", r#"["m1"]"#).await;
    client.call("nackmessage", r#"["m2","disk full"]"#).await;
    assert_eq!(status(&mut client, "m1").await, 2);
    seconds(4).await;
    let mut again = client.events().await;
    again.sort();
    assert_eq!(again, ["m1", "m2"]);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_not_answered_waits_as_timed_out_and_dies_after_three_repeats() {
    let (world, mut client) = with_messages(1).await;
    let mut seen = Vec::new();
    for _ in 0..300 {
        seen.push(status(&mut client, "m1").await.as_i64());
        seconds(1).await;
    }
    assert!(seen.contains(&Some(3)), "{seen:?}");
    assert_eq!(seen.last(), Some(&Some(4)));
    assert_eq!(world.deaths().await, ["timed_out"]);
    client.call("AcknowledgeMessage", r#"["m1"]"#).await;
    assert_eq!(status(&mut client, "m1").await, 1, "a late ack settles even a dead letter");
}

#[tokio::test(start_paused = true)]
async fn a_message_that_never_was_the_callers_has_no_status() {
    let (world, mut client) = with_messages(1).await;
    let mut late = member(&world, "b").await;
    assert_eq!(status(&mut late, "m1").await, Value::Null, "it joined later");
    assert_eq!(status(&mut client, "nonsense").await, Value::Null);
    assert_eq!(status(&mut client, "no message id!").await, Value::Null);
}

#[tokio::test(start_paused = true)]
async fn many_are_acknowledged_in_one_call() {
    let (world, mut client) = with_messages(4).await;
    client.call("AcknowledgeMessages", r#"[["m1","m2","m4","m4","unknown",""]]"#).await;
    let pairs = world.pairs().await;
    assert_eq!((pairs.acknowledged, pairs.pending), (3, 1));
    assert_eq!(status(&mut client, "m3").await, 0);
}

#[tokio::test(start_paused = true)]
async fn one_word_acknowledges_everything_up_to_a_message_and_nothing_after_it() {
    let (world, mut client) = with_messages(4).await;
    assert_eq!(client.call("AcknowledgeMessagesUpTo", r#"["m3"]"#).await["result"], true);
    let pairs = world.pairs().await;
    assert_eq!((pairs.acknowledged, pairs.pending), (3, 1));
    assert_eq!(status(&mut client, "m4").await, 0);
    assert_eq!(client.call("AcknowledgeMessagesUpTo", r#"["x"]"#).await["result"], false);
}

#[tokio::test(start_paused = true)]
async fn a_client_may_choose_the_wait_ask_for_more_time_and_give_up() {
    let (world, mut client) = with_messages(3).await;
    for (call, arguments) in [
        ("NackMessageAfter", r#"["m1","busy",60000]"#),
        ("GiveUpMessage", r#"["m2","no such order"]"#),
        ("ExtendMessage", r#"["m3"]"#),
    ] {
        assert_eq!(client.call(call, arguments).await["result"], true, "{call}");
        let unknown = arguments.replace('m', "x");
        assert_eq!(client.call(call, &unknown).await["result"], false, "{call}");
    }
    assert_eq!(world.deaths().await, ["given_up"]);
    seconds(20).await;
    client.call("ExtendMessage", r#"["m3"]"#).await;
    seconds(25).await;
    assert_eq!(status(&mut client, "m3").await, 0, "45 s, and it is still waited for");
    client.call("AcknowledgeMessage", r#"["m3"]"#).await;
    assert_eq!(client.events().await, [""; 0]);
    seconds(20).await;
    assert_eq!(client.events().await, ["m1"], "a minute later");
}

#[tokio::test(start_paused = true)]
async fn an_ack_does_not_wait_for_a_call_that_runs() {
    let (world, client) = with_messages(1).await;
    client.send(r#"{"type":1,"invocationId":"w","target":"Wait","arguments":[40000]}"#);
    client
        .send(r#"{"type":1,"invocationId":"k","target":"AcknowledgeMessage","arguments":["m1"]}"#);
    let pairs = world.pairs().await;
    assert_eq!((pairs.acknowledged, pairs.pending), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn time_stands_still_while_the_ack_cannot_be_read() {
    let (world, mut client) = with_messages(1).await;
    client.send(r#"{"type":1,"invocationId":"w","target":"Wait","arguments":[40000]}"#);
    // It needs the permit that the first one has, and the ack is behind it.
    client.send(r#"{"type":1,"invocationId":"x","target":"Add","arguments":[1,2]}"#);
    client
        .send(r#"{"type":1,"invocationId":"k","target":"AcknowledgeMessage","arguments":["m1"]}"#);
    seconds(39).await;
    assert_eq!(world.pairs().await.pending, 1);
    seconds(2).await;
    assert_eq!(world.pairs().await.acknowledged, 1);
    assert_eq!(client.events().await, [""; 0], "it was not sent again");
}

#[tokio::test(start_paused = true)]
async fn time_does_not_stand_still_for_ever() {
    let (world, mut client) = with_messages(1).await;
    client.send(r#"{"type":1,"invocationId":"w","target":"Wait","arguments":[300000]}"#);
    client.send(r#"{"type":1,"invocationId":"x","target":"Add","arguments":[1,2]}"#);
    seconds(100).await;
    assert_eq!(client.events().await, ["m1"], "30 s of patience and 60 s of standing still");
    drop(world);
}

#[tokio::test(start_paused = true)]
async fn wrong_arguments_are_refused_as_for_any_method() {
    let (_world, mut client) = with_messages(1).await;
    for (target, arguments) in [
        ("AcknowledgeMessage", "[]"),
        ("AcknowledgeMessage", "[1]"),
        ("AcknowledgeMessages", r#"["m1"]"#),
        ("NackMessage", r#"["m1","text",1]"#),
        ("NackMessageAfter", r#"["m1","text"]"#),
        ("NackMessageAfter", r#"["m1","text",-1]"#),
    ] {
        let answer = client.call(target, arguments).await;
        let expected = format!("Failed to invoke '{target}' due to an error on the server.");
        assert_eq!(answer["error"], *expected, "{arguments}");
    }
}

/// Writes down what passes.
struct Doorman(Arc<Mutex<Vec<String>>>);

impl Filter for Doorman {
    fn invoke<'a>(
        &'a self,
        call: &'a Call<'a>,
        next: Next<'a>,
    ) -> BoxFuture<'a, Result<Reply, CallError>> {
        self.0.lock().push(call.method().unwrap_or_default().to_owned());
        next.run()
    }
}

#[tokio::test(start_paused = true)]
async fn acks_pass_the_filters() {
    let book = Arc::new(Mutex::new(Vec::new()));
    let world = World::keeping(|options| options.filters = vec![Arc::new(Doorman(book.clone()))]);
    let mut client = member(&world, "a").await;
    client.call("acknowledgemessage", r#"["m1"]"#).await;
    assert_eq!(*book.lock(), ["Join", "AcknowledgeMessage"]);
}

#[tokio::test(start_paused = true)]
async fn a_hub_without_mode_method_has_no_such_methods() {
    let world = World::new();
    let mut client = world.connect("a").await;
    let answer = client.call("AcknowledgeMessage", r#"["m1"]"#).await;
    assert!(answer["error"].as_str().unwrap().contains("Method does not exist"));
}

#[tokio::test(start_paused = true)]
async fn only_clients_of_this_mode_see_base_fields() {
    let world = World::keeping(|_| {});
    let mut plain = world.connect_as("p", "p", "").await;
    plain.call("Join", r#"["g"]"#).await;
    let mut client = member(&world, "a").await;
    world.publish("m1", "g").await;
    assert_eq!(plain.received().await[0]["arguments"], json!([{}]));
    let fields = client.received().await[0]["arguments"][0].clone();
    for name in ["messageId", "timestamp", "retryCount", "priority", "isCritical", "isExpired"] {
        assert!(!fields[name].is_null(), "{name}: {fields}");
    }
    let pairs = world.pairs().await;
    assert_eq!((pairs.unconfirmed, pairs.pending), (1, 1), "written is delivered, unconfirmed");
}

#[tokio::test(start_paused = true)]
async fn a_hub_may_put_the_base_fields_into_an_argument_of_their_own() {
    let world = World::keeping(|options| options.ack_fields = FieldPlace::Argument);
    let mut client = member(&world, "a").await;
    world.publish("m1", "g").await;
    let arguments = client.received().await[0]["arguments"].clone();
    assert_eq!((&arguments[0], arguments.as_array().map(Vec::len)), (&json!({}), Some(2)));
    assert_eq!(
        (&arguments[1]["messageId"], &arguments[1]["retryCount"]),
        (&json!("m1"), &json!(0))
    );
    client.call("AcknowledgeMessage", r#"["m1"]"#).await;
    assert_eq!(world.pairs().await.acknowledged, 1);
}

#[tokio::test(start_paused = true)]
async fn on_a_strict_hub_a_message_waits_for_the_one_before_it_over_a_nack_and_a_reconnect() {
    let world = World::keeping(|options| options.delivery = DeliveryOrder::Strict);
    let mut client = member(&world, "a").await;
    for id in ["m1", "m2", "m3"] {
        world.publish(id, "g").await;
    }
    assert_eq!(client.events().await, ["m1"]);
    client.call("NackMessage", r#"["m1"]"#).await;
    seconds(4).await;
    assert_eq!(client.events().await, ["m1"], "its repeat, and nothing beside it");
    client.lose();
    seconds(1).await;
    let mut client = world.connect_as("again", "a", "clientId=tab&acks=method").await;
    assert_eq!(client.events().await, ["m1"], "it comes first, alone");
    for (id, next) in [("m1", "m2"), ("m2", "m3")] {
        let ack = json!({ "type": 1, "target": "AcknowledgeMessage", "arguments": [id] });
        client.send(&ack.to_string());
        assert_eq!(client.events().await, [next]);
    }
    client.call("GiveUpMessage", r#"["m3"]"#).await;
    world.publish("m4", "g").await;
    assert_eq!(client.events().await, ["m4"], "a dead letter holds nobody back");
}
