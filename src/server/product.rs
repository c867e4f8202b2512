//! The product: Conduit's hubs, the bench hub and the back end's door, built from a configuration.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use prometheus::Registry;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::builder::{Builder, Server};
use super::file_limit;
use super::gate::KeyGate;
use super::options::{HubRouteOptions, ServerOptions};
use crate::auth::{Anonymous, Authenticator, KeyNotice, Keys, ServiceKeyConfig};
use crate::conduit::{self, TaskDirectory};
use crate::config::{Config, HubConfig};
use crate::delivery::AckMode;
use crate::hub::bench::BenchHub;
use crate::hub::catalogue::Authentication;
use crate::observability::{self, Engine, Observed};
use crate::publish::{self, Door, Observer, Publish, TaskRegister, WebhookMetrics, Webhooks};
use crate::store::{self, LocalStore, Store};

const BENCH: &str = "bench";
const BENCH_PATH: &str = "/hubs/bench";
const BENCH_ACKS: [AckMode; 3] = [AckMode::None, AckMode::Method, AckMode::Result];

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// Serves until the first SIGTERM or SIGINT and stops in order; a second one ends it at once.
/// 0 after an orderly stop, 1 for everything else.
pub fn run(config: Config) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    let code = runtime.block_on(serve(&config)).unwrap_or_else(|error| failed(&error));
    // What did not end by itself within its time is not waited for.
    runtime.shutdown_background();
    code
}

async fn serve(config: &Config) -> Result<ExitCode, AnyError> {
    let mut signals = Signals::new()?;
    file_limit::outlive()?;
    let keys = Keys::from_config(&config.auth, &config.admin, config.server.only_loopback())?;
    let registry = Registry::new();
    let store = open_store(config, &registry).await?;
    let (server, door) = build(config, &keys, store, registry)?;
    let address = config.server.address().ok_or("server.listen is no address")?;
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| format!("cannot listen on {address}: {error}"))?;
    announce(&keys.notice, listener.local_addr()?);
    let (begin_stop, stop_begins) = tokio::sync::oneshot::channel::<()>();
    let stop = async {
        // The sender is dropped only with the process.
        let _ = stop_begins.await;
    };
    let running = server.run(listener, stop, move || door.close());
    tokio::pin!(running);
    tokio::select! {
        _stopped = &mut running => return Ok(ExitCode::FAILURE),
        () = signals.next() => {}
    }
    // Nobody to tell means that it has stopped.
    let _ = begin_stop.send(());
    Ok(tokio::select! {
        _stopped = running => ExitCode::SUCCESS,
        () = signals.next() => ExitCode::FAILURE,
    })
}

/// What is owed is read back before anybody is let in; that takes a while when it is much.
async fn open_store(
    config: &Config,
    registry: &Registry,
) -> Result<Option<Arc<dyn Store>>, AnyError> {
    if !config.store.enabled {
        return Ok(None);
    }
    let (settings, metrics) = (config.store(), store::Metrics::new(registry)?);
    if settings.mode == store::Mode::Memory {
        return Ok(Some(Arc::new(LocalStore::in_memory(settings, metrics))));
    }
    let path = settings.path.display().to_string();
    let now = SystemTime::now().into();
    let opened =
        tokio::task::spawn_blocking(move || LocalStore::open(settings, metrics, now)).await?;
    Ok(Some(Arc::new(opened.map_err(|error| format!("store.path {path:?}: {error}"))?)))
}

