//! What a hub method knows about its caller, and what it may do.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::clients::{CallerClients, Groups, HubContext, Own};
use super::definition::Hub;
use super::error::HubResult;
use super::seat::Seat;
use crate::connections::End;
use crate::model::{Caller, ConnectionId, GroupName, UserId};

/// One call of one connection. Cloning copies pointers.
pub struct Context<H: Hub> {
    seat: Arc<Seat<H>>,
    call: u64,
    canceled: Option<CancellationToken>,
}

/// The number of the call that `on_connected` is. Invocations count from 1.
pub(super) const ON_CONNECTED: u64 = 0;

impl<H: Hub> Context<H> {
    pub(super) fn new(seat: Arc<Seat<H>>, call: u64, canceled: Option<CancellationToken>) -> Self {
        Self { seat, call, canceled }
    }

    /// The hub.
    pub fn hub(&self) -> &H {
        &self.seat.served.hub
    }

    /// What the hub remembers about this connection.
    pub fn state(&self) -> &H::State {
        &self.seat.state
    }

    /// The public id of the connection.
    pub fn connection_id(&self) -> &ConnectionId {
        self.seat.core.connection.id()
    }

    /// Who is behind the connection, as its authenticator says.
    pub fn caller(&self) -> &Caller {
        self.seat.core.connection.caller()
    }

    /// The user behind the connection.
    pub fn user_id(&self) -> Option<&UserId> {
        self.caller().user.as_ref()
    }

    /// The query of the request that opened the connection, still percent-encoded, without the id,
    /// `access_token` and `api_key`.
    pub fn query(&self) -> &str {
        &self.seat.core.opening.query
    }

    /// The first value of a query parameter, decoded; names are compared without regard to case.
    pub fn query_value(&self, name: &str) -> Option<String> {
        self.query().split('&').find_map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            percent_decoded(key).eq_ignore_ascii_case(name).then(|| percent_decoded(value))
        })
    }

    /// The client's address, when the transport knows it.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.seat.core.opening.peer
    }

    /// All the clients of the hub, seen from this one.
    pub fn clients(&self) -> CallerClients<'_> {
        let core = &self.seat.core;
        let own = Own { core, call: self.call };
        CallerClients::new(&core.house.context, own)
    }

    /// The groups of the hub.
    pub fn groups(&self) -> Groups<'_> {
        self.seat.core.house.context.groups()
    }

    /// Adds this connection to a group.
    pub async fn join(&self, group: impl Into<GroupName>) -> HubResult<()> {
        self.groups().add(self.connection_id(), group).await
    }

    /// Takes this connection out of a group.
    pub async fn leave(&self, group: impl Into<GroupName>) -> HubResult<()> {
        self.groups().remove(self.connection_id(), group).await
    }

    /// Ends the connection; its client is not asked to come back.
    pub fn abort(&self) {
        self.seat.core.connection.end(End::Asked { reason: None, allow_reconnect: false });
    }

    /// Cancelled when the client cancels this stream, and when the connection is over. A method
    /// that runs long should look at it: it is dropped some seconds after the end.
    pub fn canceled(&self) -> CancellationToken {
        self.canceled.clone().unwrap_or_else(|| self.seat.core.gone().clone())
    }

    /// The hub's context, for work that outlives the call.
    pub fn hub_context(&self) -> &HubContext {
        &self.seat.core.house.context
    }
}

impl<H: Hub> Clone for Context<H> {
    fn clone(&self) -> Self {
        Self { seat: self.seat.clone(), call: self.call, canceled: self.canceled.clone() }
    }
}

/// `%41` and `+` as in a query; what is no valid escape stays as it is.
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'+' => bytes.push(b' '),
            b'%' => match after.get(..2).and_then(hex_byte) {
                Some(byte) => {
                    bytes.push(byte);
                    rest = &after[2..];
                }
                None => bytes.push(b'%'),
            },
            _ => bytes.push(first),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex_byte(digits: &[u8]) -> Option<u8> {
    let text = std::str::from_utf8(digits).ok()?;
    // `from_str_radix` would take a sign, too.
    text.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u8::from_str_radix(text, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_of_a_query_are_decoded_and_what_is_none_is_kept() {
        assert_eq!(percent_decoded("a%20b+c"), "a b c");
        assert_eq!(percent_decoded("%c3%A4"), "ä");
        assert_eq!(percent_decoded("100%"), "100%");
        assert_eq!(percent_decoded("%+1%zz"), "% 1%zz");
    }
}
