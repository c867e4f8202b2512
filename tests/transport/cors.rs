//! What browsers are told, and what they may open.

use conduit_realtime::transport::Cors;

use crate::world::World;

const GOOD: &str = "http://allowed.example";

async fn world() -> World {
    World::with(|plan| plan.cors = Cors { origins: vec![GOOD.into()] }).await
}

#[tokio::test]
async fn every_preflight_is_204_and_only_an_allowed_origin_gets_permission() {
    let world = world().await;
    for origin in [GOOD, "http://evil.example"] {
        let headers = [
            ("Origin", origin),
            ("Access-Control-Request-Method", "POST"),
            ("Access-Control-Request-Headers", "x-requested-with,authorization"),
        ];
        for path in ["/hub/negotiate", "/hub", "/elsewhere"] {
            let answer = world.request("OPTIONS", path, &headers, b"").await;
            answer.is(204, "");
            let good = origin == GOOD;
            let header = |name| answer.header(name);
            assert_eq!(header("access-control-allow-origin"), good.then_some(GOOD));
            assert_eq!(header("access-control-allow-credentials"), good.then_some("true"));
            assert_eq!(header("access-control-allow-methods"), good.then_some("GET,POST,DELETE"));
            assert_eq!(
                header("access-control-allow-headers"),
                good.then_some("x-requested-with,authorization")
            );
        }
    }
}

#[tokio::test]
async fn answers_and_errors_carry_the_permission_too() {
    let world = world().await;
    for path in ["/hub/negotiate", "/hub?id=unknown", "/hub/negotiate?user=nobody"] {
        let answer = world.request("POST", path, &[("Origin", GOOD)], b"").await;
        assert_eq!(answer.header("access-control-allow-origin"), Some(GOOD), "{path}");
        assert_eq!(answer.header("access-control-allow-credentials"), Some("true"));
        assert_eq!(answer.header("vary"), Some("Origin"));
        let answer = world.request("POST", path, &[("Origin", "http://evil.example")], b"").await;
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
}

#[tokio::test]
async fn a_page_of_a_foreign_origin_opens_no_websocket() {
    let world = world().await;
    let own = format!("http://{}", world.address);
    for (origin, status) in [(GOOD, 101), (&own, 101), ("http://evil.example", 403), ("null", 403)]
    {
        let mut stream = world.send("GET", "/hub", &upgrade(origin), b"").await;
        let mut head = [0; 12];
        tokio::io::AsyncReadExt::read_exact(&mut stream, &mut head).await.unwrap();
        assert_eq!(&head, format!("HTTP/1.1 {status}").as_bytes(), "{origin}");
    }
}

fn upgrade(origin: &str) -> [(&str, &str); 5] {
    [
        ("Origin", origin),
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ]
}

#[test]
fn an_entry_that_is_no_origin_is_named() {
    for wrong in ["allowed.example", "http://a/b", "*", "https://*.example", "http://"] {
        let error = Cors { origins: vec![wrong.into()] }.check().unwrap_err();
        assert!(error.starts_with("cors.origins: ") && error.contains(wrong), "{error}");
    }
    assert!(Cors { origins: vec![GOOD.into(), "https://a.example:8443".into()] }.check().is_ok());
}
