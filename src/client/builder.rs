//! How a client is described before it connects.

use std::future::Future;
use std::sync::Arc;

use http::header::{AUTHORIZATION, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::time::{Instant, timeout_at};
use tokio_util::task::TaskTracker;

use super::ack_methods::{ACKS_PARAMETER, CLIENT_ID_PARAMETER};
use super::address::Address;
use super::client_id::ClientId;
use super::dial::{Dialer, handshake};
use super::error::ConnectError;
use super::events::EventReceiver;
use super::handle::Client;
use super::handlers::{Event, Handlers};
use super::memory::Memory;
use super::message::{Message, Refusal};
use super::negotiate::{bearer, negotiate};
use super::session::{Opened, start};
use super::settings::Settings;
use crate::model::ConnectionId;
use crate::protocol::{Protocol, ToWire};

const USER_AGENT_TEXT: &str = concat!("conduit-realtime/", env!("CARGO_PKG_VERSION"));

/// What is to be connected and how. Handlers added here hear what `OnConnected` says.
#[must_use = "nothing happens before `connect`"]
pub struct Builder {
    url: String,
    protocol: Protocol,
    access_token: Option<String>,
    headers: Vec<(String, String)>,
    query: Vec<(String, String)>,
    skip_negotiation: bool,
    stateful: bool,
    settings: Settings,
    tasks: TaskTracker,
    handlers: Arc<Handlers>,
    memory: Memory,
    client_id: Option<ClientId>,
    acks: Option<Acks>,
}

/// How this connection says that it has a message; without one of these the hub's own default holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    /// Not at all: what is written to the transport counts as delivered, unconfirmed.
    None,
    /// By hub methods, many at once.
    Method,
    /// By the result of the handler, as stock clients do.
    Result,
}

impl Acks {
    /// What the query says.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Method => "method",
            Self::Result => "result",
        }
    }
}

impl Builder {
    pub(super) fn new(url: &str) -> Self {
        Self {
            url: url.into(),
            protocol: Protocol::Json,
            access_token: None,
            headers: Vec::new(),
            query: Vec::new(),
            skip_negotiation: false,
            stateful: false,
            settings: Settings::default(),
            tasks: TaskTracker::new(),
            handlers: Arc::default(),
            memory: Memory::default(),
            client_id: None,
            acks: None,
        }
    }

