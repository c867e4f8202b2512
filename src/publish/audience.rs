//! The `audience` of a message: exactly one way to say whom it is for.

use std::collections::HashSet;
use std::hash::Hash;

use serde_json::value::RawValue;

use super::fields::Fields;
use super::problem::Problem;
use crate::model::{Audience, ConnectionId, GroupName};

/// Characters in the name of a group, a user, a connection.
pub(super) const NAME_CHARS_MAX: usize = 256;
/// Names in one list.
pub(super) const NAMES_MAX: usize = 1_000;

const KINDS: [&str; 7] = ["all", "group", "groups", "user", "users", "connection", "connections"];

/// Reads the object.
pub(super) fn read(value: &RawValue) -> Result<Audience, Problem> {
    let Some(mut fields) = Fields::of(value, "audience.")? else {
        return Err(Problem::field("audience", "must be an object"));
    };
    let given: Vec<_> = KINDS.iter().filter_map(|kind| Some((*kind, fields.take(kind)?))).collect();
    let except = names(&mut fields, "except")?;
    fields.finish()?;
    let [(kind, value)] = given[..] else {
        let detail = format!("must have exactly one of {}", KINDS.join(", "));
        return Err(Problem::field("audience", &detail));
    };
    if except.is_some() && !matches!(kind, "all" | "group") {
        return Err(Problem::field("audience.except", "goes with all and group only"));
    }
    let except = except.unwrap_or_default();
    let field = format!("audience.{kind}");
    Ok(match kind {
        "all" if value.get() == "true" => Audience::All { except },
        "all" => return Err(Problem::field(field, "must be true")),
        "group" => Audience::Group { group: GroupName::from(name_of(value, &field)?), except },
        "groups" => Audience::Groups(names_of(value, &field)?),
        "user" => Audience::User(name_of(value, &field)?.into()),
        "users" => Audience::Users(names_of(value, &field)?),
        "connection" => Audience::Connection(name_of(value, &field)?.into()),
        _ => Audience::Connections(names_of(value, &field)?),
    })
}

fn names(fields: &mut Fields<'_>, name: &str) -> Result<Option<Vec<ConnectionId>>, Problem> {
    let field = format!("audience.{name}");
    fields.take(name).map(|value| names_of(value, &field)).transpose()
}

fn name_of(value: &RawValue, field: &str) -> Result<String, Problem> {
    let name: String = serde_json::from_str(value.get())
        .map_err(|_not_text| Problem::field(field, "must be a string"))?;
    check_name(&name, field)?;
    Ok(name)
}

/// A list of names without doubles: who is named twice still gets a message once.
fn names_of<N: From<String> + Hash + Eq + Clone>(
    value: &RawValue,
    field: &str,
) -> Result<Vec<N>, Problem> {
    let names: Vec<String> = serde_json::from_str(value.get())
        .map_err(|_no_list| Problem::field(field, "must be an array of strings"))?;
    if names.is_empty() || names.len() > NAMES_MAX {
        let detail = format!("must have 1 to {NAMES_MAX} names");
        return Err(Problem::field(field, &detail).with_limit(NAMES_MAX));
    }
    for (index, name) in names.iter().enumerate() {
        check_name(name, &format!("{field}[{index}]"))?;
    }
    let mut seen = HashSet::new();
    Ok(names.into_iter().map(N::from).filter(|name| seen.insert(name.clone())).collect())
}

/// A name that somebody may have.
pub(super) fn check_name(name: &str, field: &str) -> Result<(), Problem> {
    if name.is_empty() || name.chars().nth(NAME_CHARS_MAX).is_some() {
        let detail = format!("must have 1 to {NAME_CHARS_MAX} characters");
        return Err(Problem::field(field, &detail).with_limit(NAME_CHARS_MAX));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn audience(value: &Value) -> Result<Audience, Value> {
        let raw = serde_json::value::to_raw_value(value).unwrap();
        read(&raw).map_err(|problem| serde_json::to_value(problem).unwrap())
    }

    #[test]
    fn each_way_to_name_an_audience_is_understood() {
        for (value, expected) in [
            (json!({"all": true}), Audience::all()),
            (json!({"all": true, "except": ["c"]}), Audience::All { except: vec!["c".into()] }),
            (json!({"group": "g"}), Audience::group("g")),
            (
                json!({"group": "g", "except": ["c"]}),
                Audience::Group { group: "g".into(), except: vec!["c".into()] },
            ),
            (json!({"groups": ["g", "h"]}), Audience::Groups(vec!["g".into(), "h".into()])),
            (json!({"user": "u"}), Audience::User("u".into())),
            (json!({"users": ["u"]}), Audience::Users(vec!["u".into()])),
            (json!({"connection": "c"}), Audience::Connection("c".into())),
            (json!({"connections": ["c"]}), Audience::Connections(vec!["c".into()])),
            (json!({"user": "u", "group": null}), Audience::User("u".into())),
        ] {
            assert_eq!(audience(&value), Ok(expected), "{value}");
        }
    }

    #[test]
    fn a_name_that_is_given_twice_counts_once() {
        let expected = Audience::Groups(vec!["g".into(), "h".into()]);
        assert_eq!(audience(&json!({"groups": ["g", "h", "g"]})), Ok(expected));
    }

    #[test]
    fn each_wrong_audience_names_its_field_and_limit() {
        let long = "x".repeat(257);
        for (value, field, limit) in [
            (json!("all"), "audience", None),
            (json!([]), "audience", None),
            (json!({}), "audience", None),
            (json!({"all": null}), "audience", None),
            (json!({"all": true, "group": "g"}), "audience", None),
            (json!({"everyone": true}), "audience.everyone", None),
            (json!({"all": false}), "audience.all", None),
            (json!({"all": 1}), "audience.all", None),
            (json!({"group": 5}), "audience.group", None),
            (json!({"group": ""}), "audience.group", Some(256)),
            (json!({"user": long}), "audience.user", Some(256)),
            (json!({"groups": "g"}), "audience.groups", None),
            (json!({"groups": []}), "audience.groups", Some(1_000)),
            (json!({"users": vec!["u"; 1_001]}), "audience.users", Some(1_000)),
            (json!({"connections": ["c", ""]}), "audience.connections[1]", Some(256)),
            (json!({"connections": [1]}), "audience.connections", None),
            (json!({"user": "u", "except": ["c"]}), "audience.except", None),
            (json!({"groups": ["g"], "except": ["c"]}), "audience.except", None),
            (json!({"all": true, "except": "c"}), "audience.except", None),
            (json!({"all": true, "except": vec!["c"; 1_001]}), "audience.except", Some(1_000)),
        ] {
            let problem = audience(&value).unwrap_err();
            assert_eq!(problem["field"], field, "{value}");
            assert_eq!(problem.get("limit").and_then(Value::as_u64), limit, "{value}");
            assert_eq!(problem["status"], 422);
        }
    }
}
