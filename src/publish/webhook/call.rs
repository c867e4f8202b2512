//! One signed call over HTTP.

use std::time::Duration;

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::{Request, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use sha2::Sha256;
use tokio::net::TcpStream;

use crate::auth::Secret;

/// Of an answer only the status matters; a long body is not read to its end.
const ANSWER_BYTES_MAX: usize = 65_536;

/// Why a call did not succeed.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    #[error("the host is not reachable: {0}")]
    Unreachable(std::io::Error),
    #[error("the exchange failed: {0}")]
    Exchange(#[from] hyper::Error),
    #[error("no request can be made: {0}")]
    Request(#[from] http::Error),
    #[error("it answered with {0}")]
    Status(u16),
    #[error("it did not answer in time")]
    Deadline,
}

/// Posts a body. Any 2xx is success; redirects are not followed: a secret address stays where it is
/// configured.
pub(super) async fn post(
    url: &Uri,
    secret: &Secret,
    body: Vec<u8>,
    unix_seconds: u64,
    timeout: Duration,
) -> Result<(), CallError> {
    let call = async {
        let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
        let stream = TcpStream::connect((host, url.port_u16().unwrap_or(80))).await;
        exchange(stream.map_err(CallError::Unreachable)?, request(url, secret, body, unix_seconds)?)
            .await
    };
    tokio::time::timeout(timeout, call).await.unwrap_or(Err(CallError::Deadline))
}

fn request(
    url: &Uri,
    secret: &Secret,
    body: Vec<u8>,
    unix_seconds: u64,
) -> Result<Request<Full<Bytes>>, http::Error> {
    let timestamp = unix_seconds.to_string();
    let signature = format!("v1={}", signature(secret, &timestamp, &body));
    let path = url.path_and_query().map_or("/", |own| own.as_str());
    Request::post(path)
        .header(header::HOST, url.authority().map_or("", |own| own.as_str()))
        .header(header::CONTENT_TYPE, "application/json")
        .header("X-Conduit-Timestamp", timestamp)
        .header("X-Conduit-Signature", signature)
        .body(Full::from(body))
}

async fn exchange(stream: TcpStream, request: Request<Full<Bytes>>) -> Result<(), CallError> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let answer = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        if !status.is_success() {
            return Err(CallError::Status(status.as_u16()));
        }
        // Read, so that the other side is not cut off in its answer; what it says is not needed.
        let _ = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        Ok(())
    };
    tokio::pin!(answer);
    tokio::select! {
        // The connection must be polled for the answer to come; it may also end right after it.
        answer = &mut answer => answer,
        _over = connection => answer.await,
    }
}

/// HMAC-SHA256 of `timestamp.body` in hex.
pub(super) fn signature(secret: &Secret, timestamp: &str, body: &[u8]) -> String {
    // HMAC takes keys of any length, so there is always one.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()) else {
        return String::new();
    };
    mac.update(timestamp.as_bytes());
    mac.update(b".");
    mac.update(body);
    let digest = mac.finalize().into_bytes();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_what_openssl_makes() {
        // printf '1795521600.{"a":1}' | openssl dgst -sha256 -hmac key
        let expected = "32609bf004a05b2c1baf8ef980c19acf6fe51b36057c444775c3b10919327dae";
        assert_eq!(signature(&Secret::new("key"), "1795521600", br#"{"a":1}"#), expected);
    }
}
