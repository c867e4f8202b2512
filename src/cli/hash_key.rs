//! `hash-key`: a key from standard input, so that it is in no history and no list of processes.

use std::io::Read;
use std::process::ExitCode;

use super::say::{complain, say};
use super::{NOT_DONE, NOT_UNDERSTOOD};
use crate::auth::hash_key;

/// Far more than a key has.
const KEY_BYTES_MAX: u64 = 65_536;

pub(super) fn run() -> ExitCode {
    let mut key = Vec::new();
    if let Err(error) = std::io::stdin().lock().take(KEY_BYTES_MAX + 1).read_to_end(&mut key) {
        complain(&format!("standard input: {error}"));
        return ExitCode::from(NOT_DONE);
    }
    let key = without_line_end(&key);
    if key.is_empty() || key.len() as u64 > KEY_BYTES_MAX {
        complain(&format!("standard input must have a key of 1 to {KEY_BYTES_MAX} bytes"));
        return ExitCode::from(NOT_UNDERSTOOD);
    }
    say(&hash_key(key));
    ExitCode::SUCCESS
}

/// `echo` and editors add one line end; any other white space may belong to the key.
fn without_line_end(key: &[u8]) -> &[u8] {
    let key = key.strip_suffix(b"\n").unwrap_or(key);
    key.strip_suffix(b"\r").unwrap_or(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_end_is_not_part_of_the_key() {
        for (text, key) in [("k", "k"), ("k\n", "k"), ("k\r\n", "k"), ("k \n\n", "k \n")] {
            assert_eq!(without_line_end(text.as_bytes()), key.as_bytes());
        }
    }
}
