//! The same answers without a server: its routes, in this process, on its store.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use axum::Router;
use axum::body::Body;
use http::{Method, Request};
use http_body_util::{BodyExt, Limited};
use prometheus::Registry;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::auth::{AdminKey, ServiceKeys, VirtualKeys, hash_key};
use crate::backplane::InProcess;
use crate::cli::http::{ANSWER_BYTES_MAX, Answer};
use crate::config::{Config, Environment, Overrides};
use crate::connections::{self, Connections};
use crate::delivery::{self, AckMetrics, Delivery, Keeping};
use crate::publish::{self, Door, Publish, WebhookMetrics, Webhooks};
use crate::server::file_limit;
use crate::store::{self, LocalStore, Mode};

/// Asked for by the routes, known to nobody else: whoever may open the files needs no key.
const KEY: &str = "offline";

/// The files of a server that does not run.
pub(super) struct Files {
    routes: Router,
}

impl Files {
    /// Opens them, in a runtime. No session ends because of that, and no webhook is called.
    pub(super) fn open(overrides: &Overrides, environment: &Environment) -> Result<Self, String> {
        let config = Config::load(overrides, environment).map_err(|bad| bad.to_string())?;
        if config.store.mode == Mode::Memory {
            return Err("store.mode is memory: nothing is kept when no server runs".into());
        }
        let folder = config.store.path.join("store");
        if !folder.is_dir() {
            return Err(format!("there is no store in {}", folder.display()));
        }
        file_limit::outlive().map_err(|error| error.to_string())?;
        let registry = Registry::new();
        let routes = routes(&config, &registry).map_err(|error| error.to_string())?;
        Ok(Self { routes })
    }

    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<Answer, String> {
        let (status, body) = self.ask(method, path, body).await?;
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| error.to_string())?.to_bytes();
        Ok(Answer { status, body })
    }

    pub(super) async fn download(
        &self,
        path: &str,
        mut each: impl FnMut(&[u8]),
    ) -> Result<Answer, String> {
        let (status, mut body) = self.ask(Method::GET, path, Vec::new()).await?;
        let mut refusal = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| error.to_string())?;
            match frame.data_ref() {
                Some(data) if status == 200 => each(data),
                Some(data) => refusal.extend_from_slice(data),
                None => {}
            }
        }
        Ok(Answer { status, body: refusal.into() })
    }

    async fn ask(&self, method: Method, path: &str, body: Vec<u8>) -> Result<(u16, Body), String> {
        let request = Request::builder().method(method).uri(path).header("X-API-Key", KEY);
        let request = request.body(Body::from(body)).map_err(|error| error.to_string())?;
        let Ok(response) = self.routes.clone().oneshot(request).await;
        Ok((response.status().as_u16(), response.into_body()))
    }
}

type AnyError = Box<dyn std::error::Error>;

fn routes(config: &Config, registry: &Registry) -> Result<Router, AnyError> {
    let store =
        LocalStore::open(config.store(), store::Metrics::new(registry)?, SystemTime::now().into())?;
    let metrics = connections::Metrics::new(registry)?;
    let node = Connections::new(&connections::Config::default(), 1, metrics);
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let keeping = Keeping {
        store: Arc::new(store),
        config: config.delivery.clone(),
        metrics: AckMetrics::new(registry)?,
    };
    let metrics = delivery::Metrics::new(registry)?;
    let delivery = Delivery::keeping(
        &node,
        Arc::new(InProcess),
        HashMap::new(),
        metrics,
        tasks.clone(),
        keeping,
    );
    let metrics = WebhookMetrics::new(registry)?;
    let webhooks = Webhooks::start([], &delivery, &config.publish, &metrics, &tasks, &stop);
    Ok(publish::router(Publish {
        delivery,
        service_keys: Arc::new(ServiceKeys::new(&[])),
        admin: Arc::new(AdminKey::new(Some(&hash_key(KEY.as_bytes())))),
        virtual_keys: Arc::new(VirtualKeys::new(&[])),
        webhooks,
        config: config.publish.clone(),
        door: Door::default(),
        observer: None,
        tasks: None,
        bench: false,
        metrics: publish::Metrics::new(registry, [])?,
    }))
}
