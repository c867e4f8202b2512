//! Who comes, who is refused, who goes and how long it was: counted for every hub.

use std::time::Duration;

use crate::connections::End;
use crate::hub::tests_support::World;
use crate::model::Caller;

impl World {
    fn connects(&self) -> u64 {
        self.metrics.connected.with_label_values(&["hub", "WebSockets"]).get()
    }

    fn disconnects(&self, reason: &str) -> u64 {
        self.metrics.disconnected.with_label_values(&["hub", "WebSockets", reason]).get()
    }
}

#[tokio::test(start_paused = true)]
async fn every_visit_is_counted_with_its_end_and_its_length() {
    let world = World::new();
    let (a, b) = (world.connect("a").await, world.connect("b").await);
    let (c, d) = (world.connect("c").await, world.connect("d").await);
    assert_eq!(
        (world.connects(), world.metrics.sessions.with_label_values(&["hub"]).get()),
        (4, 4)
    );
    tokio::time::sleep(Duration::from_secs(3)).await;
    a.close();
    b.send(r#"{"type":7}"#);
    c.send("{}");
    d.connection.end(End::Stopping);
    tokio::time::sleep(Duration::from_secs(10)).await;
    for reason in ["client_left", "client_closed", "client_fault", "stopping"] {
        assert_eq!(world.disconnects(reason), 1, "{reason}");
    }
    let duration = world.metrics.duration.with_label_values(&["hub", "WebSockets"]);
    assert_eq!(duration.get_sample_count(), 4);
    assert!(duration.get_sample_sum() >= 12.0, "{}", duration.get_sample_sum());
    assert_eq!(world.metrics.sessions.with_label_values(&["hub"]).get(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_counted_whether_the_handshake_or_the_hub_refuses() {
    let world = World::new();
    let stranger = world.open("a", Caller::default(), "");
    stranger.send(r#"{"protocol":"morse","version":1}"#);
    let unwelcome = world.open("b", Caller::default(), "hello=fail");
    unwelcome.send(r#"{"protocol":"json","version":1}"#);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(world.metrics.handshakes_refused.with_label_values(&["hub"]).get(), 1);
    assert_eq!((world.connects(), world.disconnects("unwelcome")), (1, 1));
}

/// R18: nothing counts an event a second time.
#[tokio::test(start_paused = true)]
async fn metrics_cannot_be_registered_twice() {
    let registry = prometheus::Registry::new();
    assert!(crate::hub::Metrics::new(&registry).is_ok());
    assert!(crate::hub::Metrics::new(&registry).is_err(), "each event would count twice");
}