/// The server with its hubs and routes, and the door that closes when it stops.
pub(super) fn build(
    config: &Config,
    keys: &Keys,
    store: Option<Arc<dyn Store>>,
    registry: Registry,
) -> Result<(Server, Door), AnyError> {
    let tasks = Arc::new(TaskDirectory::new(conduit::Metrics::new(&registry)?));
    let mut builder = Builder::new(ServerOptions {
        connections: config.connections.clone(),
        transport: config.transport.clone(),
        cors: config.cors.clone(),
        stop_notice: Duration::from_millis(config.server.stop_notice_ms),
    })
    .metrics(registry.clone());
    if let Some(store) = store {
        builder = builder.keeping(store, config.delivery.clone());
    }
    let mut names = Vec::new();
    for (definition, hub) in conduit::hubs(&tasks)? {
        let Some(own) = config.hub(&definition.name) else { continue };
        let authenticator: Arc<dyn Authenticator> = match definition.authentication {
            Authentication::Anonymous => Arc::new(Anonymous),
            Authentication::VirtualKey => keys.virtual_keys.clone(),
        };
        let options = own.hub_options(&definition.name, &definition.acks);
        builder = builder.hub(definition.path, hub, options, route(config, own, authenticator));
        names.push(definition.name);
    }
    let bench = config.hub(BENCH);
    if let Some(own) = bench {
        let options = own.hub_options(BENCH, &BENCH_ACKS);
        let route = route(config, own, Arc::new(Anonymous));
        builder = builder.hub(BENCH_PATH, BenchHub, options, route);
        names.push(BENCH.to_owned());
    }
    let server = builder.build()?;
    let door = Door::default();
    let webhooks = Webhooks::start(
        config.auth.service_keys.iter().filter_map(ServiceKeyConfig::webhook),
        server.delivery(),
        &config.publish,
        &WebhookMetrics::new(&registry)?,
        &server.tasks,
        &server.stop,
    );
    server.tasks.spawn(webhooks.clone().forget_others(server.delivery().clone()));
    let ended = webhooks.clone();
    let routes = publish::router(Publish {
        delivery: server.delivery().clone(),
        service_keys: keys.service_keys.clone(),
        admin: keys.admin.clone(),
        virtual_keys: keys.virtual_keys.clone(),
        webhooks,
        config: config.publish.clone(),
        door: door.clone(),
        observer: Some(Arc::new(Tasks(tasks.clone()))),
        tasks: Some(Arc::new(Tasks(tasks))),
        bench: bench.is_some(),
        metrics: publish::Metrics::new(&registry, names.iter().map(String::as_str))?,
    });
    let health = server.health().clone();
    let observed = observability::router(Observed {
        connections: server.connections.clone(),
        queue: Arc::new(Engine::new(server.delivery().clone(), config.store.pending_max)),
        last_ended: Arc::new(move || ended.last_ended()),
        ready: Arc::new(move || health.is_ready()),
        gate: Arc::new(KeyGate::new(keys)),
    });
    Ok((server.merge(routes).merge(observed), door))
}

fn route(
    config: &Config,
    own: &HubConfig,
    authenticator: Arc<dyn Authenticator>,
) -> HubRouteOptions {
    HubRouteOptions {
        authenticator,
        settings: own.connection_settings(&config.transport),
        transports: own.transports,
        negotiate_version_min: 0,
    }
}

/// What the publish API tells, for the directory of tasks.
struct Tasks(Arc<TaskDirectory>);

impl Observer for Tasks {
    fn published(&self, hub: &str, target: &str, arguments: &str) {
        self.0.observe(hub, target, arguments);
    }
}

impl TaskRegister for Tasks {
    fn register(&self, task: &str, virtual_key: u32) {
        self.0.register(task, virtual_key);
    }
}

/// Lines that people and scripts wait for. The key is printed on purpose: it opens nothing from
/// outside this machine.
fn announce(notice: &KeyNotice, address: SocketAddr) {
    match notice {
        KeyNotice::Configured => {}
        KeyNotice::Development(key) => say(&format!("development key: {}", key.expose())),
        KeyNotice::NobodyGetsIn => tracing::warn!(
            "no keys are configured and the server does not listen on loopback only: nobody gets \
             in; add [[auth.virtual_keys]] and [[auth.service_keys]] (see hash-key)"
        ),
    }
    say(&format!("listening on http://{address}"));
}

fn say(line: &str) {
    let mut out = io::stdout().lock();
    // A closed pipe is no reason not to serve.
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}

fn failed(error: &AnyError) -> ExitCode {
    let _ = writeln!(io::stderr().lock(), "{error}");
    ExitCode::FAILURE
}

/// The signals that ask for the end.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
