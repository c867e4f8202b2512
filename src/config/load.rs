//! From sources to a checked configuration.

use std::fmt;
use std::path::{Path, PathBuf};

use config::{File, FileFormat, Source};
use serde::Deserialize;
use serde_json::Value;

use super::appsettings;
use super::environment::Environment;
use super::gathered::Config;
use super::known::Known;
use super::notes::Notes;
use super::overlay::{branch, lay, leaves, of_environment};
use crate::model::BadSetting;

/// Names the file when the command line does not.
const FILE_VARIABLE: &str = "CONDUIT_CONFIG";

/// What the command line sets; it has the last word.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--config`.
    pub file: Option<PathBuf>,
    /// `--listen`.
    pub listen: Option<String>,
    /// `--bench-hub`.
    pub bench_hub: bool,
}

/// A configuration that can be used, and what is worth saying about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// For whoever starts the server.
    pub notes: Notes,
}

/// A configuration that cannot be used: everything that is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadConfig {
    /// One sentence each; at least one.
    pub problems: Vec<String>,
}

impl fmt::Display for BadConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problems.join("\n"))
    }
}

impl std::error::Error for BadConfig {}

impl From<Vec<BadSetting>> for BadConfig {
    fn from(found: Vec<BadSetting>) -> Self {
        Self { problems: found.iter().map(ToString::to_string).collect() }
    }
}

impl Config {
    /// Reads and checks everything. Without `--config` and `CONDUIT_CONFIG` no file is read.
    pub fn load(overrides: &Overrides, environment: &Environment) -> Result<Self, BadConfig> {
        Self::load_with_notes(overrides, environment).map(|loaded| loaded.config)
    }

    /// The same, with what is worth saying about it.
    pub fn load_with_notes(
        overrides: &Overrides,
        environment: &Environment,
    ) -> Result<Loaded, BadConfig> {
        let known = Known::new();
        let mut notes = Notes::default();
        let mut tree = Value::Object(serde_json::Map::new());
        let named = environment.get(FILE_VARIABLE).map(PathBuf::from);
        if let Some(file) = overrides.file.clone().or(named) {
            let own = read_file(&file, &mut notes)?;
            refuse(known.check(&own)).map_err(|bad| bad.of_file(&file))?;
            lay(own, &mut tree);
        }
        let variables = of_environment(environment, &known)?;
        leaves(&variables, &mut Vec::new(), &mut |path, _| notes.overridden(&path.join(".")));
        lay(variables, &mut tree);
        leaves(&tree, &mut Vec::new(), &mut |path, _| notes.given(path.join(".")));
        refuse(known.check(&tree))?;
        // Before the command line has its say: a bad value is bad also where it is overridden.
        let mut found = on_defaults(&tree)?.check();
        found.iter_mut().for_each(|bad| notes.in_words_of_the_file(bad));
        refuse(found)?;
        if let Some(listen) = &overrides.listen {
            lay(branch(&["server", "listen"], Value::from(listen.as_str())), &mut tree);
        }
        if overrides.bench_hub {
            lay(branch(&["hubs", "bench", "enabled"], Value::from(true)), &mut tree);
        }
        let config = on_defaults(&tree)?;
        refuse(config.check())?;
        notes.weigh(&config);
        Ok(Loaded { config, notes })
    }
}

impl BadConfig {
    fn one(problem: String) -> Self {
        Self { problems: vec![problem] }
    }

    fn of_file(self, file: &Path) -> Self {
        let named = |problem| format!("{}: {problem}", file.display());
        Self { problems: self.problems.into_iter().map(named).collect() }
    }
}

fn refuse(found: Vec<BadSetting>) -> Result<(), BadConfig> {
    if found.is_empty() { Ok(()) } else { Err(found.into()) }
}

/// The settings of the tree, and the defaults for the rest.
fn on_defaults(tree: &Value) -> Result<Config, BadConfig> {
    let defaults = serde_json::to_value(Config::default()).unwrap_or_default();
    let with = |over: Value| {
        let mut whole = defaults.clone();
        lay(over, &mut whole);
        serde_json::from_value::<Config>(whole)
    };
    let error = match with(tree.clone()) {
        Ok(config) => return Ok(config),
        Err(error) => error,
    };
    // The error does not say where. Types have been checked, so it is a number too large or an
    // unknown word in a list: each value alone shows which.
    let mut found = Vec::new();
    leaves(tree, &mut Vec::new(), &mut |path, leaf| {
        if let Err(error) = with(branch(path, leaf.clone())) {
            found.push(BadSetting::new(path.join("."), format!("cannot be used: {error}")));
        }
    });
    if found.is_empty() { Err(BadConfig::one(error.to_string())) } else { Err(found.into()) }
}

fn read_file(file: &Path, notes: &mut Notes) -> Result<Value, BadConfig> {
    let bad = |problem: String| BadConfig::one(problem).of_file(file);
    let extension = file.extension().and_then(|own| own.to_str()).unwrap_or_default();
    let format = match extension {
        "toml" => FileFormat::Toml,
        "yaml" | "yml" => FileFormat::Yaml,
        "json" => FileFormat::Json,
        _ => return Err(bad("the name must end in .toml, .yaml, .yml or .json".into())),
    };
    let text = std::fs::read_to_string(file).map_err(|error| bad(error.to_string()))?;
    if appsettings::is_meant(file, &text) {
        let read = appsettings::read(&text, notes);
        notes.of_file(file);
        return read.map_err(|found| BadConfig::from(found).of_file(file));
    }
    parse(&text, format).map_err(bad)
}

fn parse(text: &str, format: FileFormat) -> Result<Value, String> {
    let table = File::from_str(text, format).collect().map_err(|error| error.to_string())?;
    let value = config::Value::from(table);
    Value::deserialize(value).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests;
