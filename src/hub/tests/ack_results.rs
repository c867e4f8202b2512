//! Mode `result`: messages as client results, for unmodified clients.

use std::time::Duration;

use serde_json::{Value, json};

use crate::hub::tests_support::{Client, World};

async fn seconds(count: u64) {
    tokio::time::sleep(Duration::from_secs(count)).await;
}

async fn member(world: &World, user: &str) -> Client {
    let mut client = world.connect_as(user, user, "clientId=tab&acks=result").await;
    client.call("Join", r#"["g"]"#).await;
    client
}

async fn with_message() -> (World, Client) {
    let world = World::keeping(|_| {});
    let mut client = member(&world, "a").await;
    world.publish("m1", "g").await;
    let expected = r#"{"type":1,"invocationId":"m1","target":"News","arguments":[{}]}"#;
    client.expect(&[expected]).await;
    (world, client)
}

fn complete(client: &Client, id: &str, outcome: Value) {
    let mut completion = json!({ "type": 3, "invocationId": id });
    for (name, value) in outcome.as_object().unwrap() {
        completion[name] = value.clone();
    }
    client.send(&completion.to_string());
}

#[tokio::test(start_paused = true)]
async fn a_value_a_null_and_nothing_acknowledge() {
    for outcome in [json!({ "result": 5 }), json!({ "result": null }), json!({})] {
        let (world, client) = with_message().await;
        complete(&client, "m1", outcome);
        assert_eq!(world.pairs().await.acknowledged, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn what_stock_javascript_says_without_a_result_is_delivered_unconfirmed() {
    for text in ["Client didn't provide a result.", "Client provided multiple results."] {
        let (world, mut client) = with_message().await;
        complete(&client, "m1", json!({ "error": text }));
        assert_eq!(world.pairs().await.unconfirmed, 1);
        seconds(300).await;
        assert_eq!(client.events().await, [""; 0], "and not sent again");
    }
}

#[tokio::test(start_paused = true)]
async fn any_other_error_brings_the_message_again_under_the_same_id() {
    let (world, mut client) = with_message().await;
    complete(&client, "m1", json!({ "error": "disk full" }));
    seconds(4).await;
    assert_eq!(client.events().await, ["m1"]);
    complete(&client, "m1", json!({ "result": null }));
    assert_eq!(world.pairs().await.acknowledged, 1);
}

#[tokio::test(start_paused = true)]
async fn a_late_completion_of_an_earlier_attempt_settles() {
    let (world, mut client) = with_message().await;
    seconds(31).await;
    // Between 0 and 2 s after the timeout it is sent again, perhaps by now.
    client.events().await;
    complete(&client, "m1", json!({ "result": null }));
    assert_eq!(world.pairs().await.acknowledged, 1);
    seconds(300).await;
    assert_eq!(client.events().await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_completion_after_its_death_settles_the_dead_letter() {
    let (world, client) = with_message().await;
    seconds(300).await;
    assert_eq!(world.deaths().await, ["timed_out"]);
    complete(&client, "m1", json!({ "result": null }));
    let pairs = world.pairs().await;
    assert_eq!((pairs.acknowledged, pairs.dead), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_completion_from_another_connection_does_no_harm() {
    let (world, mut client) = with_message().await;
    let mut other = member(&world, "b").await;
    for id in ["m1", "no such message"] {
        complete(&other, id, json!({ "result": 1 }));
        complete(&other, id, json!({ "error": "no" }));
    }
    assert_eq!(world.pairs().await.pending, 1);
    assert_eq!(other.call("Add", "[1,2]").await["result"], 3, "it is still connected");
    complete(&client, "m1", json!({ "result": null }));
    assert_eq!(world.pairs().await.acknowledged, 1);
    assert_eq!(client.events().await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_message_with_an_id_like_a_questions_is_none() {
    let world = World::keeping(|_| {});
    let (mut asked, mut client) = (world.connect("q").await, member(&world, "a").await);
    client.send(r#"{"type":1,"invocationId":"1","target":"Ask","arguments":["q"]}"#);
    assert_eq!(asked.received().await.len(), 1);
    world.publish("s1", "g").await;
    assert_eq!(client.events().await, ["s1"]);
    complete(&client, "s1", json!({ "result": null }));
    assert_eq!(world.pairs().await.acknowledged, 1);
    assert!(client.connection.ended().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_client_of_this_mode_answers_questions_as_ever() {
    let world = World::keeping(|_| {});
    let mut client = member(&world, "a").await;
    client.send(r#"{"type":1,"invocationId":"1","target":"Ask","arguments":["a"]}"#);
    let question = client.received().await.remove(0);
    complete(&client, question["invocationId"].as_str().unwrap(), json!({ "result": "yes" }));
    client.expect(&[r#"{"type":3,"invocationId":"1","result":"yes"}"#]).await;
}

/// The ids of a client's own streams are numbers, and its answers name those and messages alike.
#[tokio::test(start_paused = true)]
async fn a_message_whose_id_is_a_number_is_not_taken_for_a_stream_of_the_client() {
    let world = World::keeping(|_| {});
    let mut client = member(&world, "a").await;
    client.send(r#"{"type":1,"invocationId":"u","target":"Sum","arguments":[],"streamIds":["5"]}"#);
    client.send(r#"{"type":2,"invocationId":"5","item":1}"#);
    world.publish("5", "g").await;
    let asked = client.received().await.remove(0);
    assert_eq!((&asked["invocationId"], &asked["target"]), (&json!("m#5"), &json!("News")));
    // The answer ends no upload, and the end of the upload answers nothing.
    complete(&client, "m#5", json!({ "result": null }));
    assert_eq!(world.pairs().await.acknowledged, 1);
    world.publish("6", "g").await;
    client.events().await;
    client.send(r#"{"type":2,"invocationId":"5","item":2}"#);
    complete(&client, "5", json!({}));
    client.expect(&[r#"{"type":3,"invocationId":"u","result":3}"#]).await;
    // A late word about a stream that is over, and about one that never was.
    complete(&client, "5", json!({}));
    complete(&client, "6", json!({ "error": "no such stream" }));
    let pairs = world.pairs().await;
    assert_eq!((pairs.acknowledged, pairs.pending), (1, 1));
    complete(&client, "m#6", json!({ "result": null }));
    assert_eq!(world.pairs().await.acknowledged, 2);
}
