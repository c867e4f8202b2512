//! Trees of settings: laid over one another, and made from variables.

use serde_json::{Map, Value};

use super::environment::Environment;
use super::known::Known;
use crate::model::BadSetting;

/// What the names of overriding variables begin with; sections are divided by two underscores.
const PREFIX: &str = "CONDUIT__";
const DIVIDER: &str = "__";

/// Puts every value of `over` in its place in `under`. Tables are merged, lists replaced.
pub(super) fn lay(over: Value, under: &mut Value) {
    match (over, under) {
        (Value::Object(over), Value::Object(under)) => {
            for (key, value) in over {
                lay(value, under.entry(key).or_insert(Value::Null));
            }
        }
        (over, under) => *under = over,
    }
}

/// The tree with one value at a path.
pub(super) fn branch(path: &[&str], value: Value) -> Value {
    path.iter()
        .rev()
        .fold(value, |inner, key| Value::Object(Map::from_iter([((*key).to_owned(), inner)])))
}

/// Every value that is no table, with the path to it.
pub(super) fn leaves<'a>(
    tree: &'a Value,
    path: &mut Vec<&'a str>,
    tell: &mut impl FnMut(&[&str], &Value),
) {
    match tree {
        Value::Object(keys) => {
            for (key, value) in keys {
                path.push(key);
                leaves(value, path, tell);
                path.pop();
            }
        }
        leaf => tell(path, leaf),
    }
}

/// The tree that the variables make: `CONDUIT__HUBS__TASKS__KEEP_ALIVE_MS=5000`.
pub(super) fn of_environment(
    environment: &Environment,
    known: &Known,
) -> Result<Value, Vec<BadSetting>> {
    let mut tree = Value::Object(Map::new());
    let mut found = Vec::new();
    for (name, text) in environment.with_prefix(PREFIX) {
        match resolve(name, known) {
            Ok((path, known)) => lay(branch(&path, typed(text, known)), &mut tree),
            Err(problem) => {
                let variable = format!("{PREFIX}{name}: {}", problem.field);
                found.push(BadSetting::new(variable, problem.problem));
            }
        }
    }
    if found.is_empty() { Ok(tree) } else { Err(found) }
}

/// The known keys that the parts of a variable's name stand for, in any letter case, and with an
/// underscore where a hub's name has a hyphen.
fn resolve<'a>(name: &str, known: &'a Known) -> Result<(Vec<&'a str>, &'a Value), BadSetting> {
    let mut path = Vec::new();
    let mut place = known.root();
    for part in name.split(DIVIDER) {
        let same = |key: &str| key.replace('-', "_").eq_ignore_ascii_case(part);
        let found = place.as_object().and_then(|keys| keys.iter().find(|(key, _)| same(key)));
        let Some((key, inner)) = found else {
            return Err(known.unknown(&path.join("."), &part.to_lowercase()));
        };
        path.push(key.as_str());
        place = inner;
    }
    Ok((path, place))
}

/// A variable's text as the type that the key has. What does not fit stays text and is refused with
/// the same words as a wrong type in the file.
fn typed(text: &str, known: &Value) -> Value {
    let as_json = || serde_json::from_str(text).ok();
    let fitting = match known {
        Value::String(_) | Value::Null => None,
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => as_json(),
        // A JSON array, or the items of a list of texts between commas.
        Value::Array(items) => match as_json() {
            Some(Value::Array(list)) => Some(Value::Array(list)),
            _ if items.first().is_none_or(Value::is_string) => Some(comma_separated(text)),
            _ => None,
        },
    };
    fitting.unwrap_or_else(|| Value::String(text.to_owned()))
}

fn comma_separated(text: &str) -> Value {
    let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    items.map(|item| Value::String(item.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn tree(variables: &[(&str, &str)]) -> Result<Value, Vec<String>> {
        let environment = Environment::of(variables.iter().copied());
        of_environment(&environment, &Known::new())
            .map_err(|found| found.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn each_type_is_read_from_a_variable() {
        let made = tree(&[
            ("CONDUIT__SERVER__LISTEN", "0.0.0.0:80"),
            ("CONDUIT__server__stop_notice_ms", "500"),
            ("CONDUIT__HUBS__BENCH__ENABLED", "true"),
            ("CONDUIT__HUBS__BENCH__TRANSPORTS", "WebSockets, LongPolling"),
            ("CONDUIT__CORS__ORIGINS", r#"["https://a", "https://b"]"#),
            ("CONDUIT__AUTH__DEVELOPMENT_KEY", "12345"),
            ("CONDUIT__AUTH__SERVICE_KEYS", r#"[{"name":"a","sha256":"b"}]"#),
            ("CONDUIT_CONFIG", "x.toml"),
            ("PATH", "/bin"),
        ]);
        assert_eq!(
            made,
            Ok(json!({
                "server": {"listen": "0.0.0.0:80", "stop_notice_ms": 500},
                "hubs": {"bench": {"enabled": true, "transports": ["WebSockets", "LongPolling"]}},
                "cors": {"origins": ["https://a", "https://b"]},
                "auth": {"development_key": "12345", "service_keys": [{"name": "a", "sha256": "b"}]},
            }))
        );
    }

    #[test]
    fn an_unknown_variable_is_refused_with_the_nearest_known_name() {
        assert_eq!(
            tree(&[("CONDUIT__SERVER__LISEN", "x")]),
            Err(vec![
                "CONDUIT__SERVER__LISEN: server.lisen is not known; did you mean server.listen?"
                    .to_owned()
            ])
        );
    }

    #[test]
    fn tables_are_merged_and_lists_replaced() {
        let mut under = json!({"a": {"b": 1, "c": [1, 2]}});
        lay(json!({"a": {"c": [3]}, "d": 4}), &mut under);
        assert_eq!(under, json!({"a": {"b": 1, "c": [3]}, "d": 4}));
    }
}
