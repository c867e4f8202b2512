//! One thread on epoll that reads, handles and acks for all bare subscribers.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use conduit_realtime::client::ack_methods::ACKNOWLEDGE_MANY;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use crate::Problem;
use crate::records::{Note, Records};
use crate::subscribers::EVENT;

/// How soon the end of the run is noticed.
const LOOK: Duration = Duration::from_millis(100);
/// After something came, the next thing is waited for awake so long: to wake a sleeping reader costs
/// the server of a virtual machine more than to write, and the reader of a real client sits elsewhere.
const AWAKE: Duration = Duration::from_micros(200);
const EVENTS_PER_TURN: usize = 1_024;
/// What is read at once, for all.
const BUFFER_BYTES: usize = 1 << 16;

const TEXT: u8 = 1;
const CLOSE: u8 = 8;

const INVOCATION: u8 = 1;
const PING: u8 = 6;

/// All of them.
pub(crate) struct Loop {
    poll: Poll,
    members: Vec<Member>,
    records: Arc<Records>,
    ack_delay: Duration,
    /// Who acks next, and when: the wait is the same for all.
    owing: VecDeque<(Instant, usize)>,
    buffer: Vec<u8>,
}

struct Member {
    stream: TcpStream,
    subscriber: u32,
    /// The beginning of a frame.
    unread: Vec<u8>,
    /// Ids in quotes that are handled and not acked, between commas.
    handled: String,
    /// What the socket did not take.
    unsent: Vec<u8>,
    is_over: bool,
}

/// What the server says, as far as it matters here.
#[derive(Deserialize)]
struct Said<'t> {
    #[serde(rename = "type")]
    kind: u8,
    target: Option<&'t str>,
    arguments: Option<(Argument<'t>,)>,
}

/// The note of the ledger and the base fields inside it.
#[derive(Deserialize)]
struct Argument<'t> {
    m: u32,
    publisher: u32,
    audience: u32,
    lane: u8,
    number: u32,
    due_us: u64,
    #[serde(rename = "messageId")]
    message_id: &'t str,
    #[serde(rename = "retryCount")]
    retry_count: u32,
}

impl Loop {
    pub(crate) fn new(records: Arc<Records>, ack_delay: Duration) -> Result<Self, Problem> {
        let (poll, members, owing) = (Poll::new()?, Vec::new(), VecDeque::new());
        Ok(Self { poll, members, records, ack_delay, owing, buffer: vec![0; BUFFER_BYTES] })
    }

    /// One more, connected and in its groups.
    pub(crate) fn add(
        &mut self,
        stream: std::net::TcpStream,
        subscriber: u32,
    ) -> Result<(), Problem> {
        let mut stream = TcpStream::from_std(stream);
        let token = Token(self.members.len());
        let both = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut stream, token, both)?;
        let (unread, handled, unsent) = (Vec::new(), String::new(), Vec::new());
        self.members.push(Member { stream, subscriber, unread, handled, unsent, is_over: false });
        Ok(())
    }

    /// Until the run is over. Whoever ends before that is noted as odd.
    pub(crate) fn run(mut self, over: &CancellationToken) {
        let mut events = Events::with_capacity(EVENTS_PER_TURN);
        let mut last = Instant::now();
        while !over.is_cancelled() {
            let wait = if last.elapsed() < AWAKE { Duration::ZERO } else { self.until_next_ack() };
            if let Err(error) = self.poll.poll(&mut events, Some(wait))
                && error.kind() != ErrorKind::Interrupted
            {
                return self.records.odd(format!("the bare subscribers cannot be read: {error}"));
            }
            if !events.is_empty() {
                last = Instant::now();
            }
            for event in &events {
                let place = event.token().0;
                let done = self.serve(place, event.is_readable());
                self.note_end(place, done);
            }
            // Everything that came in this turn is handled before the first ack of the turn.
            while let Some((at, place)) = self.owing.front().copied()
                && at <= Instant::now()
            {
                self.owing.pop_front();
                let done = self.members[place].ack();
                self.note_end(place, done);
            }
        }
    }

    fn until_next_ack(&self) -> Duration {
        let next = self.owing.front().map(|(at, _)| at.duration_since(Instant::now()));
        next.unwrap_or(LOOK).min(LOOK)
    }

    fn note_end(&mut self, place: usize, done: Result<(), Problem>) {
        let member = &mut self.members[place];
        if let Err(problem) = done
            && !std::mem::replace(&mut member.is_over, true)
        {
            self.records.lost(member.subscriber);
            let subscriber = member.subscriber;
            self.records.odd(format!("the connection of subscriber {subscriber} ended: {problem}"));
        }
    }

    fn serve(&mut self, place: usize, is_readable: bool) -> Result<(), Problem> {
        let member = &mut self.members[place];
        member.flush()?;
        if !is_readable {
            return Ok(());
        }
        loop {
            let read = match member.stream.read(&mut self.buffer) {
                Ok(0) => return Err("the server closed it".into()),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            let owed_before = !member.handled.is_empty();
            member.take(&self.buffer[..read], &self.records)?;
            if !owed_before && !member.handled.is_empty() {
                self.owing.push_back((Instant::now() + self.ack_delay, place));
            }
            // A read that does not fill the buffer has emptied the socket; what comes later is news.
            if read < self.buffer.len() {
                return Ok(());
            }
        }
    }
}

