//! Subscribers by something they share: a group, a user. Most users and many groups have but one.

use std::borrow::Borrow;
use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

use crate::store::names::SubscriberId;

/// At least one subscriber.
#[expect(clippy::box_collection, reason = "the few large sets must not make all the others large")]
enum Members {
    One(SubscriberId),
    Many(Box<BTreeSet<SubscriberId>>),
}

/// Members by what they share.
pub(super) struct MembersBy<K>(HashMap<K, Members>);

impl<K> Default for MembersBy<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash + Clone> MembersBy<K> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn insert(&mut self, key: &K, id: SubscriberId) {
        let Some(members) = self.0.get_mut(key) else {
            self.0.insert(key.clone(), Members::One(id));
            return;
        };
        match members {
            Members::One(own) if *own == id => {}
            Members::One(own) => *members = Members::Many(Box::new([*own, id].into())),
            Members::Many(ids) => _ = ids.insert(id),
        }
    }

    pub(super) fn remove(&mut self, key: &K, id: SubscriberId) {
        let is_last = match self.0.get_mut(key) {
            None => false,
            Some(Members::One(own)) => *own == id,
            Some(Members::Many(ids)) => {
                ids.remove(&id);
                ids.is_empty()
            }
        };
        if is_last {
            self.0.remove(key);
        }
    }

    /// Ascending.
    pub(super) fn of<Q>(&self, key: &Q) -> impl Iterator<Item = SubscriberId>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let (one, many) = match self.0.get(key) {
            None => (None, None),
            Some(Members::One(id)) => (Some(*id), None),
            Some(Members::Many(ids)) => (None, Some(ids.iter().copied())),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_come_and_go_one_by_one_and_nothing_is_left() {
        let mut groups = MembersBy::<&str>::default();
        let members = |groups: &MembersBy<&str>| groups.of("g").map(|id| id.0).collect::<Vec<_>>();
        for id in [7, 3, 7, 5] {
            groups.insert(&"g", SubscriberId(id));
        }
        groups.insert(&"h", SubscriberId(1));
        assert_eq!(members(&groups), [3, 5, 7]);
        groups.remove(&"h", SubscriberId(2));
        groups.remove(&"none", SubscriberId(1));
        for (id, left) in [(5, vec![3, 7]), (3, vec![7]), (4, vec![7]), (7, vec![])] {
            groups.remove(&"g", SubscriberId(id));
            assert_eq!(members(&groups), left);
        }
        assert!(!groups.is_empty(), "h is another");
        groups.remove(&"h", SubscriberId(1));
        assert!(groups.is_empty());
    }
}
