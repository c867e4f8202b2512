//! Hubs that are data: a definition in TOML becomes a [`Hub`] whose methods join and leave groups.
//!
//! `definition` reads and checks the data, `template` makes group names from a caller and its
//! arguments, and a [`Guard`] is the code behind a rule that the data only names. What the data
//! cannot say is a hub in Rust.

mod definition;
mod guard;
mod template;

use std::sync::Arc;

pub use definition::{Authentication, BadDefinition, Definition, MethodDefinition};
pub use guard::{Guard, Guards};

use super::context::Context;
use super::definition::Hub;
use super::error::{HubError, HubResult};
use super::methods::Methods;
use crate::model::{Caller, GroupName};
use definition::{Action, Plan};
use template::Template;

/// A hub from the catalogue.
pub struct CatalogueHub {
    on_connect: Vec<Template>,
    methods: Vec<Arc<Plan>>,
}

impl CatalogueHub {
    /// The hub of a definition whose guards are all there.
    pub fn new(definition: &Definition, guards: &Guards) -> Result<Self, BadDefinition> {
        definition.plan(guards)
    }
}

impl Hub for CatalogueHub {
    type State = ();

    fn methods(&self, methods: &mut Methods<Self>) {
        for plan in &self.methods {
            let run = plan.clone();
            let added = match plan.parameters {
                0 => methods.add(&plan.name, move |context| carry_out(context, run.clone(), [])),
                1 => methods.add(&plan.name, move |context, first: Option<String>| {
                    carry_out(context, run.clone(), [first])
                }),
                _ => methods.add(
                    &plan.name,
                    move |context, first: Option<String>, second: Option<String>| {
                        carry_out(context, run.clone(), [first, second])
                    },
                ),
            };
            added.roles(plan.roles.iter().cloned());
        }
    }

    async fn may_rejoin(context: Context<Self>, group: GroupName) -> bool {
        context.hub().allows(context.caller(), group.as_str())
    }

    async fn on_connected(context: Context<Self>) -> HubResult<()> {
        for template in &context.hub().on_connect {
            let group = template.fill(context.caller(), &[]).map_err(HubError::internal)?;
            context.join(group).await?;
        }
        Ok(())
    }
}

impl CatalogueHub {
    /// The guards of all methods that join the group are asked again; one that passes is enough. A
    /// group that no method joins was given by the back end or on connect.
    fn allows(&self, caller: &Caller, group: &str) -> bool {
        let is_own = |template: &Template| template.fill(caller, &[]).is_ok_and(|own| own == group);
        if self.on_connect.iter().any(is_own) {
            return true;
        }
        let verdicts = || self.methods.iter().filter_map(|plan| plan.allows(caller, group));
        verdicts().any(|allowed| allowed) || verdicts().next().is_none()
    }
}

/// One call. A null counts as an empty text, as .NET's own hubs treat it.
async fn carry_out<const N: usize>(
    context: Context<CatalogueHub>,
    plan: Arc<Plan>,
    arguments: [Option<String>; N],
) -> HubResult<()> {
    let arguments = arguments.map(Option::unwrap_or_default);
    if let Some(refusal) = plan.refusal(context.caller(), &arguments) {
        return Err(HubError::client(refusal));
    }
    let done = async {
        let group = plan.template.fill(context.caller(), &arguments).map_err(HubError::internal)?;
        match plan.action {
            Action::Join => context.join(group).await,
            Action::Leave => context.leave(group).await,
        }
    };
    done.await.map_err(|error| match &plan.failure {
        Some(text) => {
            tracing::debug!(method = %plan.name, %error, "a method of the catalogue failed");
            HubError::client(text)
        }
        None => error,
    })
}
