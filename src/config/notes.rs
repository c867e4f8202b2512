//! What is worth saying about a configuration that is good.

use std::collections::BTreeMap;

/// Sections whose settings are read, checked and carried, while what would follow them is not built.
const NOT_YET: &[(&str, &str)] = &[
    ("delivery", "acknowledged delivery is not part of this version"),
    ("batching", "batching is not part of this version"),
];

/// Remarks for whoever starts the server or checks its configuration. None repeats a value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// What was left out on purpose.
    pub told: Vec<String>,
    /// What is probably not meant.
    pub warnings: Vec<String>,
    /// Settings that were given and change nothing.
    pub without_effect: Vec<String>,
    /// Under which name a file set one of our keys, when it was not ours.
    names: BTreeMap<String, String>,
}

impl Notes {
    pub(super) fn tell(&mut self, note: String) {
        self.told.push(note);
    }

    pub(super) fn warn(&mut self, note: String) {
        self.warnings.push(note);
    }

    pub(super) fn without_effect(&mut self, note: String) {
        self.without_effect.push(note);
    }

    pub(super) fn named(&mut self, key: &str, name: &str) {
        self.names.insert(key.to_owned(), name.to_owned());
    }

    /// A key was given; notes it when nothing follows it yet.
    pub(super) fn given(&mut self, key: &str) {
        let section = key.split('.').next().unwrap_or(key);
        let Some((_, why)) = NOT_YET.iter().find(|(name, _)| *name == section) else { return };
        self.without_effect.push(format!("{} has no effect yet: {why}", self.name_of(key)));
    }

    /// Our key, behind the name that the file has for it.
    pub(super) fn name_of(&self, key: &str) -> String {
        match self.names.get(key) {
            Some(name) => format!("{name} ({key})"),
            None => key.to_owned(),
        }
    }

    /// The file's name before each remark so far.
    pub(super) fn of_file(&mut self, file: &std::path::Path) {
        let all = [&mut self.told, &mut self.warnings, &mut self.without_effect];
        for note in all.into_iter().flatten() {
            *note = format!("{}: {note}", file.display());
        }
    }
}
