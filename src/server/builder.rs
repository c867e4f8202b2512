//! From hubs and options to a server that can run.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::thread::available_parallelism;

use axum::Router;
use prometheus::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::health::Health;
use super::options::{HubRouteOptions, ServerOptions};
use super::stopping::{self, Stopped};
use crate::backplane::{Backplane, InProcess};
use crate::connections::{self, Connections, Endpoint};
use crate::delivery::{self, AckMetrics, Delivery, HubAcks, Keeping};
use crate::hub::{self, Hub, HubContext, HubHost, HubOptions};
use crate::model::HubName;
use crate::store::Store;
use crate::transport::{self, HubRoute, Transport};

/// Why a server cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Two hubs share a name or a path.
    #[error("hub '{0}': its name or path is taken by another hub")]
    Taken(HubName),
    /// A path that is no absolute path.
    #[error("hub '{hub}': the path {path:?} must begin with '/' and have no pattern in it")]
    Path {
        /// The hub.
        hub: HubName,
        /// What was given.
        path: String,
    },
    /// An option that cannot work.
    #[error("{0}")]
    Option(String),
    /// A metric was registered twice.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

type MakeEndpoint =
    Box<dyn FnOnce(Arc<Delivery>, &hub::Metrics) -> (Arc<dyn Endpoint>, HubContext)>;

struct Planned {
    path: String,
    name: HubName,
    stateful_reconnect: bool,
    acks: HubAcks,
    route: HubRouteOptions,
    make: MakeEndpoint,
}

/// Collects hubs, then builds the server.
pub struct Builder {
    options: ServerOptions,
    backplane: Arc<dyn Backplane>,
    registry: Registry,
    keeping: Option<(Arc<dyn Store>, delivery::Config)>,
    hubs: Vec<Planned>,
}

impl Default for Builder {
    fn default() -> Self {
        Self::new(ServerOptions::default())
    }
}

impl Builder {
    /// A server of one node without hubs.
    pub fn new(options: ServerOptions) -> Self {
        Self {
            options,
            backplane: Arc::new(InProcess),
            registry: Registry::new(),
            keeping: None,
            hubs: Vec::new(),
        }
    }

    /// Joins other nodes.
    #[must_use]
    pub fn backplane(mut self, backplane: Arc<dyn Backplane>) -> Self {
        self.backplane = backplane;
        self
    }

    /// Registers the rooms' metrics here instead of in a registry of the server's own.
    #[must_use]
    pub fn metrics(mut self, registry: Registry) -> Self {
        self.registry = registry;
        self
    }

    /// Keeps acknowledged messages and sessions in a store. Without one a client id means nothing,
    /// and acknowledged messages are not accepted.
    #[must_use]
    pub fn keeping(mut self, store: Arc<dyn Store>, config: delivery::Config) -> Self {
        self.keeping = Some((store, config));
        self
    }

    /// Maps a hub at a path.
    #[must_use]
    pub fn hub<H: Hub>(
        mut self,
        path: impl Into<String>,
        hub: H,
        options: HubOptions,
        route: HubRouteOptions,
    ) -> Self {
        self.hubs.push(Planned {
            path: path.into(),
            name: options.name.clone(),
            stateful_reconnect: options.stateful_reconnect,
            acks: options.hub_acks(),
            route,
            make: Box::new(move |delivery, metrics| {
                let host = HubHost::new(hub, options, delivery, metrics);
                let context = host.context();
                (host, context)
            }),
        });
        self
    }

