//! What tenants take of the store, and what all take together.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::model::Tenant;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) pending: u64,
    pub(super) dead: u64,
    pub(super) bytes: u64,
}

/// Names of events that share their texts; there are few, but nobody has to keep to that.
const TARGETS_MAX: usize = 1_024;

/// The names of events, as they are held already: a million messages share one text.
#[derive(Default)]
pub(super) struct Targets(HashSet<Arc<str>>);

impl Targets {
    pub(super) fn shared(&mut self, target: Arc<str>) -> Arc<str> {
        if let Some(held) = self.0.get(&target) {
            return held.clone();
        }
        if self.0.len() < TARGETS_MAX {
            self.0.insert(target.clone());
        }
        target
    }
}

#[derive(Default)]
pub(super) struct Usage {
    pub(super) total: Share,
    tenants: HashMap<Tenant, Share>,
}

impl Usage {
    pub(super) fn of(&self, tenant: &Tenant) -> Share {
        self.tenants.get(tenant).copied().unwrap_or_default()
    }

    /// The tenant's name as it is held already: a million messages share one text.
    pub(super) fn name(&self, tenant: Tenant) -> Tenant {
        self.tenants.get_key_value(&tenant).map_or(tenant, |(name, _)| name.clone())
    }

    /// Changes the share of a tenant, and with it the total. An empty share is forgotten.
    pub(super) fn change(&mut self, tenant: &Tenant, change: impl Fn(&mut Share)) {
        change(&mut self.total);
        match self.tenants.get_mut(tenant) {
            Some(share) => {
                change(share);
                if *share == Share::default() {
                    self.tenants.remove(tenant);
                }
            }
            None => {
                let mut share = Share::default();
                change(&mut share);
                self.tenants.insert(tenant.clone(), share);
            }
        }
    }
}
