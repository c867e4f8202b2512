//! What clients of mode `method` say about messages: hub methods of the gateway's own.
//!
//! The first three are Conduit's (contract 1.3), the others are for our clients. They are methods
//! like any other, filters included, but wait for no permit: an ack must not queue behind a call
//! that runs for long. A hub's own method of one of these names stays the hub's.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::call::Reply;
use super::definition::Hub;
use super::error::{CallError, HubError};
use super::methods::Methods;
use super::running::{Run, Running};
use super::seat::Core;
use crate::delivery::Subscription;
use crate::protocol::{BindError, FromWire, Invocation, RawValue, ToWire, encode};

/// One of the methods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    /// `AcknowledgeMessage(messageId)`: handled.
    Acknowledge,
    /// `NackMessage(messageId, errorMessage?)`: again, after the policy's wait.
    Nack,
    /// `GetMessageStatus(messageId)` → 0 to 5, or null for a message that never was the caller's.
    Status,
    /// `AcknowledgeMessages(messageIds[])`: all of them handled.
    AcknowledgeMany,
    /// `AcknowledgeMessagesUpTo(messageId)` → whether it was on its way: it and everything that was
    /// sent before it is handled.
    AcknowledgeUpTo,
    /// `NackMessageAfter(messageId, errorMessage?, delayMs)` → whether it was on its way.
    NackAfter,
    /// `ExtendMessage(messageId)` → whether it was on its way: the whole answer time once more.
    Extend,
    /// `GiveUpMessage(messageId, errorMessage?)` → whether it was on its way: a dead letter.
    GiveUp,
}

const WORDS: [(&str, Word); 8] = [
    ("AcknowledgeMessage", Word::Acknowledge),
    ("NackMessage", Word::Nack),
    ("GetMessageStatus", Word::Status),
    ("AcknowledgeMessages", Word::AcknowledgeMany),
    ("AcknowledgeMessagesUpTo", Word::AcknowledgeUpTo),
    ("NackMessageAfter", Word::NackAfter),
    ("ExtendMessage", Word::Extend),
    ("GiveUpMessage", Word::GiveUp),
];

/// Adds them to a hub that allows mode `method`.
pub(super) fn add_to<H: Hub>(methods: &mut Methods<H>) {
    for (name, word) in WORDS {
        if !methods.add_free(name, Box::new(Saying { name: name.into(), word })) {
            tracing::debug!(name, "the hub has a method of its own for this");
        }
    }
}

struct Saying {
    name: Arc<str>,
    word: Word,
}

impl<H: Hub> Run<H> for Saying {
    fn run(&self, running: Running<H>) -> BoxFuture<'static, ()> {
        let (name, word) = (self.name.clone(), self.word);
        Box::pin(async move {
            let (core, invocation) = (running.flight.core(), &running.invocation);
            let call = word.carry_out(core, invocation);
            core.carry_out(invocation, Some(&name), pin!(call)).await;
        })
    }
}

impl Word {
    async fn carry_out(self, core: &Core, invocation: &Invocation) -> Result<Reply, CallError> {
        let mut values = Values::of(self, invocation)?;
        let own = core.subscription();
        match self {
            Self::Acknowledge => {
                let id: String = values.next()?;
                if let Some(own) = own {
                    own.ack(&id).await.map_err(HubError::from)?;
                }
                Ok(nothing(core, invocation))
            }
            Self::AcknowledgeMany => {
                let ids: Vec<String> = values.next()?;
                if let Some(own) = own {
                    own.ack_all(&ids).await.map_err(HubError::from)?;
                }
                Ok(nothing(core, invocation))
            }
            Self::AcknowledgeUpTo => {
                let id: String = values.next()?;
                let known = match own {
                    Some(own) => own.ack_up_to(&id).await.map_err(HubError::from)?,
                    None => false,
                };
                answer(core, invocation, &known)
            }
            Self::Nack => {
                let (id, error): (String, Option<String>) = (values.next()?, values.next()?);
                own.map(|own| own.nack(&id, error.as_deref(), None));
                Ok(nothing(core, invocation))
            }
            Self::NackAfter => {
                let (id, error): (String, Option<String>) = (values.next()?, values.next()?);
                let delay = Duration::from_millis(values.next()?);
                let is_own = |own: &Subscription| own.nack(&id, error.as_deref(), Some(delay));
                answer(core, invocation, &own.is_some_and(is_own))
            }
            Self::Extend => {
                let id: String = values.next()?;
                answer(core, invocation, &own.is_some_and(|own| own.still_working(&id)))
            }
            Self::GiveUp => {
                let (id, error): (String, Option<String>) = (values.next()?, values.next()?);
                let is_own = |own: &Subscription| own.give_up(&id, error.as_deref());
                answer(core, invocation, &own.is_some_and(is_own))
            }
            Self::Status => {
                let id: String = values.next()?;
                let status = match own {
                    Some(own) => own.status(&id).await.map_err(HubError::from)?,
                    None => None,
                };
                answer(core, invocation, &status.map(|status| status as i32))
            }
        }
    }

