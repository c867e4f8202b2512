//! A bug in a session's own code costs its client the connection, and nobody anything else.

use std::time::Duration;

use crate::hub::tests_support::World;
use crate::model::{Caller, Subject};

const TAB: &str = "clientId=tab-1&acks=method";

async fn seconds(count: u64) {
    tokio::time::sleep(Duration::from_secs(count)).await;
}

#[tokio::test(start_paused = true)]
async fn a_session_that_panics_leaves_nothing_behind() {
    let world = World::keeping(|_| {});
    let mut other = world.connect_as("other", "v", "").await;
    other.call("Join", r#"["g"]"#).await;
    let mut client = world.connect_as("a", "u", TAB).await;
    client.call("Join", r#"["g"]"#).await;
    client.meet_a_bug();
    seconds(1).await;
    assert_eq!(world.node.count(), 1, "the other one");
    let delivery = world.delivery();
    let hub = "hub".into();
    for subject in [Subject::Connection("a".into()), Subject::User("u".into())] {
        assert!(!delivery.exists(&hub, &subject).await.unwrap(), "{subject:?}");
    }
    let queue = delivery.queue();
    assert_eq!(queue.present, 1, "its courier does not take it for present");
    assert_eq!(world.node.metrics().ended.with_label_values(&["panicked"]).get(), 1);
    let disconnected = &world.metrics.disconnected;
    assert_eq!(disconnected.with_label_values(&["hub", "WebSockets", "panicked"]).get(), 1);
    assert_eq!(world.metrics.sessions.with_label_values(&["hub"]).get(), 1);
    assert_eq!(world.log(), ["a left: Some(\"The session panicked.\")"], "the hub is told, once");

    assert_eq!(world.publish("m1", "g").await, 2, "it may come back");
    assert_eq!(other.events().await, ["News"], "others go on");
    let mut back = world.connect_as("b", "u", TAB).await;
    assert_eq!(back.events().await, ["m1"]);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_panics_before_its_hub_greeted_it_is_not_said_goodbye_to() {
    let world = World::keeping(|_| {});
    let client = world.open("a", Caller::of_user("u"), TAB);
    client.meet_a_bug();
    seconds(1).await;
    let slow = world.open("b", Caller::of_user("u"), "hello=late");
    slow.send(r#"{"protocol":"json","version":1}"#);
    seconds(1).await;
    slow.meet_a_bug();
    seconds(5).await;
    assert_eq!((world.node.count(), world.delivery().queue().present), (0, 0));
    assert_eq!(world.node.metrics().ended.with_label_values(&["panicked"]).get(), 2);
    assert_eq!(world.log(), [""; 0]);
}
