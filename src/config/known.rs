//! Which keys there are and of what type, and which known name is nearest to an unknown one.

use serde_json::Value;

use super::gathered::Config;
use crate::model::BadSetting;

/// All keys: a configuration with one of everything, as a tree.
pub(super) struct Known(Value);

impl Known {
    pub(super) fn new() -> Self {
        // The settings are plain data, so this cannot fail; an empty tree would know no key.
        Self(serde_json::to_value(Config::example()).unwrap_or_default())
    }

    pub(super) fn root(&self) -> &Value {
        &self.0
    }

    /// Every key of the tree must be known, and of the known type.
    pub(super) fn check(&self, tree: &Value) -> Vec<BadSetting> {
        let mut found = Vec::new();
        self.compare(tree, &self.0, "", &mut found);
        found
    }

    fn compare(&self, own: &Value, known: &Value, at: &str, found: &mut Vec<BadSetting>) {
        match (own, known) {
            (Value::Object(own), Value::Object(keys)) => {
                for (key, value) in own {
                    match keys.get(key) {
                        Some(known) => self.compare(value, known, &join(at, key), found),
                        None => found.push(self.unknown(at, key)),
                    }
                }
            }
            (Value::Array(own), Value::Array(known)) => {
                let Some(item) = known.first() else { return };
                for (index, value) in own.iter().enumerate() {
                    self.compare(value, item, &format!("{at}[{index}]"), found);
                }
            }
            (Value::Bool(_), Value::Bool(_)) | (Value::String(_), Value::String(_)) => {}
            (Value::Number(own), Value::Number(_)) if own.is_u64() => {}
            _ => found.push(BadSetting::new(at, format!("must be {}", type_of(known)))),
        }
    }

    /// The problem of a key that nobody has, with the nearest that somebody has.
    pub(super) fn unknown(&self, at: &str, key: &str) -> BadSetting {
        let mut nearest: Option<(usize, String)> = None;
        visit(&self.0, "", &mut |place, name| {
            // A key of the same table is a little nearer than one that is elsewhere.
            let elsewhere = usize::from(place != at);
            let distance = 2 * strsim::levenshtein(&key.to_lowercase(), name) + elsewhere;
            if nearest.as_ref().is_none_or(|(least, _)| distance < *least) {
                nearest = Some((distance, join(place, name)));
            }
        });
        let name = nearest.map(|(_, name)| name).unwrap_or_default();
        BadSetting::new(join(at, key), format!("is not known; did you mean {name}?"))
    }
}

/// `section.key`.
pub(super) fn join(at: &str, key: &str) -> String {
    if at.is_empty() { key.to_owned() } else { format!("{at}.{key}") }
}

/// Tells every key with the place where it stands.
fn visit(known: &Value, at: &str, tell: &mut impl FnMut(&str, &str)) {
    match known {
        Value::Object(keys) => {
            for (key, value) in keys {
                tell(at, key);
                visit(value, &join(at, key), tell);
            }
        }
        Value::Array(items) => {
            for item in items {
                visit(item, &format!("{at}[0]"), tell);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn type_of(known: &Value) -> &'static str {
    match known {
        Value::Object(_) => "a table",
        Value::Array(_) => "a list",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a whole number, not negative",
        Value::String(_) | Value::Null => "a text in quotes",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn assert_refused(tree: &Value, expected: &str) {
        let texts: Vec<_> = Known::new().check(tree).iter().map(ToString::to_string).collect();
        assert_eq!(texts, [expected]);
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_known_one() {
        for (tree, expected) in [
            (
                json!({"server": {"lisen": ""}}),
                "server.lisen is not known; did you mean server.listen?",
            ),
            (json!({"servre": {}}), "servre is not known; did you mean server?"),
            (json!({"listen": ""}), "listen is not known; did you mean server.listen?"),
            (
                json!({"hubs": {"tasks": {"keep_alive": 1}}}),
                "hubs.tasks.keep_alive is not known; did you mean hubs.tasks.keep_alive_ms?",
            ),
            (json!({"hubs": {"task": {}}}), "hubs.task is not known; did you mean hubs.tasks?"),
            (
                json!({"auth": {"virtual_keys": [{"sha265": ""}]}}),
                "auth.virtual_keys[0].sha265 is not known; did you mean auth.virtual_keys[0].sha256?",
            ),
        ] {
            assert_refused(&tree, expected);
        }
    }

    #[test]
    fn a_value_of_another_type_is_refused_and_not_repeated() {
        for (tree, expected) in [
            (
                json!({"server": {"stop_notice_ms": "soon"}}),
                "server.stop_notice_ms must be a whole number, not negative",
            ),
            (
                json!({"server": {"stop_notice_ms": -1}}),
                "server.stop_notice_ms must be a whole number, not negative",
            ),
            (json!({"server": "x"}), "server must be a table"),
            (json!({"cors": {"origins": "x"}}), "cors.origins must be a list"),
            (
                json!({"hubs": {"bench": {"enabled": 1}}}),
                "hubs.bench.enabled must be true or false",
            ),
            (
                json!({"auth": {"development_key": 5}}),
                "auth.development_key must be a text in quotes",
            ),
        ] {
            assert_refused(&tree, expected);
        }
    }

    #[test]
    fn what_is_known_passes() {
        let known = Known::new();
        assert_eq!(known.check(known.root()), []);
    }
}
