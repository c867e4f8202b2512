//! Sessions: who a client is when it comes back, and what it finds.

use std::time::Duration;

use serde_json::json;

use crate::hub::tests_support::{Client, World};
use crate::model::Caller;

const TAB: &str = "clientId=tab-1&acks=method";

fn world() -> World {
    World::keeping(|_| {})
}

async fn seconds(count: u64) {
    tokio::time::sleep(Duration::from_secs(count)).await;
}

/// A client of user `u` with a session, in group `g`.
async fn member(world: &World, id: &str) -> Client {
    let mut client = world.connect_as(id, "u", TAB).await;
    client.call("Join", r#"["g"]"#).await;
    client
}

/// The client's link is cut, and the server knows.
async fn cut(client: Client) {
    client.lose();
    seconds(1).await;
}

#[tokio::test(start_paused = true)]
async fn a_returning_client_gets_its_groups_then_what_it_is_owed_then_what_is_new() {
    let world = world();
    cut(member(&world, "a").await).await;
    for id in ["m1", "m2", "m3"] {
        assert_eq!(world.publish(id, "g").await, 1, "it is counted while it is away");
    }
    let mut back = world.open("b", Caller::of_user("u"), TAB);
    back.send(r#"{"protocol":"json","version":1}"#);
    // Something ordinary as soon as the groups are there, which is before anything owed is sent.
    while back.connection.groups().is_empty() {
        tokio::task::yield_now().await;
    }
    world.ordinary("New", "g").await;
    back.skip_handshake().await;
    assert_eq!(back.events().await, ["m1", "m2", "m3", "New"]);
    world.ordinary("Later", "g").await;
    assert_eq!(back.events().await, ["Later"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_written_to_a_lost_link_comes_again_with_its_retry_count() {
    let world = world();
    let mut a = member(&world, "a").await;
    world.publish("m1", "g").await;
    assert_eq!(a.received().await[0]["arguments"][0]["retryCount"], 0);
    cut(a).await;
    let mut back = world.connect_as("b", "u", TAB).await;
    let received = back.received().await;
    assert_eq!(received[0]["arguments"][0]["messageId"], "m1");
    assert_eq!(received[0]["arguments"][0]["retryCount"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_second_connection_of_the_same_client_replaces_the_first() {
    let world = world();
    let mut first = member(&world, "a").await;
    let mut second = world.connect_as("b", "u", TAB).await;
    first
        .expect_close(
            r#"{"type":7,"error":"Connection closed: the same client has connected again."}"#,
        )
        .await;
    seconds(1).await;
    assert_eq!(world.publish("m1", "g").await, 1);
    assert_eq!(second.events().await, ["m1"]);
    second.call("AcknowledgeMessage", r#"["m1"]"#).await;
    assert_eq!(world.pairs().await.acknowledged, 1);
}

#[tokio::test(start_paused = true)]
async fn nobody_takes_the_session_of_another_caller() {
    let world = world();
    let mut mine = member(&world, "a").await;
    let mut other = world.connect_as("b", "v", TAB).await;
    world.publish("m1", "g").await;
    assert_eq!(mine.events().await, ["m1"]);
    assert_eq!(other.events().await, [""; 0], "neither group nor message is its own");
    let status = other.call("GetMessageStatus", r#"["m1"]"#).await;
    assert_eq!(status["result"], json!(null));
    other.call("AcknowledgeMessage", r#"["m1"]"#).await;
    assert_eq!(world.pairs().await.pending, 1, "and it cannot ack it");
}

#[tokio::test(start_paused = true)]
async fn a_group_that_is_not_allowed_any_more_is_left_and_what_it_owed_is_dead() {
    let world = world();
    let mut a = member(&world, "a").await;
    a.call("Join", r#"["secret"]"#).await;
    cut(a).await;
    world.publish("open", "g").await;
    world.publish("closed", "secret").await;
    world.host.hub().closed.lock().push("secret".to_owned());
    let mut back = world.connect_as("b", "u", TAB).await;
    assert_eq!(back.events().await, ["open"]);
    assert_eq!(world.deaths().await, ["access_revoked"]);
    assert_eq!(world.publish("again", "secret").await, 0);
    world.ordinary("Ordinary", "secret").await;
    assert_eq!(back.events().await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn who_stays_away_too_long_is_gone_with_what_it_was_owed() {
    let world = world();
    cut(member(&world, "a").await).await;
    world.publish("m1", "g").await;
    seconds(110).await;
    assert_eq!(world.deaths().await, [""; 0]);
    seconds(20).await;
    assert_eq!(world.deaths().await, ["subscriber_gone"]);
    let mut back = world.connect_as("b", "u", TAB).await;
    assert_eq!(world.publish("m2", "g").await, 0, "its groups are forgotten");
    assert_eq!(back.events().await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn without_a_client_id_the_users_next_connection_in_the_audience_takes_over() {
    let world = world();
    let mut a = world.connect_as("a", "u", "acks=method").await;
    a.call("Join", r#"["g"]"#).await;
    world.publish("m1", "g").await;
    assert_eq!(a.events().await, ["m1"]);
    cut(a).await;
    let mut stranger = world.connect_as("b", "v", "acks=method").await;
    stranger.call("Join", r#"["g"]"#).await;
    let mut heir = world.connect_as("c", "u", "acks=method").await;
    assert_eq!(heir.events().await, [""; 0], "it is not in the audience yet");
    heir.send(r#"{"type":1,"invocationId":"j","target":"Join","arguments":["g"]}"#);
    assert_eq!(heir.events().await, ["m1"]);
    assert_eq!(stranger.events().await, [""; 0]);
    heir.call("AcknowledgeMessage", r#"["m1"]"#).await;
    assert_eq!(world.pairs().await.acknowledged, 1);
}

#[tokio::test(start_paused = true)]
async fn an_anonymous_client_needs_an_id_that_nobody_guesses() {
    let world = world();
    for (number, (id, targeted)) in
        [("tab-1", 0), ("0b0e6a52-96c7-4d3c-8f2e-5a7c1d9be043", 1)].into_iter().enumerate()
    {
        let query = format!("clientId={id}&acks=method");
        let mut a = world.open(&format!("a{number}"), Caller::default(), &query);
        a.send(r#"{"protocol":"json","version":1}"#);
        a.skip_handshake().await;
        a.call("Join", r#"["g"]"#).await;
        cut(a).await;
        assert_eq!(world.publish(&format!("m{number}"), "g").await, targeted, "{id}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_with_too_many_sessions_is_served_without_one() {
    let world = world();
    let mut clients = Vec::new();
    for number in 0..33 {
        let query = format!("clientId=tab{number}&acks=method");
        let mut client = world.connect_as(&format!("c{number}"), "u", &query).await;
        client.call("Join", r#"["g"]"#).await;
        clients.push(client);
    }
    assert_eq!(world.publish("m1", "g").await, 33, "the last one is served, too");
    for client in clients {
        client.lose();
    }
    seconds(1).await;
    assert_eq!(world.publish("m2", "g").await, 32, "and not remembered");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_is_refused_in_the_handshake_and_never_repeated() {
    let world = World::keeping(|options| options.acks.truncate(2));
    for (query, error) in [
        ("clientId=a%20b", "clientId must have 1 to 128 characters of A-Z a-z 0-9 . _ ~ : -"),
        ("acks=result", "The hub 'hub' has no such acks; use one of: none, method."),
    ] {
        let mut client = world.open("a", Caller::default(), query);
        client.send(r#"{"protocol":"json","version":1}"#);
        client.expect(&[&json!({ "error": error }).to_string()]).await;
        assert!(client.socket.is_closed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_read_too_slowly_is_told_of_the_gap_when_it_returns() {
    let world = world();
    let a = member(&world, "a").await;
    a.socket.stop_reading();
    for _ in 0..70 {
        world.ordinary("Much", "g").await;
    }
    a.socket.read_on();
    seconds(1).await;
    let mut back = world.connect_as("b", "u", TAB).await;
    let received = back.received().await;
    let told = json!({ "reason": "tooSlow", "missed": null });
    assert_eq!(received, [json!({ "type": 1, "target": "gap", "arguments": [told] })]);
    cut(back).await;
    let mut again = world.connect_as("c", "u", TAB).await;
    assert_eq!(again.events().await, [""; 0], "it is told once");
}

#[tokio::test(start_paused = true)]
async fn a_client_without_a_session_hears_of_no_gaps() {
    let world = world();
    let mut a = world.connect_as("a", "u", "").await;
    a.call("Join", r#"["g"]"#).await;
    a.socket.stop_reading();
    for _ in 0..70 {
        world.ordinary("Much", "g").await;
    }
    a.socket.read_on();
    seconds(1).await;
    let mut back = world.connect_as("b", "u", "").await;
    assert_eq!(back.events().await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn more_than_may_wait_during_a_replay_is_a_gap_and_no_end() {
    let world = world();
    cut(member(&world, "a").await).await;
    world.publish("m1", "g").await;
    let mut back = world.open("b", Caller::of_user("u"), TAB);
    back.send(r#"{"protocol":"json","version":1}"#);
    while back.connection.groups().is_empty() {
        tokio::task::yield_now().await;
    }
    for _ in 0..70 {
        world.ordinary("New", "g").await;
    }
    back.skip_handshake().await;
    let events = back.events().await;
    assert_eq!((events.len(), events[0].as_str(), events[65].as_str()), (66, "m1", "gap"));
    assert!(back.connection.ended().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_resumed_connection_is_sent_nothing_twice_and_its_time_starts_anew() {
    let world = world();
    let mut a = world.open("a", Caller::of_user("u"), TAB);
    a.send(r#"{"protocol":"json","version":2}"#);
    a.skip_handshake().await;
    a.call("Join", r#"["g"]"#).await;
    a.send(r#"{"type":8,"sequenceId":1}"#);
    world.publish("m1", "g").await;
    assert_eq!(a.events().await, ["m1"]);
    seconds(20).await;
    a.lose();
    seconds(5).await;
    a.resume();
    assert_eq!(a.events().await, ["m1"], "the transport's own replay");
    a.send(r#"{"type":9,"sequenceId":2}"#);
    a.send(r#"{"type":8,"sequenceId":2}"#);
    seconds(25).await;
    assert_eq!(a.events().await, [""; 0], "45 s after it was sent first");
    a.call("AcknowledgeMessage", r#"["m1"]"#).await;
    assert_eq!(world.pairs().await.acknowledged, 1);
}
