//! The opening handshake of RFC 6455, section 4.2.

use axum::body::Body;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};
use sha1::{Digest as _, Sha1};

use crate::transport::answer;

/// RFC 6455, 1.3.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const VERSION: &str = "13";

/// Whether one of the header's values holds the token, in any case.
pub(super) fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|own| own.trim().eq_ignore_ascii_case(token))
}

/// The value of `Sec-WebSocket-Accept`, or the answer that refuses the upgrade.
#[allow(clippy::result_large_err)] // the refusal is answered at once
pub(super) fn check(headers: &HeaderMap) -> Result<HeaderValue, Response> {
    let refuse = |reason| Err(answer::text(StatusCode::BAD_REQUEST, reason));
    if !has_token(headers, &header::CONNECTION, "upgrade") {
        return refuse("Connection must be Upgrade");
    }
    if headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != VERSION) {
        let mut refusal =
            answer::text(StatusCode::UPGRADE_REQUIRED, "Sec-WebSocket-Version must be 13");
        let version = HeaderValue::from_static(VERSION);
        refusal.headers_mut().insert(header::SEC_WEBSOCKET_VERSION, version);
        return Err(refusal);
    }
    let Some(key) = headers.get(header::SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes) else {
        return refuse("Sec-WebSocket-Key is missing");
    };
    if key.len() != 24 || !STANDARD.decode(key).is_ok_and(|bytes| bytes.len() == 16) {
        return refuse("Sec-WebSocket-Key must be 16 bytes in base64");
    }
    accept_value(key).map_or_else(|| refuse("Sec-WebSocket-Key is not valid"), Ok)
}

fn accept_value(key: &[u8]) -> Option<HeaderValue> {
    let digest = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    HeaderValue::try_from(STANDARD.encode(digest)).ok()
}

/// 101. No subprotocol and no extension is ever agreed.
pub(super) fn switching(accept: HeaderValue) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(version: &'static str, key: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONNECTION, HeaderValue::from_static("keep-alive, Upgrade"));
        headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static(version));
        headers.insert(header::SEC_WEBSOCKET_KEY, HeaderValue::from_static(key));
        headers
    }

    #[test]
    fn the_key_of_the_rfc_gets_the_accept_of_the_rfc() {
        let accept = check(&headers("13", "dGhlIHNhbXBsZSBub25jZQ==")).unwrap();
        assert_eq!(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn another_version_is_told_ours_and_a_bad_key_is_refused() {
        let refusal = check(&headers("8", "dGhlIHNhbXBsZSBub25jZQ==")).unwrap_err();
        assert_eq!(refusal.status(), StatusCode::UPGRADE_REQUIRED);
        assert_eq!(refusal.headers()[header::SEC_WEBSOCKET_VERSION], "13");
        for key in ["", "dGhlIHNhbXBsZSBub25jZQ", "!GhlIHNhbXBsZSBub25jZQ==", "YQ=="] {
            assert_eq!(check(&headers("13", key)).unwrap_err().status(), StatusCode::BAD_REQUEST);
        }
    }
}
