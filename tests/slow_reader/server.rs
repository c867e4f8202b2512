//! The real binary: started, published into, asked about, measured, always ended.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, tcp::OwnedReadHalf},
    time::{Instant, timeout},
};

use super::{reader::Reader, stories::Problem};

const KEY: &str = "condt_0123456789abcdefghijABCDEFGHIJ12";

pub(crate) struct Server {
    child: Option<Child>,
    pid: u32,
    pub(crate) address: String,
}

impl Server {
    /// `SLOW_READER_SERVER="ADDRESS PID"` names one that runs already, with nothing but the bench hub:
    /// events are published by calling `Broadcast` there.
    pub(crate) fn start() -> Result<Self, Problem> {
        if let Ok(running) = std::env::var("SLOW_READER_SERVER") {
            let (address, pid) = running.split_once(' ').ok_or("ADDRESS PID")?;
            return Ok(Self { child: None, pid: pid.parse()?, address: address.to_owned() });
        }
        let mut child = Command::new(env!("CARGO_BIN_EXE_conduit-realtime"))
            .args(["serve", "--listen", "127.0.0.1:0", "--bench-hub"])
            .env("CONDUIT__AUTH__DEVELOPMENT_KEY", KEY)
            .env("CONDUIT__STORE__MODE", "memory")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let pid = child.id();
        let stdout = child.stdout.take().ok_or("no standard output")?;
        let mut server = Self { child: Some(child), pid, address: String::new() };
        for line in BufReader::new(stdout).lines() {
            if let Some(address) = line?.strip_prefix("listening on http://") {
                server.address = address.to_owned();
                return Ok(server);
            }
        }
        Err("the server ended before it listened".into())
    }

    pub(crate) fn is_ours(&self) -> bool {
        self.child.is_some()
    }

    /// Resident memory, in KiB.
    pub(crate) fn rss_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
        line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).unwrap_or_default()
    }

    /// The connection's public id and its token.
    pub(crate) async fn negotiate(&self) -> Result<(String, String), Problem> {
        let (_, body) = self.ask("POST", "/hubs/bench/negotiate?negotiateVersion=1").await?;
        let answer: serde_json::Value = serde_json::from_str(&body)?;
        let text = |name: &str| answer[name].as_str().map(str::to_owned).ok_or("negotiate");
        Ok((text("connectionId")?, text("connectionToken")?))
    }

    pub(crate) async fn knows(&self, connection_id: &str) -> Result<bool, Problem> {
        let path = format!("/api/v1/hubs/bench/connections/{connection_id}");
        Ok(self.ask("HEAD", &path).await?.0 == 200)
    }

    async fn ask(&self, method: &str, path: &str) -> Result<(u16, String), Problem> {
        let mut stream = TcpStream::connect(&self.address).await?;
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nX-API-Key: {KEY}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            self.address
        );
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        timeout(Duration::from_secs(10), stream.read_to_string(&mut answer)).await??;
        let status =
            answer.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or("no status")?;
        let body =
            answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
        Ok((status, body))
    }

    /// Publishes so many events at the rate, each when it is due, over one connection.
    pub(crate) async fn publish(&self, plan: &Plan) -> Result<Duration, Problem> {
        if !self.is_ours() {
            return self.publish_by_calls(plan).await;
        }
        let stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        let (read, mut write) = stream.into_split();
        let answers = tokio::spawn(count_answers(read, plan.events));
        let started = Instant::now();
        let mut ticks = tokio::time::interval(Duration::from_micros(1_000_000 / plan.per_second));
        for number in 0..plan.events {
            ticks.tick().await;
            write.write_all(self.request(plan, number).as_bytes()).await?;
        }
        timeout(Duration::from_secs(30), answers).await???;
        Ok(started.elapsed())
    }

    async fn publish_by_calls(&self, plan: &Plan) -> Result<Duration, Problem> {
        let mut caller = Reader::connect(&self.address, None, None).await?;
        let started = Instant::now();
        let mut ticks = tokio::time::interval(Duration::from_micros(1_000_000 / plan.per_second));
        for number in 0..plan.events {
            ticks.tick().await;
            let text = plan.text(number);
            let call = format!(r#"{{"type":1,"target":"Broadcast","arguments":["{text}"]}}"#);
            caller.send(&format!("{call}\u{1e}")).await?;
            // It hears its own events as well, and must not become the slow one.
            caller.read_events(number).await?;
        }
        Ok(started.elapsed())
    }

    fn request(&self, plan: &Plan, number: u64) -> String {
        let (text, class) = (plan.text(number), plan.class);
        let body = format!(
            r#"{{"audience":{{"all":true}},"target":"Broadcast","class":"{class}","arguments":["{text}"]}}"#
        );
        format!(
            "POST /api/v1/hubs/bench/messages HTTP/1.1\r\nHost: {}\r\nX-API-Key: {KEY}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        )
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// What is published: the numbers of the issue, unless a story says otherwise.
pub(crate) struct Plan {
    pub(crate) events: u64,
    pub(crate) per_second: u64,
    pub(crate) bytes: usize,
    pub(crate) class: &'static str,
}

impl Plan {
    fn text(&self, number: u64) -> String {
        format!("{number:08} {}", "x".repeat(self.bytes - 9))
    }
}

/// Every answer has to be a 202; they are counted by their status lines.
async fn count_answers(mut read: OwnedReadHalf, expected: u64) -> Result<(), Problem> {
    let mut pending: Vec<u8> = Vec::new();
    let mut seen = 0;
    while seen < expected {
        if read.read_buf(&mut pending).await? == 0 {
            return Err(format!("the publisher's connection ended after {seen} answers").into());
        }
        let mut from = 0;
        while let Some(at) = memchr::memmem::find(&pending[from..], b"HTTP/1.1 ") {
            let status = from + at + 9;
            if pending.len() < status + 3 {
                break;
            }
            if &pending[status..status + 3] != b"202" {
                return Err(String::from_utf8_lossy(&pending[from..]).into_owned().into());
            }
            seen += 1;
            from = status + 3;
        }
        // A status line may be cut off at the end of what was read.
        let keep = pending.len().saturating_sub(11).max(from);
        pending.drain(..keep);
    }
    Ok(())
}
