//! The clients of a hub: whom to speak to, and whom to ask (protocol reference, 5.7 and 5.11).

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use super::context::ON_CONNECTED;
use super::error::{HubResult, short_name};
use super::question::AskFailed;
use super::recipients::Recipients;
use super::seat::Core;
use crate::connections::{End, SendError};
use crate::delivery::Delivery;
use crate::model::{Audience, ConnectionId, GroupName, HubName, UserId};
use crate::protocol::{Arguments, Event, FromWire};

/// A hub seen from outside its methods, as .NET's `IHubContext`. Cloning copies pointers.
#[derive(Clone)]
pub struct HubContext {
    name: HubName,
    delivery: Arc<Delivery>,
    ask_deadline: Duration,
}

impl HubContext {
    pub(super) fn new(name: HubName, delivery: Arc<Delivery>, ask_deadline: Duration) -> Self {
        Self { name, delivery, ask_deadline }
    }

    /// The hub's name.
    pub fn name(&self) -> &HubName {
        &self.name
    }

    /// All the clients of the hub.
    pub fn clients(&self) -> Clients<'_> {
        Clients { context: self, own: None }
    }

    /// The groups of the hub.
    pub fn groups(&self) -> Groups<'_> {
        Groups { context: self }
    }

    pub(super) fn delivery(&self) -> &Arc<Delivery> {
        &self.delivery
    }
}

/// Ways to choose clients.
#[derive(Clone, Copy)]
pub struct Clients<'a> {
    context: &'a HubContext,
    own: Option<Own<'a>>,
}

/// The connection whose method speaks.
#[derive(Clone, Copy)]
pub(super) struct Own<'a> {
    pub(super) core: &'a Core,
    pub(super) call: u64,
}

impl<'a> Clients<'a> {
    /// Every connection of the hub.
    pub fn all(&self) -> Recipients<'a> {
        self.to(Audience::all())
    }

    /// Every connection but these.
    pub fn all_except<C: Into<ConnectionId>>(
        &self,
        except: impl IntoIterator<Item = C>,
    ) -> Recipients<'a> {
        self.to(Audience::All { except: except.into_iter().map(Into::into).collect() })
    }

    /// The members of a group.
    pub fn group(&self, group: impl Into<GroupName>) -> Recipients<'a> {
        self.to(Audience::group(group))
    }

    /// The members of a group but these.
    pub fn group_except<C: Into<ConnectionId>>(
        &self,
        group: impl Into<GroupName>,
        except: impl IntoIterator<Item = C>,
    ) -> Recipients<'a> {
        let except = except.into_iter().map(Into::into).collect();
        self.to(Audience::Group { group: group.into(), except })
    }

    /// The members of each group; empty names are skipped.
    pub fn groups<G: Into<GroupName>>(
        &self,
        groups: impl IntoIterator<Item = G>,
    ) -> Recipients<'a> {
        let named = groups.into_iter().map(Into::into);
        self.to(Audience::Groups(named.filter(|group| !group.as_str().is_empty()).collect()))
    }

    /// All connections of a user.
    pub fn user(&self, user: impl Into<UserId>) -> Recipients<'a> {
        self.to(Audience::User(user.into()))
    }

    /// All connections of each user.
    pub fn users<U: Into<UserId>>(&self, users: impl IntoIterator<Item = U>) -> Recipients<'a> {
        self.to(Audience::Users(users.into_iter().map(Into::into).collect()))
    }

    /// Each of these connections.
    pub fn connections<C: Into<ConnectionId>>(
        &self,
        ids: impl IntoIterator<Item = C>,
    ) -> Recipients<'a> {
        self.to(Audience::Connections(ids.into_iter().map(Into::into).collect()))
    }

    /// One connection, which can be asked, too.
    pub fn connection(&self, id: impl Into<ConnectionId>) -> Client<'a> {
        Client { context: self.context, id: id.into(), own: self.own }
    }

    fn to(&self, audience: Audience) -> Recipients<'a> {
        Recipients::new(self.context, audience)
    }
}

/// [`Clients`] as one of them sees them.
#[derive(Clone, Copy)]
pub struct CallerClients<'a> {
    clients: Clients<'a>,
    own: Own<'a>,
}

