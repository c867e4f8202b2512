//! A WebSocket client as cheap as can be: it opens, shakes hands, and scans frames for numbered events.

use std::time::Duration;

use socket2::{Domain, Socket, Type};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use super::stories::Problem;

const BUFFER_BYTES: usize = 65_536;
const WAIT: Duration = Duration::from_secs(10);

pub(crate) struct Reader {
    stream: TcpStream,
    buffer: Vec<u8>,
    filled: usize,
    /// The text so far of a message that other frames go on with.
    text: Vec<u8>,
    /// How many events came.
    pub(crate) count: u64,
    /// The number of the newest event, and whether all came in rising order.
    pub(crate) newest: Option<u64>,
    pub(crate) rising: bool,
    /// The hub's Close message, when one came.
    pub(crate) close: Option<String>,
    /// The code of the close frame.
    pub(crate) close_code: Option<u16>,
    /// Completions of our own calls.
    pub(crate) completions: u64,
}

/// How a connection ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    CloseFrame,
    Eof,
    Reset,
}

impl Reader {
    /// `receive_buffer_bytes` bounds what the kernel takes for a reader that does not read.
    pub(crate) async fn connect(
        address: &str,
        token: Option<&str>,
        receive_buffer_bytes: Option<usize>,
    ) -> Result<Self, Problem> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        if let Some(bytes) = receive_buffer_bytes {
            socket.set_recv_buffer_size(bytes)?;
        }
        socket.set_nonblocking(true)?;
        let stream = TcpSocket::from_std_stream(socket.into()).connect(address.parse()?).await?;
        stream.set_nodelay(true)?;
        let mut reader = Self {
            stream,
            buffer: vec![0; BUFFER_BYTES],
            filled: 0,
            text: Vec::new(),
            count: 0,
            newest: None,
            rising: true,
            close: None,
            close_code: None,
            completions: 0,
        };
        let query = token.map(|token| format!("?id={token}")).unwrap_or_default();
        let request = format!(
            "GET /hubs/bench{query} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        reader.stream.write_all(request.as_bytes()).await?;
        timeout(WAIT, reader.upgraded()).await??;
        reader.send("{\"protocol\":\"json\",\"version\":1}\u{1e}").await?;
        timeout(WAIT, reader.shaken_hands()).await??;
        Ok(reader)
    }

    async fn upgraded(&mut self) -> Result<(), Problem> {
        let end = loop {
            self.fill().await?;
            if let Some(at) = memchr::memmem::find(&self.buffer[..self.filled], b"\r\n\r\n") {
                break at + 4;
            }
        };
        let head = String::from_utf8_lossy(&self.buffer[..end]);
        if !head.starts_with("HTTP/1.1 101") {
            return Err(format!("no upgrade: {head}").into());
        }
        self.drop_front(end);
        Ok(())
    }

    /// The answer is `{}` and ends with its record separator; more may be behind it.
    async fn shaken_hands(&mut self) -> Result<(), Problem> {
        while self.filled < 5 {
            self.fill().await?;
        }
        if &self.buffer[..5] != b"\x81\x03{}\x1e" {
            return Err(format!("handshake: {:?}", &self.buffer[..self.filled]).into());
        }
        self.drop_front(5);
        Ok(())
    }

    /// One masked text frame; the mask is zero, as nobody but the test listens.
    pub(crate) async fn send(&mut self, text: &str) -> Result<(), Problem> {
        let mut frame = vec![0x81];
        match u8::try_from(text.len()).ok().filter(|length| *length < 126) {
            Some(length) => frame.push(0x80 | length),
            None => {
                frame.push(0x80 | 126);
                frame.extend_from_slice(&u16::try_from(text.len())?.to_be_bytes());
            }
        }
        frame.extend_from_slice(&[0; 4]);
        frame.extend_from_slice(text.as_bytes());
        Ok(self.stream.write_all(&frame).await?)
    }

    /// Reads until so many events came.
    pub(crate) async fn read_events(&mut self, count: u64) -> Result<(), Problem> {
        while self.count < count {
            if let Some(end) = self.step().await? {
                return Err(format!(
                    "ended ({end:?}) after {} events: {:?}",
                    self.count, self.close
                )
                .into());
            }
        }
        Ok(())
    }

    /// Reads until the connection ends.
    pub(crate) async fn read_to_end(&mut self) -> Result<End, Problem> {
        loop {
            if let Some(end) = self.step().await? {
                return Ok(end);
            }
        }
    }

    /// One read and what it brought.
    pub(crate) async fn step(&mut self) -> Result<Option<End>, Problem> {
        if self.filled == self.buffer.len() {
            // One frame can be longer than the buffer.
            self.buffer.resize(self.filled * 2, 0);
        }
        match self.stream.read(&mut self.buffer[self.filled..]).await {
            Ok(0) => return Ok(Some(End::Eof)),
            Ok(read) => self.filled += read,
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {
                return Ok(Some(End::Reset));
            }
            Err(error) => return Err(error.into()),
        }
        let mut from = 0;
        while let Some((opcode, start, end)) = frame(&self.buffer[from..self.filled]) {
            let (start, end) = (from + start, from + end);
            match opcode {
                // A fragment goes on where the frame before it ended.
                0 | 1 => self.take_text(start, end),
                8 => {
                    self.close_code =
                        self.buffer[start..end].first_chunk().map(|code| u16::from_be_bytes(*code));
                    return Ok(Some(End::CloseFrame));
                }
                _ => {}
            }
            from = end;
        }
        self.drop_front(from);
        Ok(None)
    }

    fn take_text(&mut self, start: usize, end: usize) {
        self.text.extend_from_slice(&self.buffer[start..end]);
        let text = std::mem::take(&mut self.text);
        let mut from = 0;
        for at in memchr::memchr_iter(0x1e, &text) {
            self.take_message(&text[from..at]);
            from = at + 1;
        }
        self.text = text;
        self.text.drain(..from);
    }

    fn take_message(&mut self, message: &[u8]) {
        if let Some(arguments) = memchr::memmem::find(message, b"[\"") {
            let digits = &message[arguments + 2..arguments + 10];
            let number = digits.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
            self.rising &= self.newest.is_none_or(|newest| number > newest);
            self.newest = Some(number);
            self.count += 1;
        } else if message.starts_with(b"{\"type\":7") {
            self.close = Some(String::from_utf8_lossy(message).into_owned());
        } else if message.starts_with(b"{\"type\":3") {
            self.completions += 1;
        }
    }

    async fn fill(&mut self) -> Result<(), Problem> {
        // The first bytes are read sparingly, so that a slow reader's kernel buffer stays small.
        let room = (self.filled + 512).min(self.buffer.len());
        let read = self.stream.read(&mut self.buffer[self.filled..room]).await?;
        self.filled += read;
        if read == 0 { Err("ended too early".into()) } else { Ok(()) }
    }

    fn drop_front(&mut self, count: usize) {
        self.buffer.copy_within(count..self.filled, 0);
        self.filled -= count;
    }
}

/// The first complete frame: opcode, and where its payload starts and ends.
fn frame(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let (&first, &second) = (bytes.first()?, bytes.get(1)?);
    let (start, length) = match second {
        126 => (4, usize::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?))),
        127 => (10, usize::try_from(u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?)).ok()?),
        length => (2, usize::from(length)),
    };
    let end = start + length;
    (bytes.len() >= end).then_some((first & 0x0f, start, end))
}
