//! A server of a few lines: every answer is said by the test.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

use crate::client::{Builder, Client};
use crate::protocol::{Encoded, HubMessage, Invocation, Protocol, handshake};

/// What every wait of a test may take.
const PATIENCE: Duration = Duration::from_secs(20);
pub(super) const NEGOTIATED: &str = r#"{"negotiateVersion":1,"connectionId":"public","connectionToken":"secret","availableTransports":[{"transport":"WebSockets","transferFormats":["Text","Binary"]}]}"#;
const LIMIT: usize = 1 << 20;

pub(super) struct Server {
    listener: TcpListener,
}

impl Server {
    pub(super) async fn start() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/hub", self.listener.local_addr().unwrap())
    }

    pub(super) fn client(&self) -> Builder {
        Client::builder(&self.url())
    }

    async fn accept(&self) -> TcpStream {
        let (stream, _) = timeout(PATIENCE, self.listener.accept()).await.unwrap().unwrap();
        stream
    }

    /// Answers one HTTP request; returns its head.
    pub(super) async fn answer(&self, status: &str, body: &str) -> String {
        let mut stream = self.accept().await;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(timeout(PATIENCE, stream.read_u8()).await.unwrap().unwrap());
        }
        let length = body.len();
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}");
        stream.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(head).unwrap()
    }

    pub(super) async fn negotiate(&self) -> String {
        self.answer("200 OK", NEGOTIATED).await
    }

    /// Takes a WebSocket, without the SignalR handshake.
    #[allow(clippy::result_large_err, reason = "the signature is tungstenite's")]
    pub(super) async fn web_socket(&self, protocol: Protocol) -> Peer {
        let mut request = Request::default();
        let seen = |got: &Request, response: Response| {
            request = got.clone();
            Ok(response)
        };
        let socket = accept_hdr_async(self.accept().await, seen).await.unwrap();
        Peer { socket, protocol, request, received: BytesMut::new() }
    }

    /// Plays the server's part of connecting without negotiation.
    pub(super) async fn welcome(&self, protocol: Protocol) -> Peer {
        let mut peer = self.web_socket(protocol).await;
        let request = peer.shake_hands().await;
        assert_eq!(request.protocol(), Some(protocol));
        peer.say(handshake::accepted(protocol)).await;
        peer
    }
}

/// A client and its server.
pub(super) async fn connected(protocol: Protocol) -> (Client, Peer) {
    connected_with(protocol, |builder| builder).await
}

pub(super) async fn connected_with(
    protocol: Protocol,
    with: impl FnOnce(Builder) -> Builder,
) -> (Client, Peer) {
    let server = Server::start().await;
    let client = with(server.client().skip_negotiation(true).protocol(protocol)).connect();
    let (client, peer) = tokio::join!(client, server.welcome(protocol));
    (client.unwrap(), peer)
}

/// The server's end of one WebSocket.
pub(super) struct Peer {
    socket: WebSocketStream<TcpStream>,
    protocol: Protocol,
    pub(super) request: Request,
    received: BytesMut,
}

impl Peer {
    pub(super) async fn shake_hands(&mut self) -> handshake::Request {
        loop {
            if let Some(request) = handshake::split(&mut self.received, LIMIT).unwrap() {
                return handshake::parse(&request).unwrap();
            }
            assert!(self.fill().await);
        }
    }

    pub(super) async fn say(&mut self, encoded: Encoded) {
        self.say_payload(encoded.payload()).await;
    }

    pub(super) async fn say_text(&mut self, text: &str) {
        self.say_payload(Bytes::copy_from_slice(text.as_bytes())).await;
    }

    async fn say_payload(&mut self, payload: Bytes) {
        let message = match self.protocol {
            Protocol::Json => Message::text(String::from_utf8(payload.to_vec()).unwrap()),
            Protocol::MessagePack => Message::binary(payload),
        };
        self.socket.send(message).await.unwrap();
    }

    /// The next message, pings too; none at the end.
    pub(super) async fn hear_any(&mut self) -> Option<HubMessage> {
        loop {
            if let Some(message) = self.protocol.split(&mut self.received, LIMIT).unwrap() {
                return Some(self.protocol.decode(message).unwrap());
            }
            if !self.fill().await {
                return None;
            }
        }
    }

    /// The next message that is no ping.
    pub(super) async fn hear(&mut self) -> HubMessage {
        loop {
            match self.hear_any().await {
                Some(HubMessage::Ping) => {}
                Some(message) => return message,
                None => panic!("the client has closed the socket"),
            }
        }
    }

    /// Nothing but pings may come before the end.
    pub(super) async fn hear_the_end(&mut self) {
        while let Some(message) = self.hear_any().await {
            assert_eq!(message, HubMessage::Ping);
        }
    }

    pub(super) async fn hear_invocation(&mut self) -> Invocation {
        match self.hear().await {
            HubMessage::Invocation(invocation) => invocation,
            other => panic!("{other:?}"),
        }
    }

    /// Whether there was something.
    async fn fill(&mut self) -> bool {
        match timeout(PATIENCE, self.socket.next()).await.expect("the client says nothing") {
            Some(Ok(Message::Text(text))) => self.received.extend_from_slice(text.as_bytes()),
            Some(Ok(Message::Binary(bytes))) => self.received.extend_from_slice(&bytes),
            Some(Ok(Message::Close(_)) | Err(_)) | None => return false,
            Some(Ok(_)) => {}
        }
        true
    }

    /// Closes the WebSocket in order.
    pub(super) async fn close(mut self) {
        let _ = self.socket.close(None).await;
        while let Some(Ok(_)) = self.socket.next().await {}
    }
}