impl<'a> CallerClients<'a> {
    pub(super) fn new(context: &'a HubContext, own: Own<'a>) -> Self {
        Self { clients: Clients { context, own: Some(own) }, own }
    }

    /// The client whose call this is.
    pub fn caller(&self) -> Client<'a> {
        self.clients.connection(self.id().clone())
    }

    /// Everybody else.
    pub fn others(&self) -> Recipients<'a> {
        self.clients.all_except([self.id().clone()])
    }

    /// Everybody else in a group.
    pub fn others_in_group(&self, group: impl Into<GroupName>) -> Recipients<'a> {
        self.clients.group_except(group, [self.id().clone()])
    }

    fn id(&self) -> &'a ConnectionId {
        self.own.core.connection.id()
    }
}

impl<'a> Deref for CallerClients<'a> {
    type Target = Clients<'a>;

    fn deref(&self) -> &Clients<'a> {
        &self.clients
    }
}

/// One client.
#[derive(Clone)]
pub struct Client<'a> {
    context: &'a HubContext,
    id: ConnectionId,
    own: Option<Own<'a>>,
}

impl Client<'_> {
    /// Sends an event. To the own client it waits for room; to another it never waits.
    pub async fn send(&self, target: &str, arguments: impl Arguments + 'static) -> HubResult<()> {
        let own = self.own.filter(|own| *own.core.connection.id() == self.id);
        let Some(Own { core, .. }) = own else {
            let one = Recipients::new(self.context, Audience::Connection(self.id.clone()));
            return one.send(target, arguments).await;
        };
        let event = Event::new(target, arguments);
        match self.context.delivery.send_to(&core.connection, &event).await {
            Ok(()) => {}
            Err(SendError::TimedOut) => core.connection.end(End::SendTimedOut),
            // As everybody who speaks to somebody gone: nothing happens.
            Err(SendError::Closed) => {}
        }
        // Many events in a row must not keep the session from its other work.
        tokio::task::coop::consume_budget().await;
        Ok(())
    }

    /// Asks the client and waits for its answer, at most the hub's deadline.
    pub async fn ask<T: FromWire>(
        &self,
        target: &str,
        arguments: impl Arguments + 'static,
    ) -> Result<T, AskFailed> {
        self.ask_within(target, arguments, self.context.ask_deadline).await
    }

    /// Asks the client and waits for its answer, at most `deadline`. Inside a method the call gives
    /// back its permit first, so that the answer, and the client's next calls, can be read.
    pub async fn ask_within<T: FromWire>(
        &self,
        target: &str,
        arguments: impl Arguments + 'static,
        deadline: Duration,
    ) -> Result<T, AskFailed> {
        if let Some(own) = self.own {
            if own.call == ON_CONNECTED {
                return Err(AskFailed::NotYet);
            }
            own.core.desk.release_permit(own.call);
        }
        let HubContext { name, delivery, .. } = self.context;
        let arguments = Arc::new(arguments);
        // Large and rare; boxed, so that the methods around it stay small.
        let asking = Box::pin(delivery.ask(name, &self.id, target, arguments, deadline));
        asking.await?.bind().map_err(|error| AskFailed::WrongType {
            wanted: short_name::<T>(),
            detail: error.to_string(),
        })
    }
}

/// Who is in which group.
#[derive(Clone, Copy)]
pub struct Groups<'a> {
    context: &'a HubContext,
}

impl Groups<'_> {
    /// Adds a connection to a group, wherever it is. One that nobody has is ignored.
    pub async fn add(
        &self,
        connection: &ConnectionId,
        group: impl Into<GroupName>,
    ) -> HubResult<()> {
        let HubContext { name, delivery, .. } = self.context;
        delivery.join(name, connection, &group.into()).await?;
        Ok(())
    }

    /// Takes a connection out of a group, wherever it is.
    pub async fn remove(
        &self,
        connection: &ConnectionId,
        group: impl Into<GroupName>,
    ) -> HubResult<()> {
        let HubContext { name, delivery, .. } = self.context;
        delivery.leave(name, connection, &group.into()).await?;
        Ok(())
    }
}
