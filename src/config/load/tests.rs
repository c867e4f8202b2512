//! What a configuration promises to whoever writes it.

use super::*;
use crate::auth::hash_key;
use crate::config::HubConfig;
use crate::transport::TransportKind;

const GATEWAY: &str = include_str!("../../../config/gateway.toml");

/// A file that is gone when the test is over.
struct Written(PathBuf);

impl Written {
    fn new(extension: &str, text: &str) -> Self {
        let name = format!("conduit-config-{}.{extension}", uuid::Uuid::new_v4());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    fn overrides(&self) -> Overrides {
        Overrides { file: Some(self.0.clone()), ..Overrides::default() }
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        // Nothing depends on it.
        let _ = std::fs::remove_file(&self.0);
    }
}

fn load(text: &str) -> Result<Config, BadConfig> {
    Config::load(&Written::new("toml", text).overrides(), &Environment::default())
}

#[track_caller]
fn assert_refused(text: &str, expected: &str) {
    let problems = load(text).unwrap_err().problems;
    assert!(problems.iter().any(|problem| problem.contains(expected)), "{problems:?}");
}

#[test]
fn without_any_source_the_defaults_hold() {
    let config = Config::load(&Overrides::default(), &Environment::default()).unwrap();
    assert_eq!(config, Config::default());
    assert!(config.hub("bench").is_none(), "the bench hub is off");
    assert!(config.hub("tasks").is_some() && config.hub("enhanced-video-generation").is_some());
}

#[test]
fn the_file_in_the_repository_says_what_the_defaults_are() {
    assert_eq!(load(GATEWAY).unwrap(), Config::default());
}

/// Lines like `#key = …` are examples of what has no default; `# …` is prose.
#[test]
fn the_file_in_the_repository_has_every_key() {
    let uncommented: Vec<_> = GATEWAY
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if !rest.is_empty() && !rest.starts_with(' ') => rest,
            _ => line,
        })
        .collect();
    // An example replaces the empty default before it.
    let text = uncommented.join("\n").replace("\norigins = []\n", "\n");
    let tree = parse(&text, FileFormat::Toml).unwrap();
    let known = Known::new();
    assert_eq!(known.check(&tree), []);
    let missing = keys(known.root()).into_iter().filter(|key| !keys(&tree).contains(key));
    assert_eq!(missing.collect::<Vec<_>>(), Vec::<String>::new());
    load(&text).unwrap();
}

fn keys(tree: &Value) -> Vec<String> {
    let mut found = Vec::new();
    leaves(tree, &mut Vec::new(), &mut |path, leaf| {
        found.push(path.join("."));
        let item = leaf.as_array().and_then(|items| items.first()).and_then(Value::as_object);
        found
            .extend(item.into_iter().flatten().map(|(key, _)| format!("{}.{key}", path.join("."))));
    });
    found
}

#[test]
fn a_part_of_a_section_leaves_the_rest_at_its_defaults() {
    let config = load("[hubs.bench]\nkeep_alive_ms = 5000\n").unwrap();
    let expected = HubConfig { keep_alive_ms: 5_000, enabled: false, ..HubConfig::default() };
    assert_eq!(config.hubs["bench"], expected);
    assert_eq!(config.hubs["tasks"], HubConfig::default());
}

