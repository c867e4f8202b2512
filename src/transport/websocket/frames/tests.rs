//! Frames of every shape, cut everywhere.

use proptest::prelude::*;

use super::*;

/// A client's frame.
fn frame(first: u8, mask: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    match payload.len() {
        length @ 0..=125 => out.push(MASKED | length as u8),
        length @ 126..=0xffff => {
            out.push(MASKED | 126);
            out.extend((length as u16).to_be_bytes());
        }
        length => {
            out.push(MASKED | 127);
            out.extend((length as u64).to_be_bytes());
        }
    }
    out.extend(mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    out
}

fn read(bytes: &[u8]) -> Result<(Vec<u8>, Fed), Violation> {
    let mut out = BytesMut::new();
    let fed = FrameReader::default().feed(&mut bytes.to_vec(), &mut out)?;
    Ok((out.to_vec(), fed))
}

const MASK: [u8; 4] = [1, 0x80, 0xff, 7];

#[test]
fn payloads_of_every_length_form_are_unmasked() {
    for length in [0, 1, 7, 8, 125, 126, 0xffff, 0x1_0000] {
        let payload: Vec<u8> = (0..length).map(|i| i as u8).collect();
        assert_eq!(read(&frame(0x82, MASK, &payload)).unwrap().0, payload, "{length}");
    }
}

#[test]
fn a_ping_between_fragments_is_answered_and_the_message_goes_on() {
    let stream = [
        frame(0x01, MASK, b"ab"),
        frame(0x89, MASK, b"old"),
        frame(0x89, MASK, b"new"),
        frame(0x8a, MASK, b"unasked"),
        frame(0x80, MASK, b"cd"),
    ]
    .concat();
    let (payload, fed) = read(&stream).unwrap();
    assert_eq!(payload, b"abcd");
    assert_eq!(fed.pong.as_deref(), Some(&b"\x8a\x03new"[..]), "the newest ping counts");
    assert_eq!(fed.ponged, Some(0), "a pong that we did not ask for");
    assert!(!fed.closed);
}

#[test]
fn a_pong_brings_back_the_stamp_of_our_ping() {
    let ping = ping_frame(0x0102_0304_0506_0708);
    assert_eq!(&ping[..], [0x89, 8, 1, 2, 3, 4, 5, 6, 7, 8]);
    let (payload, fed) = read(&frame(0x8a, MASK, &ping[2..])).unwrap();
    assert_eq!((payload.len(), fed.ponged), (0, Some(0x0102_0304_0506_0708)));
}

#[test]
fn nothing_after_a_close_frame_is_read() {
    for close in [frame(0x88, MASK, &[]), frame(0x88, MASK, &[3, 232, b'x'])] {
        let stream = [frame(0x81, MASK, b"a"), close, vec![0xff; 40]].concat();
        let (payload, fed) = read(&stream).unwrap();
        assert_eq!((payload.as_slice(), fed.closed), (&b"a"[..], true));
    }
}

#[test]
fn what_no_client_may_send_is_refused() {
    let unmasked = vec![0x81, 1, b'a'];
    let huge = [vec![0x82, 0xff, 0x80], vec![0; 11]].concat();
    for (stream, violation) in [
        (unmasked, Violation::Unmasked),
        (frame(0xc1, MASK, b"a"), Violation::ReservedBit),
        (frame(0x83, MASK, b"a"), Violation::Opcode),
        (frame(0x8b, MASK, b"a"), Violation::Opcode),
        (frame(0x09, MASK, b"a"), Violation::Control),
        (frame(0x89, MASK, &[0; 126]), Violation::Control),
        (frame(0x80, MASK, b"a"), Violation::Fragment),
        ([frame(0x01, MASK, b"a"), frame(0x81, MASK, b"b")].concat(), Violation::Fragment),
        (huge, Violation::Length),
        (frame(0x88, MASK, &[3]), Violation::CloseCode),
        (frame(0x88, MASK, &1005_u16.to_be_bytes()), Violation::CloseCode),
    ] {
        assert_eq!(read(&stream).unwrap_err(), violation);
    }
}

#[test]
fn an_idle_reader_is_tiny() {
    assert!(size_of::<FrameReader>() <= 64, "{}", size_of::<FrameReader>());
    let mut reader = FrameReader::default();
    reader.feed(&mut frame(0x89, MASK, b"ping"), &mut BytesMut::new()).unwrap();
    assert_eq!(reader.control.capacity(), 0, "a control frame's buffer does not stay");
}

/// Messages in fragments, with control frames between them.
fn streams() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let payload = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..40),
        proptest::collection::vec(any::<u8>(), 120..300),
    ];
    let fragments = proptest::collection::vec((payload, any::<[u8; 4]>(), 0..3_u8), 1..5);
    proptest::collection::vec((fragments, 1..3_u8), 0..6).prop_map(|messages| {
        let (mut wire, mut expected) = (Vec::new(), Vec::new());
        for (fragments, opcode) in messages {
            let last = fragments.len() - 1;
            for (index, (payload, mask, control)) in fragments.into_iter().enumerate() {
                let opcode = if index == 0 { opcode } else { CONTINUATION };
                let fin = if index == last { FIN } else { 0 };
                wire.extend(frame(fin | opcode, mask, &payload));
                expected.extend(payload);
                if control > 0 {
                    wire.extend(frame(FIN | (PING - 1 + control), mask, b"control"));
                }
            }
        }
        (wire, expected)
    })
}

proptest! {
    #[test]
    fn however_a_stream_is_cut_the_payload_is_the_same(
        (wire, expected) in streams(),
        cuts in proptest::collection::vec(1..60_usize, 1..40),
    ) {
        let (mut reader, mut out) = (FrameReader::default(), BytesMut::new());
        let mut rest = wire;
        for length in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let tail = rest.split_off((*length).min(rest.len()));
            prop_assert!(!reader.feed(&mut rest, &mut out).unwrap().closed);
            rest = tail;
        }
        prop_assert_eq!(out.to_vec(), expected);
    }

    #[test]
    fn any_bytes_read_the_same_whole_and_in_pieces(
        bytes in proptest::collection::vec(any::<u8>(), 0..500),
        start in proptest::option::of(0x80..0x8b_u8),
        step in 1..20_usize,
    ) {
        let mut bytes = bytes;
        if let (Some(start), [first, second, ..]) = (start, &mut bytes[..]) {
            (*first, *second) = (start, *second | MASKED);
        }
        let read = |step: usize| {
            let (mut reader, mut out) = (FrameReader::default(), BytesMut::new());
            let mut closed = Ok(false);
            for piece in bytes.chunks(step) {
                match reader.feed(&mut piece.to_vec(), &mut out) {
                    Ok(fed) => closed = Ok(fed.closed),
                    Err(violation) => return (out, Err(violation)),
                }
            }
            (out, closed)
        };
        let whole = read(500);
        prop_assert!(whole.0.len() <= bytes.len());
        prop_assert_eq!(whole, read(step));
    }
}
