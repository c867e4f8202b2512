//! `conduit-realtime dead-letters`: through a running server, and from the files of one that is not.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use conduit_realtime::cli;
use conduit_realtime::config::Environment;
use conduit_realtime::delivery::Reason;
use conduit_realtime::store::{self, LocalStore, Store};
use prometheus::Registry;
use serde_json::json;
use tokio_util::task::TaskTracker;

use crate::world::{BILLING, BOSS, Settings, World, message, now, with};

/// The exit code of a command.
async fn run(words: &[&str], variables: &[(&str, &str)]) -> String {
    let words: Vec<OsString> =
        ["conduit-realtime", "dead-letters"].iter().chain(words).map(OsString::from).collect();
    let environment = Environment::of(variables.iter().copied());
    let command = move || cli::run(words, &environment, |_| unreachable!("nothing is served"));
    shown(tokio::task::spawn_blocking(command).await.unwrap())
}

fn shown(code: ExitCode) -> String {
    format!("{code:?}")
}

fn done() -> String {
    shown(ExitCode::SUCCESS)
}

fn not_done() -> String {
    shown(ExitCode::from(1))
}

async fn graveyard(world: &World, count: u32) {
    let a = world.subscriber("a").await;
    for n in 0..count {
        let id = format!("m{n}");
        world.accepted(&id).await;
        world.die(a, &id, Reason::TimedOut).await;
    }
}

async fn dead(store: &LocalStore) -> u64 {
    store.stats().await.unwrap().pairs.dead
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_server_is_asked_over_http() {
    let world = World::new();
    graveyard(&world, 5).await;
    let url = served(&world).await;
    let key = [("CONDUIT_ADMIN_KEY", BOSS)];
    let ask = async |words: &[&str]| {
        let words: Vec<&str> = words.iter().copied().chain(["--url", &url]).collect();
        run(&words, &key).await
    };
    assert_eq!(ask(&["list", "--hub", "tasks", "--limit", "3"]).await, done());
    assert_eq!(ask(&["show", "m1"]).await, done());
    assert_eq!(ask(&["export"]).await, done());
    assert_eq!(dead(&world.store).await, 5);
    assert_eq!(ask(&["requeue", "m1"]).await, done());
    assert_eq!(ask(&["requeue", "m1"]).await, not_done(), "it is none any more");
    assert_eq!(dead(&world.store).await, 4);
    assert_eq!(ask(&["purge", "m2", "m3"]).await, done());
    assert_eq!(dead(&world.store).await, 2);
    assert_eq!(ask(&["purge"]).await, not_done(), "all must be said");
    assert_eq!(ask(&["requeue", "--reason", "timed_out"]).await, done());
    assert_eq!(dead(&world.store).await, 0);
    for words in [&["show", "nosuch"][..], &["requeue", "nosuch"], &["list", "--reason", "bored"]] {
        assert_eq!(ask(words).await, not_done(), "{words:?}");
    }
    let wrong = run(&["list", "--url", &url, "--key", BILLING], &[]).await;
    assert_eq!(wrong, not_done());
    assert_eq!(run(&["export", "--url", "http://127.0.0.1:1"], &key).await, not_done());
}

/// Serves the world's routes. Answers where.
async fn served(world: &World) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = world.router.clone();
    TaskTracker::new().spawn(async move { axum::serve(listener, router).await });
    url
}

