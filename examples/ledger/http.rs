//! Requests over one connection that is kept alive and opened again after a failure.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::Problem;

/// For one request and its answer. A server that is stuck is no worse than one that is dead.
const TIMEOUT: Duration = Duration::from_secs(15);
const ANSWER_BYTES_MAX: usize = 16 << 20;

pub(crate) struct Http {
    address: String,
    key: String,
    tasks: TaskTracker,
    sender: Option<SendRequest<Full<Bytes>>>,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) retry_after_seconds: Option<u64>,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

impl Http {
    pub(crate) fn new(address: &str, key: &str, tasks: &TaskTracker) -> Self {
        Self { address: address.into(), key: key.into(), tasks: tasks.clone(), sender: None }
    }

    /// An error means that nobody knows whether the server has done it.
    pub(crate) async fn call(
        &mut self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<Answer, Problem> {
        let called = timeout(TIMEOUT, self.exchange(method, path, body)).await;
        let answer = called.unwrap_or_else(|_| Err("no answer in time".into()));
        if answer.is_err() {
            self.sender = None;
        }
        answer
    }

    async fn exchange(
        &mut self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<Answer, Problem> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, &self.address)
            .header(header::CONTENT_TYPE, "application/json")
            .header("X-API-Key", &self.key)
            .body(Full::from(body))?;
        let sender = self.sender().await?;
        sender.ready().await?;
        let response = sender.send_request(request).await?;
        let status = response.status().as_u16();
        let retry_after = response.headers().get(header::RETRY_AFTER);
        let retry_after_seconds = retry_after.and_then(|text| text.to_str().ok()?.parse().ok());
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await?;
        Ok(Answer { status, retry_after_seconds, body: body.to_bytes() })
    }

    async fn sender(&mut self) -> Result<&mut SendRequest<Full<Bytes>>, Problem> {
        let closed = self.sender.as_ref().is_none_or(SendRequest::is_closed);
        if closed {
            let stream = TcpStream::connect(&self.address).await?;
            stream.set_nodelay(true)?;
            let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
            self.tasks.spawn(async move {
                // How it ends is seen by the request that it breaks.
                let _ = connection.await;
            });
            self.sender = Some(sender);
        }
        self.sender.as_mut().ok_or_else(|| "no connection".into())
    }
}
