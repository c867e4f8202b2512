//! What the catalogue says about one hub, and whether it can be so.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use serde::Deserialize;

use super::CatalogueHub;
use super::guard::{Guard, Guards};
use super::template::Template;
use crate::delivery::AckMode;
use crate::model::Caller;

/// Methods with more parameters are written in Rust.
const PARAMETERS_MAX: usize = 2;

/// A definition that cannot be a hub. The embedded ones are tested, so this is about others.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadDefinition {
    /// It is no TOML, or has unknown or missing keys.
    #[error("the hub's definition cannot be read: {0}")]
    Unreadable(String),
    /// Something in it cannot be so.
    #[error("hub '{hub}', {place}: {problem}")]
    Impossible {
        /// The hub.
        hub: String,
        /// The key or method.
        place: String,
        /// What is wrong.
        problem: String,
    },
}

/// One hub of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// Its configured name.
    pub name: String,
    /// Where it is mapped.
    pub path: String,
    /// Who may connect.
    pub authentication: Authentication,
    /// Groups that each connection joins at once.
    #[serde(default)]
    pub groups_on_connect: Vec<String>,
    /// The ways in which clients may acknowledge; the first is for those that do not choose. None
    /// given: `none` alone.
    #[serde(default)]
    pub acks: Vec<AckMode>,
    /// What clients may call.
    #[serde(default)]
    pub methods: Vec<MethodDefinition>,
}

/// Who may connect to a hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Authentication {
    /// Everybody.
    Anonymous,
    /// Whoever has a virtual key.
    VirtualKey,
}

/// One method: it joins a group or leaves one.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MethodDefinition {
    /// The name that clients call.
    pub name: String,
    /// How many texts it takes.
    #[serde(default)]
    pub parameters: usize,
    /// The group that the connection joins.
    pub join: Option<String>,
    /// The group that it leaves.
    pub leave: Option<String>,
    /// The rule that decides first.
    pub guard: Option<String>,
    /// What the client is told for each reason of the guard.
    #[serde(default)]
    pub refusals: BTreeMap<String, String>,
    /// What the client is told when anything else goes wrong.
    pub failure: Option<String>,
    /// Callers need one of these; none for everybody.
    #[serde(default)]
    pub roles: Vec<String>,
}

/// What a method does once it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Join,
    Leave,
}

/// A method, checked and ready to run.
pub(super) struct Plan {
    pub(super) name: String,
    pub(super) parameters: usize,
    pub(super) action: Action,
    pub(super) template: Template,
    pub(super) failure: Option<String>,
    pub(super) roles: Vec<String>,
    guard: Option<Arc<dyn Guard>>,
    refusals: BTreeMap<String, String>,
}

impl Plan {
    /// Whether the caller may be in a group that the method joins; none when the method does not
    /// join it.
    pub(super) fn allows(&self, caller: &Caller, group: &str) -> Option<bool> {
        if self.action != Action::Join {
            return None;
        }
        let calls = self.template.calls_of(group, caller, self.parameters);
        if calls.is_empty() {
            return None;
        }
        let roles = &self.roles;
        let has_role = roles.is_empty() || roles.iter().any(|role| caller.has_role(role));
        let passes = |call: &Vec<String>| {
            self.guard.as_ref().is_none_or(|guard| guard.allows_again(caller, call))
        };
        Some(has_role && calls.iter().any(passes))
    }

    /// What the client is told when it may not.
    pub(super) fn refusal(&self, caller: &Caller, arguments: &[String]) -> Option<&str> {
        let reason = self.guard.as_ref()?.check(caller, arguments).err()?;
        // A text for each reason was asked for when the plan was made.
        Some(self.refusals.get(reason).map_or(reason, String::as_str))
    }
}

impl Definition {
    /// Reads a definition.
    pub fn parse(text: &str) -> Result<Self, BadDefinition> {
        toml::from_str(text).map_err(|error| BadDefinition::Unreadable(error.to_string()))
    }

    pub(super) fn plan(&self, guards: &Guards) -> Result<CatalogueHub, BadDefinition> {
        if !self.path.starts_with('/') {
            return Err(self.impossible("path", "must begin with a slash"));
        }
        let on_connect = self.groups_on_connect.iter().map(|group| {
            Template::parse(group, 0).map_err(|error| self.impossible("groups_on_connect", error))
        });
        let on_connect = on_connect.collect::<Result<_, _>>()?;
        let mut names = HashSet::new();
        let mut methods = Vec::new();
        for method in &self.methods {
            if !names.insert(method.name.to_lowercase()) {
                return Err(self.impossible(&method.name, "is there twice"));
            }
            let plan = method.plan(guards);
            methods.push(Arc::new(plan.map_err(|error| self.impossible(&method.name, error))?));
        }
        Ok(CatalogueHub { on_connect, methods })
    }

    fn impossible(&self, place: &str, problem: impl Into<String>) -> BadDefinition {
        BadDefinition::Impossible {
            hub: self.name.clone(),
            place: place.to_owned(),
            problem: problem.into(),
        }
    }
}