impl Member {
    fn take(&mut self, bytes: &[u8], records: &Records) -> Result<(), Problem> {
        if self.unread.is_empty() {
            let rest = self.take_frames(bytes, records)?;
            self.unread.extend_from_slice(&bytes[rest..]);
            return Ok(());
        }
        let mut unread = std::mem::take(&mut self.unread);
        unread.extend_from_slice(bytes);
        let rest = self.take_frames(&unread, records)?;
        unread.drain(..rest);
        self.unread = unread;
        Ok(())
    }

    /// Takes all whole frames; returns where the rest begins.
    fn take_frames(&mut self, bytes: &[u8], records: &Records) -> Result<usize, Problem> {
        let mut at = 0;
        while let Some((opcode, payload)) = frame(&bytes[at..]) {
            let end = at + payload.end;
            match opcode {
                TEXT => self.take_text(&bytes[at + payload.start..end], records)?,
                CLOSE => return Err("the server said close".into()),
                // The transport's pings are far apart, and a run is shorter.
                _ => {}
            }
            at = end;
        }
        Ok(at)
    }

    fn take_text(&mut self, text: &[u8], records: &Records) -> Result<(), Problem> {
        for record in records_of(text) {
            let said: Said = serde_json::from_slice(record)?;
            match (said.kind, said.target, said.arguments) {
                (INVOCATION, Some(EVENT), Some((sent,))) => self.handle(&sent, records),
                (PING, ..) => {}
                _ => return Err(format!("it said {}", String::from_utf8_lossy(record)).into()),
            }
        }
        Ok(())
    }

    fn handle(&mut self, sent: &Argument, records: &Records) {
        let Argument { m, publisher, audience, lane, number, due_us, .. } = *sent;
        let note = Note { m, publisher, audience, lane, number, due_us };
        records.arrived(self.subscriber, &note, Some(sent.retry_count));
        records.handled(self.subscriber, &note);
        if !self.handled.is_empty() {
            self.handled.push(',');
        }
        // The ids are the ledger's own and need no escapes.
        self.handled.extend(["\"", sent.message_id, "\""]);
    }

    fn ack(&mut self) -> Result<(), Problem> {
        let ids = &self.handled;
        let ack = format!(
            "{{\"type\":{INVOCATION},\"target\":\"{ACKNOWLEDGE_MANY}\",\"arguments\":[[{ids}]]}}\u{1e}"
        );
        self.handled.clear();
        put_frame(&mut self.unsent, ack.as_bytes())?;
        self.flush()
    }

    fn flush(&mut self) -> Result<(), Problem> {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(written) => drop(self.unsent.drain(..written)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// The first frame of a server (RFC 6455, 5.2): its opcode and where its payload is. None when it is
/// not all there.
fn frame(bytes: &[u8]) -> Option<(u8, Range<usize>)> {
    let (head, length) = match *bytes.get(1)? {
        126 => (4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        127 => {
            let length = u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?);
            (10, usize::try_from(length).ok()?)
        }
        short => (2, usize::from(short)),
    };
    let end = head + length;
    (bytes.len() >= end).then_some((bytes[0] & 0xf, head..end))
}

/// A text frame of a client. The key that masks it is zero, which leaves it as it is.
fn put_frame(out: &mut Vec<u8>, text: &[u8]) -> Result<(), Problem> {
    out.push(0x80 | TEXT);
    match text.len() {
        short @ 0..126 => out.push(0x80 | u8::try_from(short)?),
        long => {
            out.push(0x80 | 126);
            out.extend(u16::try_from(long)?.to_be_bytes());
        }
    }
    out.extend([0; 4]);
    out.extend(text);
    Ok(())
}

/// The records of the JSON protocol in a text.
pub(crate) fn records_of(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == 0x1e).filter(|record| !record.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_found_when_all_of_it_is_there() {
        for (head, length) in [
            (vec![0x81, 5], 5),
            (vec![0x81, 126, 1, 0], 256),
            (vec![0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0], 65_536),
        ] {
            let payload = head.len()..head.len() + length;
            let mut bytes = head;
            bytes.resize(payload.end - 1, b'x');
            assert_eq!(frame(&bytes), None);
            bytes.extend(b"xy");
            assert_eq!(frame(&bytes), Some((TEXT, payload)));
        }
    }

    #[test]
    fn what_is_put_is_one_masked_frame_of_the_text() {
        for length in [3, 125, 126, 65_535] {
            let mut out = Vec::new();
            put_frame(&mut out, &vec![b'a'; length]).unwrap();
            let head = out.len() - length;
            assert_eq!((out[0], out[1] & 0x80), (0x81, 0x80));
            assert_eq!(out[head - 4..head], [0; 4]);
            assert!(out[head..].iter().all(|byte| *byte == b'a'));
        }
        assert!(put_frame(&mut Vec::new(), &[0; 65_536]).is_err(), "too long for one ack");
    }
}
