//! Who a client is across its connections, and how it acknowledges: what its query asks for.
//!
//! `?clientId=` is the half of a session's key that the client brings; its identity is the other.
//! `?acks=` chooses one of the modes that the hub allows.

use std::collections::BTreeSet;

use super::options::HubOptions;
use super::query::query_value;
use super::seat::Core;
use crate::delivery::{AckMode, Arrival};
use crate::protocol::Protocol;

const CLIENT_ID: &str = "clientId";
const ACKS: &str = "acks";
const CLIENT_ID_CHARS_MAX: usize = 128;
/// The text never repeats the id: it may be a secret.
const BAD_CLIENT_ID: &str = "clientId must have 1 to 128 characters of A-Z a-z 0-9 . _ ~ : -";
const NO_SESSION_NOW: &str = "The server cannot keep sessions at the moment. Try again later.";

/// What a query asks for.
#[derive(Debug, PartialEq, Eq)]
struct Wish {
    client_id: Option<String>,
    mode: AckMode,
}

/// Finds or makes the subscriber behind a connection. A new session is durable when this completes.
/// The error is for the client.
pub(super) async fn arrive(core: &Core, protocol: Protocol) -> Result<(), String> {
    let connection = &core.connection;
    let wish = Wish::of(&core.opening.query, &core.house.options)?;
    let is_anonymous = connection.caller().user.is_none();
    let client_id = wish.client_id.as_deref().filter(|id| !is_anonymous || is_secret(id));
    let peer = core.opening.peer.map(|peer| peer.ip());
    let arrival = Arrival { protocol, client_id, peer, mode: wish.mode };
    let delivery = core.house.context.delivery();
    match Box::pin(delivery.arrive(connection, arrival)).await {
        Ok(Some(subscription)) => {
            // Set once: there is one handshake.
            let _ = core.subscription.set(subscription);
            Ok(())
        }
        Ok(None) => Ok(()),
        // A store that is broken for good must not keep ordinary clients out: nothing is accepted
        // that they could be owed. One that may recover would owe them something soon.
        Err(error) => {
            tracing::debug!(connection = %connection.id(), %error, "no subscriber");
            let broken = delivery.store_health().is_some_and(|health| health.broken.is_some());
            if broken && client_id.is_none() { Ok(()) } else { Err(NO_SESSION_NOW.to_owned()) }
        }
    }
}

impl Wish {
    fn of(query: &str, options: &HubOptions) -> Result<Self, String> {
        let first = options.acks.first().copied().unwrap_or_default();
        if query.is_empty() {
            return Ok(Self { client_id: None, mode: first });
        }
        let mode = match query_value(query, ACKS) {
            None => first,
            Some(name) => AckMode::from_name(&name)
                .filter(|mode| *mode == first || options.acks.contains(mode))
                .ok_or_else(|| unknown_mode(options))?,
        };
        let client_id = query_value(query, CLIENT_ID);
        if client_id.as_deref().is_some_and(|id| !is_well_formed(id)) {
            return Err(BAD_CLIENT_ID.to_owned());
        }
        Ok(Self { client_id, mode })
    }
}

fn unknown_mode(options: &HubOptions) -> String {
    let mut names: Vec<&str> = options.acks.iter().map(|mode| mode.name()).collect();
    if names.is_empty() {
        names.push(AckMode::default().name());
    }
    format!("The hub '{}' has no such acks; use one of: {}.", options.name, names.join(", "))
}

fn is_well_formed(id: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._~:-".contains(&byte);
    !id.is_empty() && id.len() <= CLIENT_ID_CHARS_MAX && id.bytes().all(allowed)
}

/// Whether the id may be one that nobody guesses: at least 128 bits, if its characters are random.
/// Whether they are, nobody can check; but what repeats a few characters is not.
fn is_secret(id: &str) -> bool {
    // Separators, as in a UUID, stand at fixed places.
    let parts = || id.bytes().filter(u8::is_ascii_alphanumeric);
    let enough = if parts().all(|byte| byte.is_ascii_digit()) {
        parts().count() >= 39
    } else if parts().all(|byte| byte.is_ascii_hexdigit()) {
        parts().count() >= 32
    } else {
        // As base64url.
        id.len() >= 22
    };
    let different: BTreeSet<u8> = parts().collect();
    enough && different.len() >= 8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> HubOptions {
        HubOptions { acks: vec![AckMode::Method, AckMode::None], ..HubOptions::named("hub") }
    }

    fn mode(query: &str) -> Result<AckMode, String> {
        Wish::of(query, &options()).map(|wish| wish.mode)
    }

    #[test]
    fn a_client_that_does_not_choose_gets_the_first_mode() {
        assert_eq!(mode(""), Ok(AckMode::Method));
        assert_eq!(mode("a=b&clientId=x"), Ok(AckMode::Method));
        assert_eq!(mode("acks=none"), Ok(AckMode::None));
        let unset = HubOptions { acks: Vec::new(), ..options() };
        assert_eq!(Wish::of("acks=none", &unset).unwrap().mode, AckMode::None);
    }

    #[test]
    fn a_mode_that_the_hub_has_not_is_refused_with_those_it_has() {
        for query in ["acks=result", "acks=", "ACKS=Method", "acks"] {
            let text = mode(query).unwrap_err();
            assert_eq!(text, "The hub 'hub' has no such acks; use one of: method, none.");
        }
    }

    #[test]
    fn a_client_id_is_short_and_of_harmless_characters_and_never_repeated() {
        let client_id = |query: &str| Wish::of(query, &options()).map(|wish| wish.client_id);
        assert_eq!(client_id("CLIENTID=tab%2D1"), Ok(Some("tab-1".to_owned())));
        for bad in ["", "a%20b", "%c3%a4", &"x".repeat(129)] {
            assert_eq!(client_id(&format!("clientId={bad}")), Err(BAD_CLIENT_ID.to_owned()));
        }
    }

    #[test]
    fn only_an_id_that_nobody_guesses_is_a_secret() {
        for good in [
            "V1StGXR8_Z5jdHi6B-myTw",
            "0123456789abcdef0123456789abcdef",
            "3fa85f64-5717-4562-b3fc-2c963f66afa6",
        ] {
            assert!(is_secret(good), "{good}");
        }
        for bad in [
            "tab1",
            "0123456789abcdef012345",
            "12345678901234567890123456789012",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "----------------------",
        ] {
            assert!(!is_secret(bad), "{bad}");
        }
    }
}
