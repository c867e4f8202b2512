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
use conduit_realtime::connections::Settings;
use conduit_realtime::hub::{Hub, HubOptions};
use conduit_realtime::server::{Builder, HubRouteOptions, ServerOptions};
use conduit_realtime::transport::{Cors, TransportKind, Transports};
use tokio::net::TcpListener;

use crate::conformance::ConformanceHub;
use crate::greeting::GreetingHub;
use crate::secured::{SecuredHub, TokenIsName, UserFromQuery};

#[tokio::main]
#[allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "whoever started it waits for this line"
)]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let port: u16 = arguments.next().ok_or("the port is missing")?.parse()?;
    let detailed_errors = arguments.any(|argument| argument == "--detailed-errors");

    let cors = Cors { origins: vec!["http://allowed.example".to_owned()] };
    let mut hubs = Hubs {
        builder: Builder::new(ServerOptions { cors, ..ServerOptions::default() }),
        detailed_errors,
    };
    let all = Transports::default();
    let only = |kind: TransportKind| [kind].into_iter().collect::<Transports>();
    hubs.add("conformance", ConformanceHub, UserFromQuery, all, true);
    hubs.add("greeting", GreetingHub, UserFromQuery, all, true);
    hubs.add("plain", ConformanceHub, UserFromQuery, all, false);
    let websockets = only(TransportKind::WebSockets);
    hubs.add("websockets-only", ConformanceHub, UserFromQuery, websockets, false);
    let polling = only(TransportKind::LongPolling);
    hubs.add("polling-only", ConformanceHub, UserFromQuery, polling, false);
    hubs.add("secured", SecuredHub, TokenIsName, all, false);
    let server = hubs.builder.build()?;

    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let interrupted = async {
        if let Err(error) = tokio::signal::ctrl_c().await {
            eprintln!("no signal can be waited for: {error}");
        }
    };
    server.run(listener, interrupted, || ()).await;
    Ok(())
}

/// The hubs so far, and what they have in common.
struct Hubs {
    builder: Builder,
    detailed_errors: bool,
}

impl Hubs {
    /// Adds a hub with the defaults of ASP.NET Core.
    fn add(
        &mut self,
        name: &str,
        hub: impl Hub,
        authenticator: impl Authenticator,
        transports: Transports,
        stateful_reconnect: bool,
    ) {
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
        let route = HubRouteOptions {
            authenticator: Arc::new(authenticator),
            settings,
            transports,
            ..HubRouteOptions::default()
        };
        let builder = std::mem::take(&mut self.builder);
        self.builder = builder.hub(format!("/hubs/{name}"), hub, options, route);
    }
}