impl MethodDefinition {
    fn plan(&self, guards: &Guards) -> Result<Plan, String> {
        if self.parameters > PARAMETERS_MAX {
            return Err(format!("may have at most {PARAMETERS_MAX} parameters"));
        }
        let (action, template) = match (&self.join, &self.leave) {
            (Some(group), None) => (Action::Join, Template::parse(group, self.parameters)?),
            (None, Some(group)) => (Action::Leave, Template::parse(group, self.parameters)?),
            _ => return Err("must either join or leave".into()),
        };
        let guard = self.guard(guards)?;
        // Decision D8: no client chooses a group by itself.
        let chosen = template.has_arguments() && !template.is_own();
        if action == Action::Join && chosen && guard.is_none() {
            return Err("joins a group of the client's choice and has no guard".into());
        }
        Ok(Plan {
            name: self.name.clone(),
            parameters: self.parameters,
            action,
            template,
            failure: self.failure.clone(),
            roles: self.roles.clone(),
            guard,
            refusals: self.refusals.clone(),
        })
    }

    fn guard(&self, guards: &Guards) -> Result<Option<Arc<dyn Guard>>, String> {
        let Some(name) = &self.guard else {
            return match self.refusals.keys().next() {
                Some(reason) => Err(format!("has a refusal '{reason}' and no guard")),
                None => Ok(None),
            };
        };
        let guard = guards.get(name.as_str()).ok_or_else(|| format!("no guard '{name}'"))?;
        let reasons = guard.reasons();
        if let Some(reason) = reasons.iter().find(|reason| !self.refusals.contains_key(**reason)) {
            return Err(format!("has no refusal '{reason}' for the guard '{name}'"));
        }
        match self.refusals.keys().find(|reason| !reasons.contains(&reason.as_str())) {
            Some(reason) => Err(format!("the guard '{name}' never refuses with '{reason}'")),
            None => Ok(Some(guard.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Never;

    impl Guard for Never {
        fn reasons(&self) -> &'static [&'static str] {
            &["closed"]
        }

        fn check(&self, _: &Caller, _: &[String]) -> Result<(), &'static str> {
            Err("closed")
        }
    }

    fn guards() -> Guards {
        let never: Arc<dyn Guard> = Arc::new(Never);
        Guards::from([("never", never)])
    }

    fn plan(rest: &str) -> Result<CatalogueHub, String> {
        let head = "name = \"h\"\npath = \"/h\"\nauthentication = \"anonymous\"\n";
        let definition = Definition::parse(&format!("{head}{rest}"));
        definition
            .and_then(|definition| CatalogueHub::new(&definition, &guards()))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_group_of_the_clients_choice_needs_a_guard() {
        let open = "[[methods]]\nname = \"M\"\nparameters = 1\njoin = \"g-{0}\"\n";
        assert!(plan(open).err().unwrap().contains("no guard"));
        let guarded = format!("{open}guard = \"never\"\nrefusals = {{ closed = \"No.\" }}\n");
        let hub = plan(&guarded).unwrap();
        let refused = hub.methods[0].refusal(&Caller::default(), &["x".into()]);
        assert_eq!(refused, Some("No."));
        for own in ["join = \"g-{user_key}-{0}\"", "join = \"g\"", "leave = \"g-{0}\""] {
            let method = format!("[[methods]]\nname = \"M\"\nparameters = 1\n{own}\n");
            assert!(plan(&method).is_ok(), "{own}");
        }
    }

    #[test]
    fn a_returning_session_is_asked_for_the_guard_of_each_group() {
        let guarded = "[[methods]]\nname = \"M\"\nparameters = 1\njoin = \"g-{0}\"\n\
            guard = \"never\"\nrefusals = { closed = \"No.\" }\n";
        let roles = "[[methods]]\nname = \"R\"\njoin = \"admins\"\nroles = [\"admin\"]\n";
        let open = "[[methods]]\nname = \"O\"\njoin = \"open\"\n";
        let on_connect = "groups_on_connect = [\"g-all\"]\n";
        let hub = plan(&format!("{on_connect}{guarded}{roles}{open}")).unwrap();
        let mut caller = Caller::default();
        for (group, allowed) in
            [("g-7", false), ("g-all", true), ("admins", false), ("open", true), ("given", true)]
        {
            assert_eq!(hub.allows(&caller, group), allowed, "{group}");
        }
        caller.roles.push("admin".into());
        assert!(hub.allows(&caller, "admins"));
    }

    #[test]
    fn what_cannot_be_is_refused_with_hub_and_place() {
        let method = |rest: &str| format!("[[methods]]\nname = \"M\"\n{rest}\n");
        let twice = method("leave = \"g\"") + &method("leave = \"g\"").replace("\"M\"", "\"m\"");
        for (rest, expected) in [
            (method(""), "hub 'h', M: must either join or leave"),
            (method("join = \"g\"\nleave = \"g\""), "must either join or leave"),
            (method("parameters = 3\nleave = \"g\""), "may have at most 2 parameters"),
            (method("join = \"g\"\nguard = \"x\""), "no guard 'x'"),
            (method("join = \"g\"\nguard = \"never\""), "has no refusal 'closed'"),
            (method("join = \"g\"\nrefusals = { a = \"b\" }"), "a refusal 'a' and no guard"),
            (
                method("join = \"g\"\nguard = \"never\"\nrefusals = { closed = \"\", a = \"\" }"),
                "never refuses with 'a'",
            ),
            (method("joins = \"g\""), "joins"),
            ("groups_on_connect = [\"g-{0}\"]".to_owned(), "groups_on_connect"),
            (twice, "m: is there twice"),
        ] {
            let error = plan(&rest).err().unwrap();
            assert!(error.contains(expected), "{error}");
        }
    }
}
