//! The name of a group with places for what is known about a call: `vkey-{virtual_key_id}-{0}`.

use std::fmt::Write;

use crate::model::Caller;

/// A group's name is remembered per member, so its length is bounded.
pub(super) const GROUP_BYTES_MAX: usize = 1_024;

/// A text with places in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// A fact about the caller.
    Claim(String),
    /// An argument of the call, by its place.
    Argument(usize),
}

impl Template {
    /// Reads a template for a method with so many parameters.
    pub(super) fn parse(text: &str, parameters: usize) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let Some((name, after)) = after.split_once('}') else {
                return Err(format!("{text:?} has a brace without an end"));
            };
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            pieces.push(place(name, parameters).ok_or_else(|| {
                format!("{text:?}: {name:?} is neither a claim nor one of {parameters} parameters")
            })?);
            rest = after;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Ok(Self(pieces))
    }

    /// Whether the name holds a fact about the caller, so that it is the caller's own.
    pub(super) fn is_own(&self) -> bool {
        self.0.iter().any(|piece| matches!(piece, Piece::Claim(_)))
    }

    /// Whether the name depends on what the client says.
    pub(super) fn has_arguments(&self) -> bool {
        self.0.iter().any(|piece| matches!(piece, Piece::Argument(_)))
    }

    /// The arguments of every call that gives this name, for a method with so many parameters. A
    /// parameter that the name does not show is an empty text.
    pub(super) fn calls_of(
        &self,
        name: &str,
        caller: &Caller,
        parameters: usize,
    ) -> Vec<Vec<String>> {
        let mut found = Vec::new();
        split(&self.0, name, caller, &vec![None; parameters], &mut found);
        found
    }

    /// The name for a call. Errors when the caller lacks a claim, or the name would be too long.
    pub(super) fn fill(&self, caller: &Caller, arguments: &[String]) -> Result<String, String> {
        let mut name = String::new();
        for piece in &self.0 {
            let part = match piece {
                Piece::Text(text) => text,
                Piece::Claim(claim) => caller
                    .claim(claim)
                    .ok_or_else(|| format!("the caller has no claim '{claim}'"))?,
                Piece::Argument(index) => arguments.get(*index).map_or("", String::as_str),
            };
            // Writing to a text cannot fail.
            let _ = name.write_str(part);
            if name.len() > GROUP_BYTES_MAX {
                return Err(format!("a group's name may have at most {GROUP_BYTES_MAX} bytes"));
            }
        }
        Ok(name)
    }
}

/// Finds every way to cut a name at the pieces. Names and templates are short.
fn split(
    pieces: &[Piece],
    rest: &str,
    caller: &Caller,
    arguments: &[Option<String>],
    found: &mut Vec<Vec<String>>,
) {
    let Some((first, others)) = pieces.split_first() else {
        if rest.is_empty() {
            found.push(arguments.iter().map(|own| own.clone().unwrap_or_default()).collect());
        }
        return;
    };
    let known = match first {
        Piece::Text(text) => Some(text.as_str()),
        Piece::Claim(claim) => match caller.claim(claim) {
            Some(value) => Some(value),
            None => return,
        },
        Piece::Argument(index) => arguments.get(*index).and_then(Option::as_deref),
    };
    if let Some(known) = known {
        if let Some(rest) = rest.strip_prefix(known) {
            split(others, rest, caller, arguments, found);
        }
        return;
    }
    let Piece::Argument(index) = first else { return };
    let ends = rest.char_indices().map(|(end, _)| end).chain([rest.len()]);
    // The last piece takes all there is.
    let ends = ends.filter(|end| !others.is_empty() || *end == rest.len());
    for end in ends {
        let mut with = arguments.to_vec();
        if let Some(own) = with.get_mut(*index) {
            *own = Some(rest[..end].to_owned());
        }
        split(others, &rest[end..], caller, &with, found);
    }
}

fn place(name: &str, parameters: usize) -> Option<Piece> {
    if let Ok(index) = name.parse::<usize>() {
        return (index < parameters).then_some(Piece::Argument(index));
    }
    let is_claim = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    (!name.is_empty() && name.bytes().all(is_claim)).then(|| Piece::Claim(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller() -> Caller {
        let mut caller = Caller::of_user("7");
        caller.claims.insert("virtual_key_id".into(), "7".into());
        caller
    }

    #[test]
    fn places_are_filled_from_the_caller_and_the_arguments() {
        let arguments = ["image".to_owned(), "x{0}".to_owned()];
        for (text, expected) in [
            ("all", "all"),
            ("vkey-{virtual_key_id}", "vkey-7"),
            ("vkey-{virtual_key_id}-{0}", "vkey-7-image"),
            ("{1}{0}", "x{0}image"),
        ] {
            let template = Template::parse(text, 2).unwrap();
            assert_eq!(template.fill(&caller(), &arguments).unwrap(), expected);
        }
    }

    #[test]
    fn a_place_that_nothing_can_fill_is_refused_when_it_is_read() {
        for text in ["{1}", "{", "{}", "{Key}", "{a b}"] {
            assert!(Template::parse(text, 1).is_err(), "{text}");
        }
    }

    #[test]
    fn the_calls_behind_a_name_are_found_from_the_name() {
        let calls = |template: &str, name: &str| {
            Template::parse(template, 2).unwrap().calls_of(name, &caller(), 2)
        };
        assert_eq!(calls("task-{0}", "task-9"), [["9", ""]]);
        assert_eq!(calls("vkey-{virtual_key_id}-{0}", "vkey-7-image"), [["image", ""]]);
        assert_eq!(calls("{0}-{1}", "a-b-c"), [["a", "b-c"], ["a-b", "c"]]);
        assert_eq!(calls("{0}={0}", "x=x"), [["x", ""]]);
        for (template, name) in [
            ("task-{0}", "tasks"),
            ("vkey-{virtual_key_id}-{0}", "vkey-8-image"),
            ("{0}={0}", "x=y"),
        ] {
            assert!(calls(template, name).is_empty(), "{template} {name}");
        }
    }

    #[test]
    fn a_missing_claim_and_a_name_without_end_make_no_group() {
        let template = Template::parse("{tenant}-{0}", 1).unwrap();
        assert!(template.fill(&caller(), &["x".to_owned()]).is_err());
        let template = Template::parse("task-{0}", 1).unwrap();
        assert!(template.fill(&caller(), &["x".repeat(GROUP_BYTES_MAX)]).is_err());
    }
}