    /// Defaults to JSON.
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.protocol = protocol;
        self
    }

    /// Sent as `Authorization: Bearer`; a redirect may replace it.
    pub fn access_token(mut self, token: impl Into<String>) -> Self {
        self.access_token = Some(token.into());
        self
    }

    /// Sent with every request. An `Authorization` header wins over the access token.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// A parameter of every request, percent-encoded here; not added where the URL has it already.
    /// A redirect replaces the whole URL, this with it.
    pub fn query(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.query.push((name.into(), value.into()));
        self
    }

    /// Opens the WebSocket at once; the client then has no connection id (section 1.7).
    pub fn skip_negotiation(mut self, skip: bool) -> Self {
        self.skip_negotiation = skip;
        self
    }

    /// Asks for stateful reconnect: a lost link is opened again and nothing is lost (section 5.12).
    /// Without negotiation, or when the server does not agree, it is an ordinary connection.
    pub fn stateful(mut self, stateful: bool) -> Self {
        self.stateful = stateful;
        self
    }

    /// Limits and deadlines.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Who is to know the client's task, for a caller that waits for all of them.
    pub fn tasks(mut self, tasks: &TaskTracker) -> Self {
        self.tasks = tasks.clone();
        self
    }

    /// As [`Client::on`], kept for the whole connection.
    pub fn on(self, target: &str, handler: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.handlers.on(target, handler).keep();
        self
    }

    /// As [`Client::on_ask`], kept for the whole connection.
    pub fn on_ask<T, F>(
        self,
        target: &str,
        handler: impl Fn(Event) -> F + Send + Sync + 'static,
    ) -> Self
    where
        T: ToWire + 'static,
        F: Future<Output = Result<T, String>> + Send + 'static,
    {
        self.handlers.on_ask(target, handler).keep();
        self
    }

    /// As [`Client::on_acknowledged`], kept for the whole connection.
    pub fn on_acknowledged<F>(
        self,
        target: &str,
        handler: impl Fn(Message) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), Refusal>> + Send + 'static,
    {
        self.handlers.on_acknowledged(target, handler).keep();
        self
    }

    /// Makes the connection one of a lasting subscriber: what it owes waits for the next one.
    pub fn client_id(mut self, client_id: ClientId) -> Self {
        self.client_id = Some(client_id);
        self
    }

    /// How messages are acknowledged, where the hub's default does not fit.
    pub fn acks(mut self, acks: Acks) -> Self {
        self.acks = Some(acks);
        self
    }

    /// What the subscriber remembers of handled messages; one of its own for this connection unless
    /// given.
    pub fn memory(mut self, memory: &Memory) -> Self {
        self.memory = memory.clone();
        self
    }

    /// As [`Client::events`], from the first event on. Its bound is that of the settings so far.
    pub fn events(&self, target: &str) -> EventReceiver {
        self.handlers.events(target, self.settings.events_max)
    }

    /// Negotiates, opens the WebSocket, shakes hands, and starts the client's task.
    pub async fn connect(self) -> Result<Client, ConnectError> {
        let deadline = Instant::now() + self.settings.connect_timeout;
        let mut headers = self.request_headers()?;
        let mut address = Address::parse(&self.url)?;
        for (name, value) in &self.query {
            address.add_query(name, value);
        }
        self.add_subscriber(&mut address);
        let mut connection_id = None;
        let mut connection_token = None;
        let mut stateful = false;
        if !self.skip_negotiation {
            let negotiating = negotiate(address, &mut headers, self.stateful);
            let negotiated = within(deadline, "negotiating", negotiating).await?;
            address = negotiated.address;
            self.add_subscriber(&mut address); // a redirect has replaced the whole URL
            connection_id = Some(ConnectionId::from(negotiated.connection_id));
            connection_token = Some(negotiated.connection_token);
            stateful = negotiated.stateful;
        }
        let url = address.web_socket_url(connection_token.as_deref());
        let dialer = Dialer::new(address, url, headers, &self.settings);
        let mut socket = within(deadline, "opening the WebSocket", dialer.open()).await?;
        let version = if stateful { 2 } else { 1 }; // 2 only with stateful reconnect, as JS (3.4)
        let limit = self.settings.message_bytes_max;
        let shaking = handshake(&mut socket, self.protocol, version, limit);
        let received = within(deadline, "shaking hands", shaking).await?;
        let opened = Opened {
            protocol: self.protocol,
            connection_id,
            socket,
            received,
            reopens: stateful.then_some(dialer),
        };
        Ok(start(opened, self.settings, self.handlers, self.memory, &self.tasks))
    }

    /// Who the subscriber is and how it acknowledges.
    fn add_subscriber(&self, address: &mut Address) {
        if let Some(id) = &self.client_id {
            address.add_query(CLIENT_ID_PARAMETER, id.as_str());
        }
        if let Some(acks) = self.acks {
            address.add_query(ACKS_PARAMETER, acks.name());
        }
    }

    fn request_headers(&self) -> Result<HeaderMap, ConnectError> {
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, HeaderValue::from_static(USER_AGENT_TEXT));
        if let Some(token) = &self.access_token {
            headers.insert(AUTHORIZATION, bearer(token)?);
        }
        for (name, value) in &self.headers {
            let bad = || ConnectError::BadHeader { name: name.clone() };
            let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?;
            headers.insert(parsed, HeaderValue::from_str(value).map_err(|_| bad())?);
        }
        Ok(headers)
    }
}

async fn within<T>(
    deadline: Instant,
    doing: &'static str,
    step: impl Future<Output = Result<T, ConnectError>>,
) -> Result<T, ConnectError> {
    timeout_at(deadline, step).await.unwrap_or(Err(ConnectError::Timeout { doing }))
}
