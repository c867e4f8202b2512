//! The floor plan, checked.
//!
//! `docs/architecture.md` tells people who may import whom; this test tells the compiler's
//! younger brother. A new arrow is added here in the same commit that needs it, or not at all.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

const FILE_LINES_MAX: usize = 400;

/// Room → the rooms it may import. Every arrow points to a line above.
/// Rooms that are not built yet keep their place.
const FLOOR_PLAN: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("timing", &[]),
    ("protocol", &["model"]),
    ("auth", &["model", "timing"]),
    ("connections", &["model", "protocol"]),
    ("backplane", &["model", "protocol", "timing"]),
    ("store", &["model", "timing"]),
    ("client", &["model", "timing", "protocol"]),
    ("transport", &["model", "auth", "connections"]),
    ("delivery", &["model", "timing", "protocol", "connections", "backplane", "store"]),
    ("hub", &["model", "timing", "protocol", "auth", "connections", "delivery"]),
    ("conduit", &["model", "auth", "delivery", "hub"]),
    ("publish", &["model", "auth", "delivery"]),
    ("observability", &["model", "connections", "backplane", "store", "delivery"]),
    ("console", &["model", "auth", "observability"]),
    ("load", &["model", "timing", "client"]),
];

/// The roof: it may look into every room, and no room may look up at it.
const ROOF: &[&str] = &["config", "server", "cli", "main", "lib"];

#[test]
fn arrows_point_one_way() {
    let mut above: Vec<&str> = Vec::new();
    for (room, imports) in FLOOR_PLAN {
        for import in *imports {
            assert!(above.contains(import), "{room} → {import} points down or in a circle");
        }
        above.push(room);
    }
}

#[test]
fn every_file_belongs_to_a_room_or_the_roof() {
    let plan: BTreeMap<_, _> = FLOOR_PLAN.iter().copied().collect();
    let strangers: Vec<String> = sources("src")
        .into_iter()
        .filter(|(path, _)| {
            let room = room_of(path);
            !plan.contains_key(room.as_str()) && !ROOF.contains(&room.as_str())
        })
        .map(|(path, _)| path.display().to_string())
        .collect();
    assert!(strangers.is_empty(), "not in the plan: {strangers:?}");
}

#[test]
fn no_room_imports_what_the_plan_forbids() {
    let plan: BTreeMap<_, _> = FLOOR_PLAN.iter().copied().collect();
    let mut wrongs = Vec::new();
    for (path, text) in sources("src") {
        let Some((room, allowed)) = plan.get_key_value(room_of(&path).as_str()) else {
            continue;
        };
        for (index, line) in text.lines().enumerate() {
            for imported in imports_of(line) {
                let ours = plan.contains_key(imported) || ROOF.contains(&imported);
                if ours && imported != *room && !allowed.contains(&imported) {
                    wrongs.push(format!("{}:{} imports {imported}", path.display(), index + 1));
                }
            }
        }
    }
    assert!(wrongs.is_empty(), "\n{}\n", wrongs.join("\n"));
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent: Vec<String> = ["src", "tests", "examples", "benches", "fuzz/fuzz_targets"]
        .into_iter()
        .flat_map(sources)
        .filter(|(_, text)| !text.starts_with("//! "))
        .map(|(path, _)| path.display().to_string())
        .collect();
    assert!(silent.is_empty(), "no opening line: {silent:?}");
}

#[test]
fn no_file_is_too_long_to_read_at_once() {
    let long: Vec<String> = ["src", "tests", "examples", "benches", "fuzz/fuzz_targets"]
        .into_iter()
        .flat_map(sources)
        .filter(|(_, text)| text.lines().count() > FILE_LINES_MAX)
        .map(|(path, text)| format!("{}: {} lines", path.display(), text.lines().count()))
        .collect();
    assert!(long.is_empty(), "\n{}\n", long.join("\n"));
}

#[test]
fn a_grouped_import_is_written_one_path_per_line() {
    // `use crate::{a, b}` would hide rooms from `imports_of`; the roof may import all of them.
    for (path, text) in sources("src") {
        let roof = ROOF.contains(&room_of(&path).as_str());
        assert!(roof || !text.contains("use crate::{"), "{}", path.display());
    }
}

/// The rooms named by `crate::` paths in a line of code; comments do not import.
fn imports_of(line: &str) -> impl Iterator<Item = &str> {
    let code = line.split("//").next().unwrap_or_default();
    code.split("crate::").skip(1).map(|rest| {
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        &rest[..end]
    })
}

/// `src/delivery/retry.rs` and `src/delivery.rs` both belong to `delivery`.
fn room_of(path: &Path) -> String {
    let inside = path.strip_prefix("src").unwrap();
    let first = inside.components().next().unwrap().as_os_str().to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

/// The Rust files below a folder of the project, by their path inside it; none when it does not exist.
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut folders = vec![root.join(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(root).unwrap().to_owned(), text));
            }
        }
    }
    found.sort();
    found
}

/// `docs/delivery-defects.md` names the tests that would catch each defect; they must be there.
#[test]
fn every_test_that_the_defects_name_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let table = fs::read_to_string(root.join("docs/delivery-defects.md")).unwrap();
    let code: String =
        ["src", "tests"].into_iter().flat_map(sources).map(|(_, text)| text).collect();
    let rows = table.lines().filter(|line| line.starts_with("| R"));
    let mut named = 0;
    for row in rows {
        let tests = row.trim_end_matches('|').rsplit('|').next().unwrap_or_default();
        for name in tests.split('`').skip(1).step_by(2) {
            assert!(code.contains(&format!("fn {name}(")), "no test is called {name}");
            named += 1;
        }
    }
    assert!(named >= 12, "each defect has a test");
}
