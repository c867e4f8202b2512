//! What the room counts, for whoever shows it.

use std::sync::LazyLock;

use prometheus::IntCounter;

static UNREPRESENTABLE: LazyLock<IntCounter> = LazyLock::new(|| {
    IntCounter::new(
        "conduit_protocol_unrepresentable_total",
        "Keys and extension values of MessagePack that became null because JSON has no word for them.",
    )
    .expect("the name is a constant in the form that prometheus wants")
});

/// Keys and extension values that became null on their way from MessagePack to JSON, in this process.
pub fn unrepresentable() -> &'static IntCounter {
    &UNREPRESENTABLE
}
