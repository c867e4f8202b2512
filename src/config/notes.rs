//! What is worth saying about a configuration that is good.

use std::collections::BTreeMap;

use super::gathered::Config;
use crate::model::BadSetting;

/// Keys of one section that a note names; of the rest it gives the number.
const NAMED_MAX: usize = 6;

/// Remarks for whoever starts the server or checks its configuration. None repeats a value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// What was left out on purpose.
    pub told: Vec<String>,
    /// What is probably not meant.
    pub warnings: Vec<String>,
    /// Settings that were given and change nothing.
    pub without_effect: Vec<String>,
    /// Keys that the sources set.
    given: Vec<String>,
    /// Under which name a file set one of our keys, when it was not ours.
    names: BTreeMap<String, Foreign>,
    /// The file that has other names for our keys.
    file: Option<String>,
}

/// What a file calls one of our keys.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Foreign {
    name: String,
    /// Its unit in ours.
    unit: u64,
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

    /// A file sets our key under another name, in a unit that is so much of ours.
    pub(super) fn named(&mut self, key: &str, name: &str, unit: u64) {
        self.names.insert(key.to_owned(), Foreign { name: name.to_owned(), unit });
    }

    /// Not the file sets it, but a variable.
    pub(super) fn overridden(&mut self, key: &str) {
        self.names.remove(key);
    }

    /// A key was given by a file or a variable.
    pub(super) fn given(&mut self, key: String) {
        self.given.push(key);
    }

    /// Notes which of the given keys nothing follows in this configuration: one line a section.
    pub(super) fn weigh(&mut self, config: &Config) {
        let given = std::mem::take(&mut self.given);
        let off = (!config.store.enabled).then_some("store.enabled is false");
        let idle = [
            ("batching", Some("batching is not part of this version")),
            ("delivery", off),
            ("session", off),
        ];
        for (section, why) in idle {
            let Some(why) = why else { continue };
            let is_of = |key: &&String| key.split('.').next() == Some(section);
            let mut names: Vec<_> =
                given.iter().filter(is_of).map(|key| self.name_of(key)).collect();
            names.sort();
            if names.is_empty() {
                continue;
            }
            let told: Vec<_> = names.iter().take(NAMED_MAX).map(String::as_str).collect();
            let more = match names.len() - told.len() {
                0 => String::new(),
                count => format!(" and {count} more"),
            };
            let note = format!("without effect, because {why}: {}{more}", told.join(", "));
            self.without_effect(note);
        }
    }

    /// Our key, behind the name that the file has for it.
    fn name_of(&self, key: &str) -> String {
        match self.names.get(key) {
            Some(Foreign { name, .. }) => format!("{name} ({key})"),
            None => key.to_owned(),
        }
    }

    /// A problem in the words of the file that has it: its own name, its name for the key, its unit.
    pub(super) fn in_words_of_the_file(&self, bad: &mut BadSetting) {
        let Some(foreign) = self.names.get(&bad.field) else { return };
        bad.count_in(foreign.unit);
        let file = self.file.as_ref().map(|file| format!("{file}: ")).unwrap_or_default();
        bad.field = format!("{file}{}", self.name_of(&bad.field));
    }

    /// The file's name before each remark so far.
    pub(super) fn of_file(&mut self, file: &std::path::Path) {
        self.file = Some(file.display().to_string());
        let all = [&mut self.told, &mut self.warnings, &mut self.without_effect];
        for note in all.into_iter().flatten() {
            *note = format!("{}: {note}", file.display());
        }
    }
}
