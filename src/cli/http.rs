//! One HTTP request and its answer.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// For everything, from the connection to the end of the answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// An answer that is held as a whole; a page of a thousand dead letters has room in it.
pub(super) const ANSWER_BYTES_MAX: usize = 8_388_608;

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Bytes,
}

/// Calls a path of a server. The error is a sentence for people.
pub(super) async fn call(
    method: Method,
    server: &str,
    path: &str,
    key: Option<&str>,
    body: Vec<u8>,
) -> Result<Answer, String> {
    let target = Target::parse(server)?;
    let request = target.request(method, path, key, body)?;
    let call = async {
        let stream = TcpStream::connect((target.host.as_str(), target.port)).await;
        let stream = stream.map_err(|error| format!("{server} is not reachable: {error}"))?;
        exchange(stream, request).await.map_err(|error| format!("{server}: {error}"))
    };
    in_time(server, call).await?
}

async fn exchange(stream: TcpStream, request: Request<Full<Bytes>>) -> Result<Answer, String> {
    let handshake = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| error.to_string())?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| error.to_string())?.to_bytes();
        Ok(Answer { status, body })
    };
    tokio::pin!(answer);
    tokio::select! {
        // The connection must be polled for the answer to come; it may also end right after it.
        answer = &mut answer => answer,
        _over = connection => answer.await,
    }
}

/// Reads an answer of any length: success piece by piece, for `each`, a refusal as a whole. The
/// time-out is for the answer's head and for each piece.
pub(super) async fn download(
    server: &str,
    path: &str,
    key: Option<&str>,
    mut each: impl FnMut(&[u8]),
) -> Result<Answer, String> {
    let target = Target::parse(server)?;
    let request = target.request(Method::GET, path, key, Vec::new())?;
    let words = |error: hyper::Error| format!("{server}: {error}");
    let open = async {
        let stream = TcpStream::connect((target.host.as_str(), target.port)).await;
        let stream = stream.map_err(|error| format!("{server} is not reachable: {error}"))?;
        http1::handshake(TokioIo::new(stream)).await.map_err(words)
    };
    let (mut sender, connection) = in_time(server, open).await??;
    let answer = async {
        let response = in_time(server, sender.send_request(request)).await?.map_err(words)?;
        let status = response.status().as_u16();
        let mut body = response.into_body();
        let mut refusal = Vec::new();
        while let Some(frame) = in_time(server, body.frame()).await? {
            let frame = frame.map_err(words)?;
            match frame.data_ref() {
                Some(data) if status == 200 => each(data),
                Some(data) if refusal.len() < ANSWER_BYTES_MAX => refusal.extend_from_slice(data),
                Some(_) | None => {}
            }
        }
        Ok(Answer { status, body: refusal.into() })
    };
    tokio::pin!(answer);
    tokio::select! {
        answer = &mut answer => answer,
        _over = connection => answer.await,
    }
}

async fn in_time<T>(server: &str, work: impl Future<Output = T>) -> Result<T, String> {
    let late = |_elapsed| format!("{server} did not answer within {} s", TIMEOUT.as_secs());
    tokio::time::timeout(TIMEOUT, work).await.map_err(late)
}

/// Where a server is.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    host: String,
    port: u16,
    authority: String,
    prefix: String,
}

impl Target {
    fn parse(server: &str) -> Result<Self, String> {
        let bad = || format!("{server:?} is no URL of a server, like http://127.0.0.1:8080");
        let uri: Uri = server.parse().map_err(|_no_uri| bad())?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => return Err("https is not supported yet; use http".into()),
            _ => return Err(bad()),
        }
        let authority = uri.authority().ok_or_else(bad)?;
        Ok(Self {
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port: authority.port_u16().unwrap_or(80),
            authority: authority.as_str().to_owned(),
            prefix: uri.path().trim_end_matches('/').to_owned(),
        })
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        key: Option<&str>,
        body: Vec<u8>,
    ) -> Result<Request<Full<Bytes>>, String> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.prefix))
            .header(header::HOST, &self.authority)
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(key) = key {
            request = request.header("X-API-Key", key);
        }
        request.body(Full::from(body)).map_err(|error| format!("no request can be made: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_url_is_taken_apart() {
        let target = Target::parse("http://example:81/base/").unwrap();
        assert_eq!((target.host.as_str(), target.port), ("example", 81));
        assert_eq!(target.prefix, "/base");
        let target = Target::parse("http://[::1]").unwrap();
        assert_eq!((target.host.as_str(), target.port), ("::1", 80));
        assert_eq!(target.authority, "[::1]");
    }

    #[test]
    fn https_and_what_is_no_url_are_refused_in_words() {
        assert!(Target::parse("https://example").unwrap_err().contains("https is not supported"));
        for wrong in ["", "example", "/path", "ftp://example", "http://"] {
            assert!(Target::parse(wrong).unwrap_err().contains("no URL"), "{wrong}");
        }
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_named() {
        let error = call(Method::GET, "http://127.0.0.1:1", "/", None, Vec::new()).await;
        assert!(error.unwrap_err().starts_with("http://127.0.0.1:1 is not reachable"));
    }
}
