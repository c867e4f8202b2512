//! Opening a WebSocket and shaking hands on it (sections 2.1 and 3).

use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use http::HeaderMap;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::address::Address;
use super::error::ConnectError;
use super::negotiate::{dial, status_error};
use super::settings::Settings;
use crate::protocol::{Protocol, handshake as wire};

pub(super) type Socket = WebSocketStream<TcpStream>;

const OPENING: &str = "opening the WebSocket";
const SHAKING: &str = "shaking hands";
/// What a server may put into one WebSocket message beside one hub message of full length;
/// ASP.NET Core's pipe holds 64 KiB.
const COALESCED_BYTES_MAX: usize = 1 << 20;

/// Opens the same WebSocket as often as needed.
pub(super) struct Dialer {
    address: Address,
    url: String,
    headers: HeaderMap,
    config: WebSocketConfig,
}

impl Dialer {
    pub(super) fn new(
        address: Address,
        url: String,
        headers: HeaderMap,
        settings: &Settings,
    ) -> Self {
        let message_max = settings.message_bytes_max.saturating_add(COALESCED_BYTES_MAX);
        let config = WebSocketConfig::default()
            .read_buffer_size(settings.read_buffer_bytes)
            .max_message_size(Some(message_max))
            .max_frame_size(Some(message_max));
        Self { address, url, headers, config }
    }

    pub(super) async fn open(&self) -> Result<Socket, ConnectError> {
        let mut request = self.url.as_str().into_client_request().map_err(failed)?;
        for (name, value) in &self.headers {
            request.headers_mut().insert(name, value.clone());
        }
        let stream = dial(&self.address).await?;
        let opening =
            tokio_tungstenite::client_async_with_config(request, stream, Some(self.config));
        let (socket, _) = opening.await.map_err(failed)?;
        Ok(socket)
    }
}

fn failed(error: Error) -> ConnectError {
    match error {
        Error::Http(response) => {
            let body = response.body().as_deref().unwrap_or_default();
            status_error(OPENING, response.status(), body)
        }
        Error::Io(source) => ConnectError::Io { doing: OPENING, source },
        other => ConnectError::BadAnswer { doing: OPENING, why: other.to_string() },
    }
}

#[derive(Deserialize)]
struct Answer {
    error: Option<String>,
    /// Only hub messages have one.
    #[serde(rename = "type")]
    kind: Option<serde::de::IgnoredAny>,
}

/// Agrees on the protocol; returns what came after the answer in the same message.
pub(super) async fn handshake(
    socket: &mut Socket,
    protocol: Protocol,
    version: i64,
    limit: usize,
) -> Result<BytesMut, ConnectError> {
    let bad = |why: String| ConnectError::BadAnswer { doing: SHAKING, why };
    let request = text(wire::request(protocol, version).payload()).map_err(bad)?;
    socket.send(request).await.map_err(|error| bad(error.to_string()))?;
    let mut received = BytesMut::new();
    let answer = loop {
        // The answer ends as a JSON message does, whatever the protocol.
        let split = Protocol::Json.split(&mut received, limit);
        if let Some(answer) = split.map_err(|error| bad(error.to_string()))? {
            break answer;
        }
        match socket.next().await {
            Some(Ok(Message::Text(text))) => received.extend_from_slice(text.as_bytes()),
            Some(Ok(Message::Binary(bytes))) => received.extend_from_slice(&bytes),
            Some(Ok(Message::Close(_))) | None => {
                return Err(bad("the server closed the connection".into()));
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(bad(error.to_string())),
        }
    };
    let answer: Answer = serde_json::from_slice(&answer).map_err(|error| bad(error.to_string()))?;
    match answer {
        Answer { error: Some(error), .. } => Err(ConnectError::Handshake(error)),
        Answer { kind: Some(_), .. } => {
            Err(bad("Expected a handshake response from the server.".into()))
        }
        Answer { .. } => Ok(received),
    }
}

/// A text frame; what we encode is always UTF-8, so an error means a defect of ours.
pub(super) fn text(payload: Bytes) -> Result<Message, String> {
    payload.try_into().map(Message::Text).map_err(|error: std::str::Utf8Error| error.to_string())
}
