//! The hub of load tests.