#[test]
fn toml_yaml_and_json_say_the_same() {
    for (extension, text) in [
        ("toml", "[hubs.tasks]\ntransports = [\"WebSockets\"]\n"),
        ("yaml", "hubs:\n  tasks:\n    transports: [WebSockets]\n"),
        ("yml", "hubs: {tasks: {transports: [WebSockets]}}\n"),
        ("json", r#"{"hubs":{"tasks":{"transports":["WebSockets"]}}}"#),
    ] {
        let file = Written::new(extension, text);
        let config = Config::load(&file.overrides(), &Environment::default()).unwrap();
        let transports = config.hubs["tasks"].transports;
        assert!(transports.allows(TransportKind::WebSockets), "{extension}");
        assert!(!transports.allows(TransportKind::LongPolling), "{extension}");
    }
}

#[test]
fn the_command_line_overrides_variables_and_these_the_file() {
    let file = Written::new("toml", "[server]\nlisten = \"127.0.0.1:1\"\nstop_notice_ms = 1\n");
    let name = file.0.to_str().unwrap();
    let environment = Environment::of([
        ("CONDUIT_CONFIG", name),
        ("CONDUIT__SERVER__STOP_NOTICE_MS", "2"),
        ("CONDUIT__SERVER__LISTEN", "127.0.0.1:2"),
        ("CONDUIT__HUBS__BENCH__ENABLED", "false"),
    ]);
    let listen = Some("127.0.0.1:3".to_owned());
    let overrides = Overrides { file: None, listen, bench_hub: true };
    let config = Config::load(&overrides, &environment).unwrap();
    assert_eq!(config.server.listen, "127.0.0.1:3");
    assert_eq!(config.server.stop_notice_ms, 2);
    assert!(config.hub("bench").is_some());
}

#[test]
fn a_bad_value_is_refused_also_where_the_command_line_overrides_it() {
    let file = Written::new("toml", "[server]\nlisten = \"nowhere\"\n");
    let overrides = Overrides { listen: Some("127.0.0.1:0".to_owned()), ..file.overrides() };
    assert!(Config::load(&overrides, &Environment::default()).is_err());
}

#[test]
fn keys_are_taken_from_the_file() {
    let hash = hash_key(b"k");
    let config = load(&format!(
        "[[auth.virtual_keys]]\nid = 7\nname = \"seven\"\nsha256 = \"{hash}\"\nadmin = true\n\
         [[auth.service_keys]]\nname = \"billing\"\nsha256 = \"{hash}\"\n"
    ));
    let auth = config.unwrap().auth;
    assert_eq!((auth.virtual_keys[0].id, auth.virtual_keys[0].admin), (7, true));
    assert_eq!(auth.service_keys[0].name, "billing");
}

#[test]
fn each_bad_value_is_refused_by_name_and_limit() {
    for (text, expected) in [
        ("[server]\nlisten = \"nowhere\"", "server.listen must be an address with a port"),
        ("[server]\nstop_notice_ms = 25001", "server.stop_notice_ms must be 0 to 25000, not 25001"),
        ("[server]\nstop_notice_ms = \"soon\"", "server.stop_notice_ms must be a whole number"),
        ("[server]\nlisen = \"\"", "server.lisen is not known; did you mean server.listen?"),
        ("[connections]\noutbox_messages_max = 0", "connections.outbox_messages_max must be 8 to"),
        (
            "[connections]\noutbox_bytes_max = 268435457",
            "connections.outbox_bytes_max must be 1024",
        ),
        ("[transport]\nsend_buffer_bytes = 0", "transport.send_buffer_bytes must be at least 1"),
        ("[transport]\nunacked_timeout_ms = 50", "must be 0, or from 1000 to 3600000"),
        ("[cors]\norigins = [\"*\"]", "cors.origins \"*\" is no origin"),
        ("[publish]\nbody_bytes_max = 1", "publish.body_bytes_max must be 1024 to 67108864, not 1"),
        (
            "[publish]\nrequests_per_second_max = 99999999999",
            "publish.requests_per_second_max cannot be used",
        ),
        ("[hubs.tasks]\nkeep_alive_ms = 0", "hubs.tasks.keep_alive_ms must be 100 to 86400000"),
        ("[hubs.tasks]\ntransports = []", "hubs.tasks.transports must have at least one"),
        ("[hubs.tasks]\ntransports = [\"Pigeons\"]", "hubs.tasks.transports cannot be used"),
        ("[[auth.virtual_keys]]\nid = 1\nname = \"a\"", "auth.virtual_keys[0].sha256 must be 64"),
        ("[server", "toml"),
    ] {
        assert_refused(text, expected);
    }
}

#[test]
fn every_problem_of_the_same_kind_is_told_at_once() {
    let problems = load("[server]\nlisen = 1\n[cros]\n").unwrap_err().problems;
    assert_eq!(problems.len(), 2, "{problems:?}");
}

#[test]
fn a_file_that_is_not_there_or_of_another_kind_is_refused_by_name() {
    for name in ["/nonexistent/gateway.toml", "/etc/hosts"] {
        let overrides = Overrides { file: Some(name.into()), ..Overrides::default() };
        let bad = Config::load(&overrides, &Environment::default()).unwrap_err();
        assert!(bad.to_string().contains(name), "{bad}");
    }
}

#[test]
fn a_problem_never_repeats_a_key() {
    let key = "condt_in_the_clear";
    let text = format!(
        "[auth]\ndevelopment_key = \"{key}\"\n[[auth.service_keys]]\nname = \"a\"\nsha256 = \"{key}\"\n"
    );
    let bad = load(&text).unwrap_err();
    assert_eq!(bad.problems.len(), 2);
    assert!(!format!("{bad} {bad:?}").contains(key));
}