    /// How many arguments it takes at least and at most: an error text may be left out at the end.
    fn arguments(self) -> (usize, usize) {
        match self {
            Self::Acknowledge
            | Self::AcknowledgeMany
            | Self::AcknowledgeUpTo
            | Self::Status
            | Self::Extend => (1, 1),
            Self::Nack | Self::GiveUp => (1, 2),
            Self::NackAfter => (3, 3),
        }
    }
}

/// The arguments of a call, one after another; what was left out is null.
struct Values(std::vec::IntoIter<RawValue>);

impl Values {
    fn of(word: Word, invocation: &Invocation) -> Result<Self, CallError> {
        let values: Vec<RawValue> = match invocation.arguments.values() {
            Ok(values) => values.into_iter().collect(),
            Err(error) => return Err(CallError::BadArguments(error)),
        };
        let (least, most) = word.arguments();
        if values.len() < least || values.len() > most {
            let text = format!(
                "Invocation provides {} argument(s) but target expects {most}.",
                values.len()
            );
            return Err(CallError::BadArguments(BindError::new(text)));
        }
        Ok(Self(values.into_iter()))
    }

    fn next<T: FromWire + Missing>(&mut self) -> Result<T, CallError> {
        match self.0.next() {
            Some(raw) => raw.bind().map_err(CallError::BadArguments),
            None => T::missing()
                .ok_or_else(|| CallError::BadArguments(BindError::new("An argument is missing."))),
        }
    }
}

/// What stands for an argument that was left out.
trait Missing: Sized {
    fn missing() -> Option<Self> {
        None
    }
}

impl Missing for String {}
impl Missing for u64 {}
impl Missing for Vec<String> {}
impl Missing for Option<String> {
    fn missing() -> Option<Self> {
        Some(None)
    }
}

fn nothing(core: &Core, invocation: &Invocation) -> Reply {
    match &invocation.id {
        Some(id) => Reply::Completion(encode::completion_void(core.protocol(), id)),
        None => Reply::Nothing,
    }
}

fn answer(core: &Core, invocation: &Invocation, value: &dyn ToWire) -> Result<Reply, CallError> {
    let Some(id) = &invocation.id else { return Ok(Reply::Nothing) };
    let encoded = encode::completion_value(core.protocol(), id, value);
    encoded.map(Reply::Completion).map_err(|error| CallError::Failed(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::{Context, HubResult};

    struct OwnNack;

    impl Hub for OwnNack {
        type State = ();

        fn methods(&self, methods: &mut Methods<Self>) {
            methods.add("nackMessage", async |_: Context<Self>| HubResult::Ok(()));
        }
    }

    #[test]
    fn a_hubs_own_method_of_the_same_name_stays_the_hubs() {
        let mut methods = Methods::of(&OwnNack);
        add_to(&mut methods);
        let needs_permit = |name: &str| methods.find(name).unwrap().needs_permit();
        assert!(needs_permit("NackMessage"));
        assert!(!needs_permit("AcknowledgeMessage"));
    }
}