    /// Builds all rooms and starts their tasks. Needs a tokio runtime.
    pub fn build(self) -> Result<Server, BuildError> {
        let Self { options, backplane, registry, keeping, hubs } = self;
        options.transport.check().map_err(BuildError::Option)?;
        options.cors.check().map_err(BuildError::Option)?;
        check_names(&hubs)?;
        let tasks = TaskTracker::new();
        let stop = CancellationToken::new();
        let shards = available_parallelism().map_or(1, usize::from);
        let connections =
            Connections::new(&options.connections, shards, connections::Metrics::new(&registry)?);
        connections.start(&tasks, &stop);
        let names = hubs.iter().map(|hub| (hub.name.clone(), hub.acks)).collect();
        let delivery =
            build_delivery(&connections, backplane, names, keeping, &registry, tasks.clone())?;
        tasks.spawn(delivery.clone().run(stop.clone()));
        let transport_metrics = transport::Metrics::new(&registry)?;
        let transport = Transport::new(
            options.transport.clone(),
            options.cors.clone(),
            connections.clone(),
            tasks.clone(),
            transport_metrics.clone(),
        );
        let hub_metrics = hub::Metrics::new(&registry)?;
        let mut contexts = Vec::new();
        let routes = hubs
            .into_iter()
            .map(|hub| {
                let (endpoint, context) = (hub.make)(delivery.clone(), &hub_metrics);
                contexts.push((hub.name.clone(), context));
                HubRoute {
                    path: hub.path,
                    hub: hub.name,
                    endpoint,
                    authenticator: hub.route.authenticator,
                    settings: Arc::new(hub.route.settings),
                    transports: hub.route.transports,
                    stateful_reconnect: hub.stateful_reconnect,
                    negotiate_version_min: hub.route.negotiate_version_min,
                }
            })
            .collect();
        let health = Health::default();
        let app = transport.router(routes).merge(health.router());
        Ok(Server {
            options,
            connections,
            delivery,
            transport,
            transport_metrics,
            contexts,
            health,
            app,
            registry,
            tasks,
            stop,
        })
    }
}

fn build_delivery(
    connections: &Arc<Connections>,
    backplane: Arc<dyn Backplane>,
    hubs: HashMap<HubName, HubAcks>,
    keeping: Option<(Arc<dyn Store>, delivery::Config)>,
    registry: &Registry,
    tasks: TaskTracker,
) -> Result<Arc<Delivery>, BuildError> {
    let metrics = delivery::Metrics::new(registry)?;
    let Some((store, config)) = keeping else {
        let names = hubs.into_keys();
        return Ok(Delivery::new(connections, backplane, names, metrics, tasks));
    };
    let keeping = Keeping { store, config, metrics: AckMetrics::new(registry)? };
    Ok(Delivery::keeping(connections, backplane, hubs, metrics, tasks, keeping))
}

fn check_names(hubs: &[Planned]) -> Result<(), BuildError> {
    let (mut names, mut paths) = (HashSet::new(), HashSet::new());
    for hub in hubs {
        let wrong = !hub.path.starts_with('/') || hub.path.contains(['{', '}', '*', '?', '#']);
        if wrong {
            return Err(BuildError::Path { hub: hub.name.clone(), path: hub.path.clone() });
        }
        if !names.insert(&hub.name) || !paths.insert(hub.path.trim_end_matches('/')) {
            return Err(BuildError::Taken(hub.name.clone()));
        }
    }
    Ok(())
}

/// A server whose rooms are built and wired.
pub struct Server {
    pub(super) options: ServerOptions,
    pub(super) connections: Arc<Connections>,
    pub(super) delivery: Arc<Delivery>,
    pub(super) transport: Arc<Transport>,
    transport_metrics: transport::Metrics,
    contexts: Vec<(HubName, HubContext)>,
    pub(super) health: Health,
    app: Router,
    registry: Registry,
    pub(super) tasks: TaskTracker,
    pub(super) stop: CancellationToken,
}

impl Server {
    /// Speaks to a hub's clients from outside its methods.
    pub fn context(&self, hub: &str) -> Option<&HubContext> {
        self.contexts.iter().find(|(name, _)| name.as_str() == hub).map(|(_, context)| context)
    }

    /// The way to every audience, for further routes.
    pub fn delivery(&self) -> &Arc<Delivery> {
        &self.delivery
    }

    /// Whether the node is ready; changes when it stops.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Where all rooms' metrics are registered.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Adds routes beside the hubs'. They get CORS like the hubs do.
    #[must_use]
    pub fn merge(mut self, routes: Router) -> Self {
        self.app = self.app.merge(routes);
        self
    }

    /// Serves until `stop` completes, then stops in order (see `stopping`). `closing` is called when
    /// new work is turned away, so that other doors can close, too.
    pub async fn run(
        self,
        listener: TcpListener,
        stop: impl Future<Output = ()>,
        closing: impl FnOnce(),
    ) -> Stopped {
        // Nobody is let in before what is owed can be given out.
        if let Err(error) = self.delivery.ready().await {
            tracing::error!(%error, "the store is not ready");
        }
        let app = self.transport.with_cors(self.app.clone());
        self.tasks.spawn(transport::serve(
            listener,
            app,
            self.options.transport.clone(),
            self.transport_metrics.clone(),
            self.tasks.clone(),
            self.stop.clone(),
        ));
        stop.await;
        stopping::stop(self, closing).await
    }
}
