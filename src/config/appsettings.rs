//! The `SignalR` section of an ASP.NET `appsettings.json`, translated to our keys.
//!
//! Accepted are the block of the seed and Conduit's own names; `names` has them all. Both name some
//! settings differently: either works, and the seed's wins with a warning when both are given.
//! Other sections are none of our business; unknown keys inside ours are refused.
//!
//! As .NET reads it: names in any letter case, `A:B` for `A` with `B` in it, numbers also in
//! quotes, comments and commas too many.

mod names;
mod relaxed;

use std::path::Path;

use serde_json::{Map, Value};

use super::notes::Notes;
use super::overlay::{branch, lay};
use crate::model::BadSetting;
use names::{NAMES, Name, Unit};

const SECTION: &str = "SignalR";
/// Other sections that are told by name; of the rest only the number.
const TOLD_MAX: usize = 20;

/// Whether the file is one of ASP.NET's: by its name, or by the section in it.
pub(super) fn is_meant(file: &Path, text: &str) -> bool {
    let json = file.extension().is_some_and(|own| own.eq_ignore_ascii_case("json"));
    let named = file
        .file_stem()
        .and_then(|stem| stem.to_str())
        .is_some_and(|stem| stem.to_lowercase().starts_with("appsettings"));
    let has_section = || relaxed::parse(text).is_ok_and(|root| section(&root).is_some());
    json && (named || has_section())
}

/// The tree of our keys that the file sets.
pub(super) fn read(text: &str, notes: &mut Notes) -> Result<Value, Vec<BadSetting>> {
    let root = relaxed::parse(text)
        .map_err(|error| vec![BadSetting::new("the file", format!("is no JSON: {error}"))])?;
    if !root.is_object() {
        return Err(vec![BadSetting::new("the file", "must be a JSON object")]);
    }
    tell_ignored(&root, notes);
    let mut tree = Value::Object(Map::new());
    let Some(own) = section(&root) else {
        notes.warn(format!("there is no {SECTION} section: nothing is read from this file"));
        return Ok(tree);
    };
    let mut given = Vec::new();
    let mut found = Vec::new();
    collect(&own, "", &mut given, &mut found);
    // The last of one name counts, as in .NET; the order of the table decides between two names.
    let mut chosen: Vec<(&Name, &Value)> = Vec::new();
    for name in NAMES {
        let Some((_, value)) = given.iter().rev().find(|(own, _)| *own == name.path) else {
            continue;
        };
        let same = chosen.iter().find(|(other, _)| other.key == name.key && name.key.is_some());
        match same {
            Some((winner, _)) => notes.warn(format!(
                "{SECTION}:{} is ignored: {SECTION}:{} sets the same",
                name.path, winner.path
            )),
            None => chosen.push((name, *value)),
        }
        // A loser must be sound, too.
        if let Err(problem) = name.translate(value) {
            found.push(problem);
        }
    }
    if !found.is_empty() {
        return Err(found);
    }
    for (name, value) in chosen {
        let Ok(value) = name.translate(value) else { continue };
        match name.key {
            Some(key) => {
                for path in name.places(key) {
                    let parts: Vec<_> = path.split('.').collect();
                    lay(branch(&parts, value.clone()), &mut tree);
                    notes.named(&path, &format!("{SECTION}:{}", name.path), name.factor());
                }
            }
            None => notes
                .without_effect(format!("{SECTION}:{} has no effect: {}", name.path, name.why_not)),
        }
    }
    Ok(tree)
}

/// What is in our section, `SignalR:…` at the root included.
fn section(root: &Value) -> Option<Value> {
    let keys = root.as_object()?;
    let mut own = Value::Object(Map::new());
    let mut is_there = false;
    for (key, value) in keys {
        let (first, rest) = key.split_once(':').unwrap_or((key, ""));
        if !first.eq_ignore_ascii_case(SECTION) {
            continue;
        }
        is_there = true;
        if rest.is_empty() {
            lay(value.clone(), &mut own);
        } else {
            lay(branch(&[rest], value.clone()), &mut own);
        }
    }
    is_there.then_some(own)
}

/// Every value with its known name; what has none is a problem.
fn collect<'a>(
    tree: &'a Value,
    at: &str,
    given: &mut Vec<(&'static str, &'a Value)>,
    found: &mut Vec<BadSetting>,
) {
    // As in .NET: a section of nothing.
    if tree.is_null() {
        return;
    }
    let Value::Object(keys) = tree else {
        found.push(BadSetting::new(full(at), "must be a section"));
        return;
    };
    for (key, value) in keys {
        let path = if at.is_empty() { key.clone() } else { format!("{at}:{key}") };
        if let Some(name) = NAMES.iter().find(|name| name.path.eq_ignore_ascii_case(&path)) {
            given.push((name.path, value));
        } else if names::is_section(&path) {
            collect(value, &path, given, found);
        } else {
            let problem = match names::nearest(&path) {
                Some(nearest) => format!("is not known; did you mean {SECTION}:{nearest}?"),
                None => "is not known".to_owned(),
            };
            found.push(BadSetting::new(full(&path), problem));
        }
    }
}

fn full(path: &str) -> String {
    if path.is_empty() { SECTION.to_owned() } else { format!("{SECTION}:{path}") }
}

fn tell_ignored(root: &Value, notes: &mut Notes) {
    let Some(keys) = root.as_object() else { return };
    let others: Vec<_> = keys
        .keys()
        .filter(|key| !key.split(':').next().unwrap_or(key).eq_ignore_ascii_case(SECTION))
        .map(String::as_str)
        .collect();
    if others.is_empty() {
        return;
    }
    let told = others.iter().take(TOLD_MAX).copied().collect::<Vec<_>>().join(", ");
    let more = match others.len().saturating_sub(TOLD_MAX) {
        0 => String::new(),
        count => format!(" and {count} more"),
    };
    notes.tell(format!("only {SECTION} is read; other sections are ignored: {told}{more}"));
}

impl Name {
    /// Its unit in ours.
    fn factor(&self) -> u64 {
        match self.unit {
            Unit::Number { factor, .. } => factor,
            Unit::Bool => 1,
        }
    }

    /// The value in our unit.
    fn translate(&self, value: &Value) -> Result<Value, BadSetting> {
        match self.unit {
            Unit::Bool => {
                let text = value.as_str().map(str::to_lowercase);
                let read = value.as_bool().or_else(|| text.as_deref()?.parse().ok());
                let problem = || BadSetting::new(full(self.path), "must be true or false");
                read.map(Value::from).ok_or_else(problem)
            }
            Unit::Number { factor, min, max } => {
                let read = value.as_u64().or_else(|| value.as_str()?.trim().parse().ok());
                let Some(number) = read else {
                    let problem = format!("must be a whole number, {min} to {max}");
                    return Err(BadSetting::new(full(self.path), problem));
                };
                match BadSetting::outside(full(self.path), number, min..=max) {
                    Some(problem) => Err(problem),
                    None => Ok(Value::from(number * factor)),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
