//! Whatever bytes a WebSocket client sends, cut however: the reader never panics, never makes more
//! payload than it was given, and reads the same whether the bytes come whole or in pieces.
#![no_main]

use bytes::BytesMut;
use conduit_realtime::transport::{Fed, FrameReader, Violation};
use libfuzzer_sys::fuzz_target;

fn read(pieces: impl Iterator<Item = Vec<u8>>) -> (Vec<u8>, bool, Option<Violation>) {
    let (mut reader, mut out) = (FrameReader::default(), BytesMut::new());
    let mut closed = false;
    for mut piece in pieces {
        match reader.feed(&mut piece, &mut out) {
            Ok(Fed { closed: now, .. }) => closed = now,
            Err(violation) => return (out.to_vec(), closed, Some(violation)),
        }
    }
    (out.to_vec(), closed, None)
}

fuzz_target!(|input: (u8, &[u8])| {
    let (step, bytes) = input;
    let whole = read(std::iter::once(bytes.to_vec()));
    let pieces = read(bytes.chunks(usize::from(step).max(1)).map(<[u8]>::to_vec));
    assert!(whole.0.len() <= bytes.len());
    assert_eq!(whole, pieces);
});
