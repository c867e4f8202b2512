//! A node with one echoing hub, and clients as plain as they can be.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use conduit_realtime::auth::{Authenticator, Refusal};
use conduit_realtime::connections::{
    self, Connections, End, Endpoint, Frame, Opening, Pipe, Read, Settings,
};
use conduit_realtime::model::{Caller, HubName};
use conduit_realtime::protocol::{Encoded, FrameKind, Protocol};
use conduit_realtime::transport::{Config, Cors, HubRoute, Metrics, Transport, serve};
use futures_util::future::{BoxFuture, ready};
use http::request::Parts;
use parking_lot::Mutex;
use prometheus::Registry;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Nothing in these stories takes so long unless it hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// The hub's own wish.
const LEAVE: End = End::Asked { reason: None, allow_reconnect: false };

/// What a story may change before the node starts.
pub(crate) struct Plan {
    pub(crate) config: Config,
    pub(crate) cors: Cors,
    pub(crate) settings: Settings,
    pub(crate) route: Box<dyn FnOnce(&mut HubRoute)>,
}

pub(crate) struct World {
    pub(crate) address: SocketAddr,
    pub(crate) transport: Arc<Transport>,
    pub(crate) connections: Arc<Connections>,
    pub(crate) app: axum::Router,
    pub(crate) metrics: Metrics,
    pub(crate) openings: Arc<Mutex<Vec<Opening>>>,
    ends: Arc<Mutex<Vec<End>>>,
    pub(crate) stop: CancellationToken,
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The user is the parameter or header `user`; `nobody` is turned away.
struct ByName;

impl Authenticator for ByName {
    fn authenticate<'a>(&'a self, request: &'a Parts) -> BoxFuture<'a, Result<Caller, Refusal>> {
        let query = request.uri.query().unwrap_or_default();
        let user = query.split('&').find_map(|pair| pair.strip_prefix("user="));
        Box::pin(ready(match user {
            Some("nobody") => Err(Refusal::Unauthenticated),
            Some("stranger") => Err(Refusal::Forbidden),
            Some(user) => Ok(Caller::of_user(user)),
            None => Ok(Caller::default()),
        }))
    }
}

/// Sends back what it reads. `stateful…` first makes it resumable, `bye` makes it close,
/// `flood` makes it say a megabyte, `deaf` makes it stop reading.
struct Echo {
    openings: Arc<Mutex<Vec<Opening>>>,
    ends: Arc<Mutex<Vec<End>>>,
}

impl Endpoint for Echo {
    fn converse(&self, pipe: Pipe, opening: Opening) -> BoxFuture<'static, ()> {
        self.openings.lock().push(opening);
        let ends = self.ends.clone();
        Box::pin(echo(pipe, ends))
    }
}

async fn echo(mut pipe: Pipe, ends: Arc<Mutex<Vec<End>>>) {
    let connection = pipe.connection().clone();
    let mut buffer = BytesMut::new();
    loop {
        match pipe.read(&mut buffer).await {
            Read::Resumed => buffer.clear(),
            Read::Ended(end) => {
                ends.lock().push(end);
                return pipe.finish(LEAVE, None, 1000).await;
            }
            Read::Data => {
                let said = buffer.split();
                if connection.protocol().is_none() {
                    let stateful = connection.is_resumable() && said.starts_with(b"stateful");
                    connection.begin(Protocol::Json, stateful);
                }
                match &said[..] {
                    b"bye" => {
                        let close = conduit_realtime::protocol::Close::default();
                        return pipe.finish(LEAVE, Some(&close), 1000).await;
                    }
                    b"deaf" => drop(pipe.ended().await),
                    b"flood" => {
                        for _ in 0..16 {
                            if connection.send(text(&[b'x'; 65_536])).await.is_err() {
                                break;
                            }
                        }
                    }
                    said => {
                        let _ = connection.send(text(said)).await;
                    }
                }
            }
        }
    }
}

pub(crate) fn text(payload: &[u8]) -> Arc<Frame> {
    Frame::ordered(Encoded::from_payload(FrameKind::Text, payload))
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Plan)) -> Self {
        let mut plan = Plan {
            config: Config::default(),
            cors: Cors::default(),
            settings: Settings::default(),
            route: Box::new(|_| {}),
        };
        change(&mut plan);
        let registry = Registry::new();
        let own = connections::Metrics::new(&registry).unwrap();
        let connections = Connections::new(&connections::Config::default(), 1, own);
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        connections.start(&tasks, &stop);
        let metrics = Metrics::new(&registry).unwrap();
        let transport = Transport::new(
            plan.config.clone(),
            plan.cors,
            connections.clone(),
            tasks.clone(),
            metrics.clone(),
        );
        let (openings, ends) = (Arc::default(), Arc::default());
        let mut route = HubRoute {
            path: "/hub".into(),
            hub: HubName::from("echo"),
            endpoint: Arc::new(Echo { openings: Arc::clone(&openings), ends: Arc::clone(&ends) }),
            authenticator: Arc::new(ByName),
            settings: Arc::new(plan.settings),
            transports: Default::default(),
            stateful_reconnect: true,
            negotiate_version_min: 0,
        };
        (plan.route)(&mut route);
        let app = transport.with_cors(transport.router(vec![route]));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tasks.spawn(serve(
            listener,
            app.clone(),
            plan.config,
            metrics.clone(),
            tasks.clone(),
            stop.clone(),
        ));
        Self { address, transport, connections, app, metrics, openings, ends, stop }
    }

    /// Negotiates version 1 and gives the token.
    pub(crate) async fn negotiate(&self, query: &str) -> String {
        let answer = self.http("POST", &format!("/hub/negotiate?negotiateVersion=1&{query}")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["connectionToken"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn http(&self, method: &str, path: &str) -> Answer {
        self.request(method, path, &[], b"").await
    }

    pub(crate) async fn post(&self, token: &str, body: &[u8]) -> Answer {
        self.request("POST", &format!("/hub?id={token}"), &[], body).await
    }

    pub(crate) async fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let mut stream = self.send(method, path, headers, body).await;
        let mut bytes = Vec::new();
        let reading = stream.read_to_end(&mut bytes);
        tokio::time::timeout(PATIENCE, reading).await.expect("an answer in time").unwrap();
        Answer::parse(&bytes)
    }

    /// A request whose answer is read by the story.
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.address);
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("connection")) {
            head += "Connection: close\r\n";
        }
        head += &format!("Content-Length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(body).await.unwrap();
        stream
    }

    /// Waits until the conversations that are over are so many, and says how they ended.
    pub(crate) async fn ends(&self, count: usize) -> Vec<End> {
        self.until(|| self.ends.lock().len() >= count).await;
        self.ends.lock().clone()
    }

    /// Looks again and again until something holds.
    pub(crate) async fn until(&self, holds: impl Fn() -> bool) {
        let looking = async {
            while !holds() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, looking).await.expect("it holds in time");
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let end = memchr::memmem::find(bytes, b"\r\n\r\n").expect("a whole head");
        let head = std::str::from_utf8(&bytes[..end]).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        Self { status, headers, body: bytes[end + 4..].to_vec() }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Status and text, as section 1.11 lists them.
    pub(crate) fn is(&self, status: u16, text: &str) {
        assert_eq!((self.status, self.text()), (status, text), "{self:?}");
    }
}
