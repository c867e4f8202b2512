//! Negotiation over plain HTTP/1.1: which connection, which address (section 1).

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HOST, HeaderValue};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;

use super::address::Address;
use super::error::ConnectError;
use super::settings::REDIRECTS_MAX;

const NEGOTIATING: &str = "negotiating";
/// An answer has some 400 bytes.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// How much of an unexpected answer goes into an error.
const EXCERPT_BYTES_MAX: usize = 512;

/// What a negotiation found.
pub(super) struct Negotiated {
    /// Where the WebSocket is to be opened; another one after a redirect.
    pub(super) address: Address,
    /// The public id.
    pub(super) connection_id: String,
    /// The secret of the WebSocket's URL.
    pub(super) connection_token: String,
    /// The server agrees to stateful reconnect.
    pub(super) stateful: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    error: Option<String>,
    url: Option<String>,
    access_token: Option<String>,
    #[serde(default)]
    negotiate_version: i64,
    connection_id: Option<String>,
    connection_token: Option<String>,
    #[serde(default)]
    available_transports: Vec<Transport>,
    #[serde(default)]
    use_stateful_reconnect: bool,
    /// Sent by the old ASP.NET SignalR alone.
    #[serde(rename = "ProtocolVersion")]
    old_protocol_version: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Transport {
    transport: String,
}

/// Negotiates, following redirects; a token that comes with one replaces ours in `headers`.
pub(super) async fn negotiate(
    mut address: Address,
    headers: &mut HeaderMap,
    stateful: bool,
) -> Result<Negotiated, ConnectError> {
    for _ in 0..=REDIRECTS_MAX {
        let body = post(&address, headers, address.negotiate_target(stateful)).await?;
        let answer: Answer = serde_json::from_slice(&body).map_err(bad_answer)?;
        if let Some(error) = answer.error {
            return Err(ConnectError::Refused(error));
        }
        if answer.old_protocol_version.is_some() {
            return Err(bad_answer("this is a server of the old ASP.NET SignalR"));
        }
        let Some(url) = &answer.url else { return agreed(address, answer, stateful) };
        address = Address::parse(url)?;
        if let Some(token) = &answer.access_token {
            headers.insert(AUTHORIZATION, bearer(token)?);
        }
    }
    Err(ConnectError::TooManyRedirects)
}

/// The value of an `Authorization` header; never shown in a log.
pub(super) fn bearer(token: &str) -> Result<HeaderValue, ConnectError> {
    let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
        .map_err(|_| ConnectError::BadHeader { name: AUTHORIZATION.to_string() })?;
    value.set_sensitive(true);
    Ok(value)
}

/// Opens the TCP connection of a request.
pub(super) async fn dial(address: &Address) -> Result<TcpStream, ConnectError> {
    let failed = |source| ConnectError::Io { doing: "connecting", source };
    let stream = TcpStream::connect(address.endpoint()).await.map_err(failed)?;
    stream.set_nodelay(true).map_err(failed)?;
    Ok(stream)
}

fn agreed(
    address: Address,
    answer: Answer,
    stateful_wanted: bool,
) -> Result<Negotiated, ConnectError> {
    if !answer.available_transports.iter().any(|one| one.transport == "WebSockets") {
        return Err(bad_answer("the server does not offer WebSockets"));
    }
    if answer.use_stateful_reconnect && !stateful_wanted {
        return Err(bad_answer("Client didn't negotiate Stateful Reconnect but the server did."));
    }
    let connection_id =
        answer.connection_id.ok_or_else(|| bad_answer("`connectionId` is missing"))?;
    let connection_token = if answer.negotiate_version < 1 {
        connection_id.clone() // version 0 knows only one id
    } else {
        answer.connection_token.ok_or_else(|| bad_answer("`connectionToken` is missing"))?
    };
    let stateful = answer.use_stateful_reconnect;
    Ok(Negotiated { address, connection_id, connection_token, stateful })
}

/// One POST on a connection of its own.
async fn post(
    address: &Address,
    headers: &HeaderMap,
    target: String,
) -> Result<Bytes, ConnectError> {
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.method_mut() = Method::POST;
    *request.uri_mut() = target.parse().map_err(bad_answer)?;
    *request.headers_mut() = headers.clone();
    let host = HeaderValue::from_str(address.authority()).map_err(bad_answer)?;
    request.headers_mut().insert(HOST, host);
    request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    // hyper leaves it out, and some proxies answer a POST without it with 411.
    request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("0"));

    let stream = dial(address).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(io)?;
    let exchange = async move {
        let response = sender.send_request(request).await.map_err(io)?;
        let status = response.status();
        let body = body(response.into_body()).await?;
        if status == StatusCode::OK { Ok(body) } else { Err(unexpected(status, &body)) }
    };
    // The connection moves the bytes; it lives in this future, needs no task and ends with it.
    tokio::pin!(exchange);
    tokio::select! {
        exchanged = &mut exchange => return exchanged,
        _ = connection => {}
    }
    exchange.await
}

async fn body(body: Incoming) -> Result<Bytes, ConnectError> {
    match Limited::new(body, BODY_BYTES_MAX).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(bad_answer(format!("the body has more than {BODY_BYTES_MAX} bytes")))
        }
        Err(error) => Err(bad_answer(error)),
    }
}

/// An error with the status and the beginning of the body.
fn unexpected(status: StatusCode, body: &[u8]) -> ConnectError {
    status_error(NEGOTIATING, status, body)
}

/// An error for an HTTP status that was not hoped for.
pub(super) fn status_error(doing: &'static str, status: StatusCode, body: &[u8]) -> ConnectError {
    let excerpt = &body[..body.len().min(EXCERPT_BYTES_MAX)];
    ConnectError::Status {
        doing,
        status: status.as_u16(),
        body: String::from_utf8_lossy(excerpt).into_owned(),
    }
}

fn bad_answer(why: impl ToString) -> ConnectError {
    ConnectError::BadAnswer { doing: NEGOTIATING, why: why.to_string() }
}

fn io(error: hyper::Error) -> ConnectError {
    ConnectError::Io { doing: NEGOTIATING, source: std::io::Error::other(error) }
}
