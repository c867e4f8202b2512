//! What an `appsettings.json` promises to whoever brings one from ASP.NET.

use crate::config::{BadConfig, Config, Environment, Loaded, Overrides};

/// The seed's whole block.
const SEED: &str = r#"{ "SignalR": {
    "Acknowledgment": { "MessageTimeoutSeconds": 30, "MaxRetryAttempts": 3 },
    "Batching": {
        "WindowMs": 100, "MaxBatchSize": 50, "MaxBatchSizeBytes": 262144, "GroupByMethod": true
    },
    "Connection": { "StaleConnectionTimeoutMinutes": 60 },
    "MaximumReceiveMessageSize": 32768
} }"#;

const STORE: &str = "CONDUIT__STORE__ENABLED";

struct File(std::path::PathBuf);

impl File {
    fn new(name: &str, text: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("conduit-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(name), text).unwrap();
        Self(folder.join(name))
    }

    fn load(&self) -> Result<Loaded, BadConfig> {
        let overrides = Overrides { file: Some(self.0.clone()), ..Overrides::default() };
        Config::load_with_notes(&overrides, &Environment::default())
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // Nothing depends on it.
        let _ = std::fs::remove_dir_all(self.0.parent().unwrap());
    }
}

fn load(text: &str) -> Result<Loaded, BadConfig> {
    File::new("appsettings.json", text).load()
}

fn section(inner: &str) -> Result<Loaded, BadConfig> {
    load(&format!("{{ \"SignalR\": {inner} }}"))
}

#[track_caller]
fn assert_refused(inner: &str, expected: &str) {
    let problems = section(inner).unwrap_err().problems;
    assert!(problems.iter().any(|problem| problem.ends_with(expected)), "{problems:?}");
}

#[test]
fn the_seeds_block_says_what_the_defaults_are() {
    let Loaded { config, notes } = load(SEED).unwrap();
    assert_eq!(config, Config::default());
    assert_eq!(notes.warnings, Vec::<String>::new());
    assert_eq!(notes.told, Vec::<String>::new());
}

#[test]
fn every_name_sets_what_it_says() {
    let config = section(
        r#"{
            "MaximumReceiveMessageSize": 65536,
            "Acknowledgment": { "TimeoutSeconds": 7, "MaxRetryAttempts": 9 },
            "MessageQueue": {
                "MaxRetryAttempts": 1, "InitialRetryDelaySeconds": 4, "MaxRetryDelaySeconds": 5,
                "ProcessingBatchSize": 6, "ProcessingIntervalMs": 8,
                "CircuitBreakerFailureThreshold": 10, "CircuitBreakerDurationSeconds": 11
            },
            "ConnectionMonitor": { "StaleThresholdMinutes": 12, "CleanupIntervalMinutes": 2 },
            "Batching": {
                "WindowMs": 13, "MaxBatchSize": 14, "MaxBatchSizeBytes": 1500, "GroupByMethod": false
            }
        }"#,
    );
    let config = config.unwrap().config;
    assert!(config.hubs.values().all(|hub| hub.message_bytes_max == 65_536));
    let delivery = config.delivery;
    assert_eq!((delivery.ack_timeout_ms, delivery.retry_attempts_max), (7_000, 9));
    assert_eq!((delivery.queue_attempts_max, delivery.backoff_ms_min), (1, 4_000));
    assert_eq!((delivery.backoff_ms_max, delivery.processing_batch_size), (5_000, 6));
    assert_eq!((delivery.processing_interval_ms, delivery.breaker_failures_max), (8, 10));
    assert_eq!(delivery.breaker_open_ms, 11_000);
    let connections = config.connections;
    assert_eq!((connections.stale_after_ms, connections.stale_sweep_ms), (720_000, 120_000));
    let batching = config.batching;
    assert_eq!((batching.window_ms, batching.messages_max, batching.bytes_max), (13, 14, 1_500));
    assert!(!batching.group_by_method);
}

