//! MessagePack in its shortest forms, appended to a buffer.

/// The most bytes of a length prefix, and of a message of the 2 GB that five bytes may announce.
pub(crate) const PREFIX_MAX: usize = 5;

/// Appends nil.
pub(crate) fn nil(out: &mut Vec<u8>) {
    out.push(0xc0);
}

/// Appends a boolean.
pub(crate) fn boolean(value: bool, out: &mut Vec<u8>) {
    out.push(if value { 0xc3 } else { 0xc2 });
}

/// Appends an integer.
pub(crate) fn int(value: i64, out: &mut Vec<u8>) {
    if let Ok(value) = u64::try_from(value) {
        return uint(value, out);
    }
    match value {
        -0x20..0 => out.push(value as u8),
        -0x80..-0x20 => out.extend_from_slice(&[0xd0, value as u8]),
        -0x8000..-0x80 => {
            out.push(0xd1);
            out.extend_from_slice(&(value as i16).to_be_bytes());
        }
        -0x8000_0000..-0x8000 => {
            out.push(0xd2);
            out.extend_from_slice(&(value as i32).to_be_bytes());
        }
        _ => {
            out.push(0xd3);
            out.extend_from_slice(&value.to_be_bytes());
        }
    }
}

/// Appends an integer that may be over `i64::MAX`.
pub(crate) fn uint(value: u64, out: &mut Vec<u8>) {
    match value {
        0..=0x7f => out.push(value as u8),
        0x80..=0xff => out.extend_from_slice(&[0xcc, value as u8]),
        0x100..=0xffff => {
            out.push(0xcd);
            out.extend_from_slice(&(value as u16).to_be_bytes());
        }
        0x1_0000..=0xffff_ffff => {
            out.push(0xce);
            out.extend_from_slice(&(value as u32).to_be_bytes());
        }
        _ => {
            out.push(0xcf);
            out.extend_from_slice(&value.to_be_bytes());
        }
    }
}

/// Appends a float64.
pub(crate) fn float(value: f64, out: &mut Vec<u8>) {
    out.push(0xcb);
    out.extend_from_slice(&value.to_be_bytes());
}

/// Appends a string; what is over 4 GB is cut off, for no length could announce it.
pub(crate) fn str(bytes: &[u8], out: &mut Vec<u8>) {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    match length {
        0..=0x1f => out.push(0xa0 | length as u8),
        0x20..=0xff => out.extend_from_slice(&[0xd9, length as u8]),
        0x100..=0xffff => {
            out.push(0xda);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            out.push(0xdb);
            out.extend_from_slice(&length.to_be_bytes());
        }
    }
    out.extend_from_slice(&bytes[..length as usize]);
}

/// Appends a string, or nil for none.
pub(crate) fn str_or_nil(text: Option<&str>, out: &mut Vec<u8>) {
    match text {
        Some(text) => str(text.as_bytes(), out),
        None => nil(out),
    }
}

/// Appends the head of an array of up to fifteen items.
pub(crate) fn short_array(count: u8, out: &mut Vec<u8>) {
    debug_assert!(count < 16);
    out.push(0x90 | count);
}

/// Appends an array of strings.
pub(crate) fn strs(texts: &[&str], out: &mut Vec<u8>) {
    let at = out.len();
    out.push(0);
    container_head(false, texts.len() as u32, at, out);
    for text in texts {
        str(text.as_bytes(), out);
    }
}

/// Puts the head of a container in place of the one byte that was left for it at `at`. More than
/// fifteen elements need a longer head: what stands behind it moves.
pub(crate) fn container_head(is_map: bool, count: u32, at: usize, out: &mut Vec<u8>) {
    let (short, medium, long) = if is_map { (0x80, 0xde, 0xdf) } else { (0x90, 0xdc, 0xdd) };
    match count {
        0..=15 => out[at] = short | count as u8,
        16..=0xffff => {
            out[at] = medium;
            out.splice(at + 1..at + 1, (count as u16).to_be_bytes());
        }
        _ => {
            out[at] = long;
            out.splice(at + 1..at + 1, count.to_be_bytes());
        }
    }
}

/// The length prefix of a message, and how many of the five bytes it takes.
pub(crate) fn prefix(mut length: usize) -> ([u8; PREFIX_MAX], usize) {
    let mut bytes = [0; PREFIX_MAX];
    let mut count = 0;
    loop {
        bytes[count] = (length & 0x7f) as u8;
        length >>= 7;
        if length == 0 || count + 1 == PREFIX_MAX {
            return (bytes, count + 1);
        }
        bytes[count] |= 0x80;
        count += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_take_the_form_that_rmp_takes() {
        let edges = [0_i64, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x1_0000, 0xffff_ffff, 0x1_0000_0000];
        for edge in edges.into_iter().chain([i64::MAX]) {
            for value in [edge, -edge, -edge - 1] {
                let (mut ours, mut theirs) = (Vec::new(), Vec::new());
                int(value, &mut ours);
                rmp::encode::write_sint(&mut theirs, value).unwrap();
                assert_eq!(ours, theirs, "{value}");
            }
        }
    }

    #[test]
    fn strings_and_containers_take_the_form_that_rmp_takes() {
        for length in [0_usize, 15, 16, 31, 32, 255, 256, 65_535, 65_536] {
            let text = "x".repeat(length);
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            str(text.as_bytes(), &mut ours);
            rmp::encode::write_str(&mut theirs, &text).unwrap();
            assert_eq!(ours, theirs, "{length}");
            for is_map in [false, true] {
                let (mut ours, mut theirs) = (vec![0, 7], Vec::new());
                container_head(is_map, length as u32, 0, &mut ours);
                if is_map {
                    rmp::encode::write_map_len(&mut theirs, length as u32).unwrap();
                } else {
                    rmp::encode::write_array_len(&mut theirs, length as u32).unwrap();
                }
                theirs.push(7);
                assert_eq!(ours, theirs, "{length}");
            }
        }
    }

    #[test]
    fn prefixes_are_those_of_the_specification() {
        for (length, expected) in [
            (0_usize, &[0x00][..]),
            (53, &[0x35]),
            (127, &[0x7f]),
            (128, &[0x80, 0x01]),
            (210, &[0xd2, 0x01]),
            (5_248, &[0x80, 0x29]),
            (16_383, &[0xff, 0x7f]),
            (16_384, &[0x80, 0x80, 0x01]),
            (2_147_483_647, &[0xff, 0xff, 0xff, 0xff, 0x07]),
        ] {
            let (bytes, count) = prefix(length);
            assert_eq!(&bytes[..count], expected, "{length}");
        }
    }
}
