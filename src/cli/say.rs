//! What people and scripts read: standard output for results, standard error for the rest.

use std::io::{self, Write};

/// One line of a result. When nobody reads any more there is nobody to tell.
pub(super) fn say(line: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}

/// A part of a result, as it is.
pub(super) fn say_raw(part: &[u8]) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(part);
    let _ = out.flush();
}

/// One line about what went wrong.
pub(super) fn complain(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}