#[test]
fn of_two_names_for_one_setting_the_seeds_wins_and_the_other_is_named() {
    let Loaded { config, notes } = section(
        r#"{
            "Acknowledgment": { "TimeoutSeconds": 7, "MessageTimeoutSeconds": 8 },
            "ConnectionMonitor": { "StaleThresholdMinutes": 5 },
            "Connection": { "StaleConnectionTimeoutMinutes": 6 }
        }"#,
    )
    .unwrap();
    assert_eq!(config.delivery.ack_timeout_ms, 8_000);
    assert_eq!(config.connections.stale_after_ms, 360_000);
    let warnings = notes.warnings.join("\n");
    for (loser, winner) in [
        ("Acknowledgment:TimeoutSeconds", "Acknowledgment:MessageTimeoutSeconds"),
        ("ConnectionMonitor:StaleThresholdMinutes", "Connection:StaleConnectionTimeoutMinutes"),
    ] {
        let expected = format!("SignalR:{loser} is ignored: SignalR:{winner} sets the same");
        assert!(warnings.contains(&expected), "{warnings}");
    }
}

#[test]
fn other_sections_are_ignored_with_one_line() {
    let text = r#"{ "Logging": { "LogLevel": { "Default": "Warning" } }, "SignalR": {},
        "ConnectionStrings": { "Redis": "secret" }, "AllowedHosts": "*" }"#;
    let Loaded { config, notes } = load(text).unwrap();
    assert_eq!(config, Config::default());
    assert_eq!(notes.told.len(), 1);
    assert!(notes.told[0].contains("ignored: AllowedHosts, ConnectionStrings, Logging"));
    assert!(!format!("{notes:?}").contains("secret"));
}

