//! Every limit and deadline of a client, with its default.

use std::time::Duration;

/// Most redirects that a negotiation follows, as the JavaScript client (section 1.5).
pub const REDIRECTS_MAX: usize = 100;

/// Limits and deadlines; take the defaults and change what matters:
/// `Settings { invoke_timeout: …, ..Settings::default() }`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// For all of connecting: negotiation, redirects, WebSocket, handshake. Defaults to 30 s.
    pub connect_timeout: Duration,
    /// From an invoke to its completion. Defaults to 30 s. Streams have none: how long an item may
    /// take is for the application to say, and a dead connection ends them.
    pub invoke_timeout: Duration,
    /// For a message to get into the queue, and for a batch to get into the socket. Defaults to
    /// 10 s, as a server's transport send timeout (section 2.1).
    /// A server that takes an upload more slowly than that stops reading (section 5.4): raise this then.
    pub send_timeout: Duration,
    /// From our Close to the end of the socket. Defaults to 5 s, as a server's (section 2.1).
    pub close_timeout: Duration,
    /// Between two pings. Defaults to 15 s.
    pub keep_alive: Duration,
    /// Without any message from the server this long, the connection ends. Defaults to 30 s.
    pub server_timeout: Duration,
    /// How long the connection waits for the reader of a full result stream before that stream is
    /// cancelled. Nothing else is received meanwhile. Defaults to 10 s.
    pub consumer_timeout: Duration,
    /// Stateful only: how long a lost link may be tried to be resumed. Defaults to 10 s, less than
    /// the 15 s a server keeps the connection.
    pub resume_timeout: Duration,
    /// The longest hub message that is received, delimiter or prefix included. Defaults to 1 MiB.
    pub message_bytes_max: usize,
    /// Messages waiting to be sent. Defaults to 1024.
    pub queue_messages_max: usize,
    /// Invocations and streams under way. Defaults to 10 000.
    pub calls_max: usize,
    /// Items of one result stream that wait for its reader. Defaults to 1024.
    pub stream_items_max: usize,
    /// Events of one [`super::EventReceiver`] that wait; beyond it the oldest goes. Defaults to 1024.
    pub events_max: usize,
    /// Questions being answered and uploads being sent at once. Further uploads wait; a further
    /// question is answered with an error. Defaults to 64.
    pub side_work_max: usize,
    /// Messages that wait for their handler. Beyond it nothing more is received for at most
    /// [`Settings::consumer_timeout`]; then the message is let go and the server sends it again.
    /// Defaults to 10 000.
    pub messages_waiting_max: usize,
    /// Messages being handled at once. Defaults to 1, which keeps their order.
    pub messages_handled_at_once_max: usize,
    /// How long an ack may wait for others that go with it. Defaults to nothing: whatever is there
    /// when the socket takes something goes together.
    pub ack_delay: Duration,
    /// Acks and nacks waiting for the socket. One too many is not said, and the server sends the
    /// message again. Defaults to 10 000.
    pub acks_waiting_max: usize,
    /// Stateful only: bytes of sent but unacked messages; over it sending waits for an Ack.
    /// Defaults to 100 000 (section 5.12).
    pub replay_bytes_max: usize,
    /// The read buffer of the socket, allocated at once. Defaults to 8 KiB, so that ten thousand
    /// clients of a load tool cost 80 MiB and not the library's own default of 1.3 GB.
    pub read_buffer_bytes: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(30),
            invoke_timeout: Duration::from_secs(30),
            send_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_secs(5),
            keep_alive: Duration::from_secs(15),
            server_timeout: Duration::from_secs(30),
            consumer_timeout: Duration::from_secs(10),
            resume_timeout: Duration::from_secs(10),
            message_bytes_max: 1 << 20,
            queue_messages_max: 1024,
            calls_max: 10_000,
            stream_items_max: 1024,
            events_max: 1024,
            side_work_max: 64,
            messages_waiting_max: 10_000,
            messages_handled_at_once_max: 1,
            ack_delay: Duration::ZERO,
            acks_waiting_max: 10_000,
            replay_bytes_max: 100_000,
            read_buffer_bytes: 8 << 10,
        }
    }
}
