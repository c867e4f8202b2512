//! Who is here and in which groups, on this node and on others.

use std::sync::Arc;

use super::outlet::{Delivery, DeliveryError};
use crate::backplane::{GroupCommand, Member, Reach};
use crate::connections::{Connection, End, GroupFull, Registry};
use crate::model::{ConnectionId, GroupName, HubName, Subject, UserId};

impl Delivery {
    /// A connection is ready to receive. Completes when other nodes' messages reach it, too.
    pub async fn connected(&self, connection: &Arc<Connection>) -> Result<(), DeliveryError> {
        let hub = connection.hub();
        let first_of_user = self.registry(hub)?.add(connection);
        let own = Subject::Connection(connection.id().clone());
        self.backplane.interest(hub, &own, true).await?;
        if let Some(user) = connection.caller().user.clone().filter(|_| first_of_user) {
            self.backplane.interest(hub, &Subject::User(user), true).await?;
        }
        Ok(())
    }

    /// A connection is over: it leaves its groups, and who waits for its answers is told.
    pub async fn disconnected(&self, connection: &Connection) {
        let Ok(registry) = self.registry(connection.hub()) else { return };
        let nobody_left = registry.remove(connection);
        self.connection_lost(connection).await;
        self.questions.connection_left(connection.id());
        for subject in nobody_left {
            if let Err(error) = self.backplane.interest(connection.hub(), &subject, false).await {
                tracing::debug!(%error, "a subscription outlives its last subscriber");
            }
        }
    }

    /// Adds a connection to a group, wherever it is. `Nobody` when no node has it.
    pub async fn join(
        &self,
        hub: &HubName,
        connection: &ConnectionId,
        group: &GroupName,
    ) -> Result<Reach, DeliveryError> {
        self.change_group(hub, connection, group, true).await
    }

    /// Takes a connection out of a group, wherever it is. `Nobody` when no node has it.
    pub async fn leave(
        &self,
        hub: &HubName,
        connection: &ConnectionId,
        group: &GroupName,
    ) -> Result<Reach, DeliveryError> {
        self.change_group(hub, connection, group, false).await
    }

    /// Adds all present connections of a user to a group, or takes them out.
    pub async fn change_group_of_user(
        &self,
        hub: &HubName,
        user: &UserId,
        group: &GroupName,
        add: bool,
    ) -> Result<Reach, DeliveryError> {
        let member = Member::User(user.clone());
        let command = GroupCommand { group: group.clone(), member, add };
        let here = self.change_group_here(hub, &command).await?;
        let elsewhere = self.backplane.group(hub, command).await?;
        Ok(if here == Reach::Done { here } else { elsewhere })
    }

    /// Whether anybody anywhere is the subject or belongs to it.
    pub async fn exists(&self, hub: &HubName, subject: &Subject) -> Result<bool, DeliveryError> {
        if self.registry(hub)?.has(subject) {
            return Ok(true);
        }
        Ok(self.backplane.exists(hub, subject).await?)
    }

    /// Ends a connection, wherever it is. The reason goes to the client.
    pub async fn close(
        &self,
        hub: &HubName,
        connection: &ConnectionId,
        reason: Option<String>,
    ) -> Result<Reach, DeliveryError> {
        self.registry(hub)?;
        if self.close_here(hub, connection, reason.clone()) {
            return Ok(Reach::Done);
        }
        Ok(self.backplane.close(hub, connection, reason.as_deref()).await?)
    }

    pub(super) fn close_here(
        &self,
        hub: &HubName,
        connection: &ConnectionId,
        reason: Option<String>,
    ) -> bool {
        let found = self.registry(hub).ok().and_then(|registry| registry.get(connection));
        match found {
            Some(connection) => {
                connection.end(End::Asked { reason, allow_reconnect: false });
                true
            }
            None => false,
        }
    }

    async fn change_group(
        &self,
        hub: &HubName,
        connection: &ConnectionId,
        group: &GroupName,
        add: bool,
    ) -> Result<Reach, DeliveryError> {
        if self.change_membership_here(hub, connection, group, add).await? == Reach::Done {
            return Ok(Reach::Done);
        }
        let member = Member::Connection(connection.clone());
        let command = GroupCommand { group: group.clone(), member, add };
        Ok(self.backplane.group(hub, command).await?)
    }

    /// Carries out a command for members that are here.
    pub(super) async fn change_group_here(
        &self,
        hub: &HubName,
        command: &GroupCommand,
    ) -> Result<Reach, DeliveryError> {
        let members = match &command.member {
            Member::Connection(id) => vec![id.clone()],
            Member::User(user) => self.registry(hub)?.of_user(user),
        };
        let mut reach = Reach::Nobody;
        for id in members {
            let own = self.change_membership_here(hub, &id, &command.group, command.add).await?;
            if own == Reach::Done {
                reach = own;
            }
        }
        Ok(reach)
    }

    /// The same for the subscriber behind a connection, durably.
    async fn change_subscription(
        &self,
        registry: &Registry,
        connection: &ConnectionId,
        group: &GroupName,
        add: bool,
    ) -> Result<(), DeliveryError> {
        // Without a registered connection there is nobody to remember.
        let Some(present) = registry.get(connection) else { return Ok(()) };
        if !add {
            return self.subscriber_leaves(&present, group).await;
        }
        if self.subscriber_joins(&present, group).await? {
            return Ok(());
        }
        let max = registry.groups_max();
        Err(DeliveryError::GroupFull(GroupFull { max }))
    }

    async fn change_membership_here(
        &self,
        hub: &HubName,
        connection: &ConnectionId,
        group: &GroupName,
        add: bool,
    ) -> Result<Reach, DeliveryError> {
        let registry = self.registry(hub)?;
        let was_member = add && registry.is_member(connection, group);
        let turned =
            if add { registry.join(connection, group)? } else { registry.leave(connection, group) };
        let Some(turned) = turned else { return Ok(Reach::Nobody) };
        let changed = self.change_subscription(registry, connection, group, add).await;
        if changed.is_err() && add && !was_member {
            registry.leave(connection, group);
        }
        changed?;
        if turned {
            self.backplane.interest(hub, &Subject::Group(group.clone()), add).await?;
        }
        Ok(Reach::Done)
    }
}
