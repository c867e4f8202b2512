//! A server with the hubs of the conformance cases (`tests/conformance/README.md`), built as a user
//! of the crate would: `conformance_server PORT [--detailed-errors]`.

mod conformance;
mod greeting;
mod secured;

use std::error::Error;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use conduit_realtime::auth::Authenticator;
use conduit_realtime::backplane::InProcess;
use conduit_realtime::connections::{Config, Connections, Endpoint, Metrics, Settings};
use conduit_realtime::delivery::{self, Delivery};
use conduit_realtime::hub::{self, Hub, HubHost, HubOptions};
use conduit_realtime::model::HubName;
use conduit_realtime::transport::{self, Cors, HubRoute, Transport, TransportKind, Transports};
use prometheus::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::conformance::ConformanceHub;
use crate::greeting::GreetingHub;
use crate::secured::{SecuredHub, TokenIsName, UserFromQuery};

const HUBS: [&str; 6] =
    ["conformance", "greeting", "plain", "websockets-only", "polling-only", "secured"];

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let port: u16 = arguments.next().ok_or("the port is missing")?.parse()?;
    let detailed_errors = arguments.any(|argument| argument == "--detailed-errors");

    let registry = Registry::new();
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let node = Connections::new(&Config::default(), 1, Metrics::new(&registry)?);
    node.start(&tasks, &stop);
    let delivery = Delivery::new(
        &node,
        Arc::new(InProcess),
        HUBS.map(HubName::from),
        delivery::Metrics::new(&registry)?,
        tasks.clone(),
    );
    let hosts = Hosts { delivery, metrics: hub::Metrics::new(&registry)?, detailed_errors };

    use TransportKind::{LongPolling, WebSockets};
    let all = Transports::default();
    let only = |kind: TransportKind| [kind].into_iter().collect::<Transports>();
    let routes = vec![
        hosts.route("conformance", ConformanceHub, UserFromQuery, all, true),
        hosts.route("greeting", GreetingHub, UserFromQuery, all, true),
        hosts.route("plain", ConformanceHub, UserFromQuery, all, false),
        hosts.route("websockets-only", ConformanceHub, UserFromQuery, only(WebSockets), false),
        hosts.route("polling-only", ConformanceHub, UserFromQuery, only(LongPolling), false),
        hosts.route("secured", SecuredHub, TokenIsName, all, false),
    ];

    let config = transport::Config::default();
    let metrics = transport::Metrics::new(&registry)?;
    let cors = Cors { origins: vec!["http://allowed.example".to_owned()] };
    let transport = Transport::new(config.clone(), cors, node, tasks.clone(), metrics.clone());
    let app = transport.with_cors(transport.router(routes));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    #[allow(clippy::print_stdout, reason = "whoever started it waits for this line")]
    {
        println!("listening on http://{}", listener.local_addr()?);
    }
    transport::serve(listener, app, config, metrics, tasks, stop).await;
    Ok(())
}

/// What all the hubs have in common.
struct Hosts {
    delivery: Arc<Delivery>,
    metrics: hub::Metrics,
    detailed_errors: bool,
}

impl Hosts {
    /// A hub with the defaults of ASP.NET Core.
    fn route(
        &self,
        name: &str,
        hub: impl Hub,
        authenticator: impl Authenticator,
        transports: Transports,
        stateful_reconnect: bool,
    ) -> HubRoute {
        let options = HubOptions {
            detailed_errors: self.detailed_errors,
            stateful_reconnect,
            ..HubOptions::named(name)
        };
        let settings = Settings {
            client_timeout: Duration::from_secs(30),
            close_on_expiry: true,
            ..Settings::default()
        };
        let endpoint: Arc<dyn Endpoint> =
            HubHost::new(hub, options, self.delivery.clone(), &self.metrics);
        HubRoute {
            path: format!("/hubs/{name}"),
            hub: name.into(),
            endpoint,
            authenticator: Arc::new(authenticator),
            settings: Arc::new(settings),
            transports,
            stateful_reconnect,
            negotiate_version_min: 0,
        }
    }
}