#[test]
fn unknown_keys_and_impossible_values_are_refused_by_their_own_names() {
    for (inner, expected) in [
        (
            r#"{ "Batching": { "WindowMS2": 1 } }"#,
            "SignalR:Batching:WindowMS2 is not known; did you mean SignalR:Batching:WindowMs?",
        ),
        (
            r#"{ "Batchin": { "WindowMs": 1 } }"#,
            "SignalR:Batchin is not known; did you mean SignalR:Batching?",
        ),
        (
            r#"{ "MaximumReceiveMessageSiz": 1 }"#,
            "is not known; did you mean SignalR:MaximumReceiveMessageSize?",
        ),
        (
            r#"{ "Acknowledgment": { "MessageTimeoutSeconds": 0 } }"#,
            "SignalR:Acknowledgment:MessageTimeoutSeconds must be 1 to 3600, not 0",
        ),
        (
            r#"{ "MaximumReceiveMessageSize": null }"#,
            "SignalR:MaximumReceiveMessageSize must be a whole number, 1024 to 67108864",
        ),
        (
            r#"{ "Batching": { "GroupByMethod": 1 } }"#,
            "SignalR:Batching:GroupByMethod must be true or false",
        ),
        (r#""on""#, "SignalR must be a section"),
        (
            r#"{ "MessageQueue": { "InitialRetryDelaySeconds": 9, "MaxRetryDelaySeconds": 8 } }"#,
            "appsettings.json: SignalR:MessageQueue:InitialRetryDelaySeconds \
             (delivery.backoff_ms_min) must be 1 to 8, not 9",
        ),
        (
            r#"{ "MessageQueue": { "InitialRetryDelaySeconds": 60 } }"#,
            "appsettings.json: SignalR:MessageQueue:InitialRetryDelaySeconds \
             (delivery.backoff_ms_min) must be 1 to 32, not 60",
        ),
        (r#"{ "EnableDetailedErrors": true }"#, "SignalR:EnableDetailedErrors is not known"),
        // Also where the seed's name would win.
        (
            r#"{ "Acknowledgment": { "MessageTimeoutSeconds": 1, "TimeoutSeconds": "x" } }"#,
            "SignalR:Acknowledgment:TimeoutSeconds must be a whole number, 1 to 3600",
        ),
    ] {
        assert_refused(inner, expected);
    }
    for root in ["[1]", "7", "null"] {
        let problems = load(root).unwrap_err().problems;
        assert!(problems[0].ends_with("appsettings.json: the file must be a JSON object"));
    }
    let problems = load("{").unwrap_err().problems;
    assert!(problems[0].contains("appsettings.json: the file is no JSON"), "{problems:?}");
}

#[test]
fn a_section_may_be_empty_or_null() {
    for inner in [r#"{ "Acknowledgment": {} }"#, r#"{ "Acknowledgment": null }"#, "{}", "null"] {
        assert_eq!(section(inner).unwrap().config, Config::default(), "{inner}");
    }
}

#[test]
fn it_is_read_as_dotnet_reads_it() {
    let text = r#"{ // my server
        "signalr": { "BATCHING": { "windowms": "250", "GroupByMethod": "False", } },
        "SignalR:Acknowledgment:MaxRetryAttempts": 4,
        "SignalR:Connection": { "StaleConnectionTimeoutMinutes": 30 }
    }"#;
    let config = load(text).unwrap().config;
    assert_eq!((config.batching.window_ms, config.batching.group_by_method), (250, false));
    assert_eq!(config.delivery.retry_attempts_max, 4);
    assert_eq!(config.connections.stale_after_ms, 1_800_000);
}

#[test]
fn what_has_no_effect_is_said_and_what_has_one_is_not() {
    let file = File::new("appsettings.json", SEED);
    let with_store = |enabled: &str| {
        let variables = [("CONDUIT_CONFIG", file.0.to_str().unwrap()), (STORE, enabled)];
        let environment = Environment::of(variables);
        let loaded = Config::load_with_notes(&Overrides::default(), &environment);
        loaded.unwrap().notes.without_effect
    };
    let (on, off) = (with_store("true"), with_store("false"));
    assert_eq!(on.len(), 1, "{on:?}");
    assert!(on[0].starts_with("without effect, because batching is not part of this version: "));
    assert!(on[0].contains("SignalR:Batching:GroupByMethod (batching.group_by_method)"), "{on:?}");
    assert_eq!((off.len(), &off[0]), (2, &on[0]));
    let expected = "without effect, because store.enabled is false: \
                    SignalR:Acknowledgment:MaxRetryAttempts (delivery.retry_attempts_max), \
                    SignalR:Acknowledgment:MessageTimeoutSeconds (delivery.ack_timeout_ms)";
    assert_eq!(off[1], expected);
    let cleanup = r#"{ "Acknowledgment": { "CleanupIntervalMinutes": 5 } }"#;
    let notes = section(cleanup).unwrap().notes.without_effect;
    assert!(notes[0].contains("CleanupIntervalMinutes has no effect: nothing has to be swept"));
}

#[test]
fn it_is_told_from_our_own_json_by_its_name_or_its_section() {
    for (name, text) in [
        ("appsettings.Production.json", "{ \"SignalR\": {} }"),
        ("settings.json", "{ \"SignalR\": { \"Batching\": { \"WindowMs\": 9 } } }"),
    ] {
        assert!(File::new(name, text).load().is_ok(), "{name}");
    }
    let own = File::new("gateway.json", r#"{ "server": { "stop_notice_ms": 5 } }"#);
    assert_eq!(own.load().unwrap().config.server.stop_notice_ms, 5);
    let other = load(r#"{ "Logging": {} }"#).unwrap().notes;
    assert!(other.warnings[0].ends_with("no SignalR section: nothing is read from this file"));
}

#[test]
fn a_variable_overrides_it() {
    let file = File::new("appsettings.json", SEED);
    let name = file.0.to_str().unwrap();
    let environment = Environment::of([
        ("CONDUIT_CONFIG", name),
        ("CONDUIT__HUBS__TASKS__MESSAGE_BYTES_MAX", "2048"),
        ("CONDUIT__DELIVERY__RETRY_ATTEMPTS_MAX", "1"),
    ]);
    let config = Config::load(&Overrides::default(), &environment).unwrap();
    assert_eq!(config.hubs["tasks"].message_bytes_max, 2_048);
    assert_eq!(config.hubs["bench"].message_bytes_max, 32_768);
    assert_eq!(config.delivery.retry_attempts_max, 1);
    let slow = File::new(
        "appsettings.json",
        r#"{ "SignalR": { "MessageQueue": {
        "InitialRetryDelaySeconds": 2 } } }"#,
    );
    let environment = Environment::of([
        ("CONDUIT_CONFIG", slow.0.to_str().unwrap()),
        ("CONDUIT__DELIVERY__BACKOFF_MS_MIN", "60000"),
    ]);
    let bad = Config::load(&Overrides::default(), &environment).unwrap_err();
    assert_eq!(bad.problems, ["delivery.backoff_ms_min must be 1 to 32000, not 60000"]);
}