/// The program itself, and the lines that it prints.
async fn program(words: &[&str]) -> (Option<i32>, Vec<String>) {
    let mut program = tokio::process::Command::new(env!("CARGO_BIN_EXE_conduit-realtime"));
    let output = program.arg("dead-letters").args(words).output().await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    (output.status.code(), text.lines().map(str::to_owned).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn letters_of_any_number_and_size_are_shown() {
    let world = World::new();
    let all = world.crowd(30).await;
    let large = with(message("m"), "arguments", json!(["x".repeat(900_000)]));
    assert_eq!(world.publish(&large).await.status, 202);
    world.all_die(&all, "m").await;
    let url = served(&world).await;
    let show = async |id: &str| program(&["show", id, "--url", &url, "--key", BOSS]).await;
    let (code, lines) = show("m").await;
    assert_eq!((code, lines.len()), (Some(0), 30));
    for (line, subscriber) in lines.iter().zip(&all) {
        assert!(line.contains(&format!("\"subscriber\":\"{subscriber}\"")), "{}", &line[..200]);
    }
    assert_eq!(show("nosuch").await, (Some(1), Vec::new()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_with_ids_go_on_until_all_are_done_with_and_say_when_there_was_nothing() {
    let world = World::new();
    let all = world.crowd(10_001).await;
    world.accepted("m").await;
    world.all_die(&all, "m").await;
    let url = served(&world).await;
    let ask = async |words: &[&str]| {
        let words: Vec<&str> = words.iter().copied().chain(["--url", &url]).collect();
        run(&words, &[("CONDUIT_ADMIN_KEY", BOSS)]).await
    };
    for words in [
        &["requeue", "nope1", "nope2"][..],
        &["purge", "nope1", "nope2"],
        &["requeue", "--hub", "news"],
        &["purge", "--hub", "news"],
    ] {
        assert_eq!(ask(words).await, not_done(), "{words:?}");
    }
    assert_eq!(ask(&["requeue", "m"]).await, done());
    assert_eq!(dead(&world.store).await, 0);
    world.all_die(&all, "m").await;
    assert_eq!(ask(&["requeue", "m", "nope"]).await, done());
    assert_eq!(dead(&world.store).await, 0);
    world.all_die(&all, "m").await;
    assert_eq!(ask(&["purge", "m"]).await, done());
    assert_eq!(dead(&world.store).await, 0);
}

/// A folder that is gone when the test is over.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("conduit-office-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Nothing depends on it.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn opened(path: &Path) -> Arc<LocalStore> {
    let config = store::Config { path: path.to_owned(), ..store::Config::default() };
    let metrics = store::Metrics::new(&Registry::new()).unwrap();
    Arc::new(LocalStore::open(config, metrics, now()).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_files_of_a_server_that_does_not_run_are_opened() {
    let folder = Folder::new();
    let path = folder.0.to_str().unwrap();
    let variables = [("CONDUIT__STORE__PATH", path)];
    let ask = async |words: &[&str]| {
        let words: Vec<&str> = words.iter().copied().chain(["--offline"]).collect();
        run(&words, &variables).await
    };
    assert_eq!(ask(&["list"]).await, not_done(), "there is no store yet");
    let store = opened(&folder.0);
    let world = World::on(store.clone(), Settings::default());
    graveyard(&world, 4).await;
    assert_eq!(ask(&["list"]).await, not_done(), "a server has it open");
    world.stop.cancel();
    world.tasks.close();
    world.tasks.wait().await;
    drop(world);
    let in_use = Arc::try_unwrap(store).is_err();
    assert!(!in_use, "nobody holds the store any more");
    assert_eq!(ask(&["list"]).await, done());
    assert_eq!(ask(&["show", "m0"]).await, done());
    assert_eq!(ask(&["export", "--tenant", "billing"]).await, done());
    assert_eq!(ask(&["requeue", "m0"]).await, done(), "its session lives on");
    assert_eq!(ask(&["purge", "m1"]).await, done());
    assert_eq!(ask(&["purge", "m1"]).await, not_done());
    let store = opened(&folder.0);
    let stats = store.stats().await.unwrap();
    assert_eq!((stats.pairs.dead, stats.pairs.pending, stats.pairs.purged), (2, 1, 1));
    let memory = [("CONDUIT__STORE__MODE", "memory")];
    assert_eq!(run(&["list", "--offline"], &memory).await, not_done());
}

#[tokio::test]
async fn the_files_are_opened_under_a_limit_on_their_length() {
    let folder = Folder::new();
    drop(opened(&folder.0));
    // Two KiB at least: too few for the reserve, which is taken when the store is opened.
    let limited = tokio::process::Command::new("sh")
        .args(["-c", "ulimit -f 4; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_conduit-realtime")])
        .args(["dead-letters", "list", "--offline"])
        .env("CONDUIT__STORE__PATH", &folder.0)
        .env("CONDUIT__STORE__RESERVE_MIB", "128")
        .output()
        .await
        .unwrap();
    assert_eq!(limited.status.code(), Some(0), "{limited:?}");
}
