//! Subscribers with nothing but what the protocol asks for, so that a measurement is one of the server.
//!
//! A whole client keeps a memory, handlers in tasks of their own and a plan for reconnects. It costs
//! two to three times what the server does for the same message, so with a thousand of them on one
//! core the server waits for the client.

use std::sync::Arc;
use std::time::Duration;

use conduit_realtime::client::ClientId;
use conduit_realtime::client::ack_methods::{ACKS_PARAMETER, CLIENT_ID_PARAMETER};
use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_util::sync::CancellationToken;

use crate::Problem;
use crate::bare_loop::{Loop, records_of};
use crate::flags::Flags;
use crate::records::Records;
use crate::world::World;

/// For each step of getting there.
const PATIENCE: Duration = Duration::from_secs(10);

/// One that is getting there.
struct Bare {
    socket: WebSocketStream<TcpStream>,
}

/// The answers on the way there.
#[derive(Deserialize)]
struct Said {
    #[serde(rename = "type")]
    kind: Option<u8>,
    error: Option<String>,
}

/// What a crowd of bare subscribers needs.
pub(crate) struct Crowded<'r> {
    pub(crate) flags: &'r Flags,
    pub(crate) address: &'r str,
    pub(crate) records: &'r Arc<Records>,
    pub(crate) world: &'r World,
}

/// Connects all of them, and reads for them on a thread of its own until the run is over.
pub(crate) async fn start_all(crowd: Crowded<'_>, over: &CancellationToken) -> Result<(), Problem> {
    let Crowded { flags, address, records, world } = crowd;
    let mut all = Loop::new(records.clone(), flags.ack_delay())?;
    for subscriber in 0..flags.subscribers {
        let mut bare = Bare::connect(address).await?;
        for group in world.groups_of(subscriber) {
            bare.join(&group).await?;
        }
        // Nothing is published yet, so nothing can be lost in what is taken apart here.
        all.add(bare.socket.into_inner().into_std()?, subscriber)?;
        records.joined(subscriber);
    }
    let over = over.clone();
    std::thread::Builder::new().name("bare".into()).spawn(move || all.run(&over))?;
    Ok(())
}

impl Bare {
    /// Connects as a session of its own and shakes hands.
    async fn connect(address: &str) -> Result<Self, Problem> {
        let client_id = ClientId::random()?;
        let client_id = client_id.as_str();
        let url = format!(
            "ws://{address}/hubs/bench?{ACKS_PARAMETER}=method&{CLIENT_ID_PARAMETER}={client_id}"
        );
        let stream = timeout(PATIENCE, TcpStream::connect(address)).await??;
        stream.set_nodelay(true)?;
        let opening = tokio_tungstenite::client_async(url.into_client_request()?, stream);
        let (socket, _) = timeout(PATIENCE, opening).await??;
        let mut bare = Self { socket };
        bare.say(r#"{"protocol":"json","version":1}"#).await?;
        bare.hear().await?;
        Ok(bare)
    }

    async fn join(&mut self, group: &str) -> Result<(), Problem> {
        let join = serde_json::json!({"type": 1, "invocationId": "1", "target": "JoinGroup",
            "arguments": [group]});
        self.say(&join.to_string()).await?;
        while self.hear().await? != Some(COMPLETION) {}
        Ok(())
    }

    async fn say(&mut self, record: &str) -> Result<(), Problem> {
        let text = format!("{record}\u{1e}");
        Ok(timeout(PATIENCE, self.socket.send(Message::text(text))).await??)
    }

    /// The kind of the next hub message; none for the answer to the handshake.
    async fn hear(&mut self) -> Result<Option<u8>, Problem> {
        let message = timeout(PATIENCE, self.socket.next()).await?.ok_or("it was closed")??;
        let text = message.into_text()?;
        let mut kind = None;
        for record in records_of(text.as_bytes()) {
            let said: Said = serde_json::from_slice(record)?;
            if let Some(error) = said.error {
                return Err(format!("a bare subscriber was told: {error}").into());
            }
            kind = said.kind;
        }
        Ok(kind)
    }
}

const COMPLETION: u8 = 3;
