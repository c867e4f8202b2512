//! Hashes of keys, and a look-up that takes the same time whatever it finds.

use sha2::{Digest, Sha256};
use subtle::{ConditionallySelectable, ConstantTimeEq};

/// Lower-case hex of the SHA-256 of a key: what the configuration holds of it.
pub fn hash_key(key: &[u8]) -> String {
    let mut text = String::with_capacity(64);
    for byte in digest(key) {
        for nibble in [byte >> 4, byte & 15] {
            text.push(char::from(b"0123456789abcdef"[usize::from(nibble)]));
        }
    }
    text
}

/// The 32 bytes that 64 hexadecimal digits stand for.
pub(super) fn parse_hash(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> = text
        .chars()
        .map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
    bytes.try_into().ok().filter(|_| digits.len() == 64)
}

fn digest(key: &[u8]) -> [u8; 32] {
    Sha256::digest(key).into()
}

/// What belongs to each key, found by the key in the clear.
pub(super) struct KeyTable<T> {
    entries: Vec<([u8; 32], T)>,
}

impl<T> KeyTable<T> {
    pub(super) fn new(entries: impl IntoIterator<Item = ([u8; 32], T)>) -> Self {
        Self { entries: entries.into_iter().collect() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Compares the hash of the key with every entry, all 32 bytes of it, so that neither the place
    /// of an entry nor the length of a common prefix shows in the time.
    pub(super) fn find(&self, key: &str) -> Option<&T> {
        let presented = digest(key.as_bytes());
        let mut found = u64::MAX;
        for (place, (hash, _)) in (0_u64..).zip(&self.entries) {
            found.conditional_assign(&place, presented.ct_eq(hash));
        }
        self.entries.get(usize::try_from(found).ok()?).map(|(_, owner)| owner)
    }
}

#[cfg(test)]
pub(super) fn digest_of(key: &str) -> [u8; 32] {
    digest(key.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_what_sha256sum_prints() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hash_key(b"abc"), abc);
        assert_eq!(parse_hash(abc), Some(digest(b"abc")));
        assert_eq!(parse_hash(&abc.to_uppercase()), Some(digest(b"abc")));
    }

    #[test]
    fn only_64_hexadecimal_digits_are_a_hash() {
        for wrong in ["", "00", &"0".repeat(63), &"0".repeat(65), &"g".repeat(64)] {
            assert_eq!(parse_hash(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn every_key_finds_its_own_owner_and_no_other_key_finds_any() {
        let table = KeyTable::new((0..50).map(|n| (digest_of(&format!("key {n}")), n)));
        for n in 0..50 {
            assert_eq!(table.find(&format!("key {n}")), Some(&n));
        }
        assert_eq!(table.find("key 50"), None);
        assert_eq!(table.find(""), None);
        assert_eq!(KeyTable::<u8>::new([]).find("key 1"), None);
    }
}
