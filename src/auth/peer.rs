//! Where a request comes from, as the accept loop saw it.

use std::net::SocketAddr;

/// The address of the socket's other end. The accept loop puts it into the extensions of every
/// request; behind a proxy it is the proxy's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerAddr(pub SocketAddr);
