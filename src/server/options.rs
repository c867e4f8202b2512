//! What can be set for a server as a whole and for the route of each hub.

use std::sync::Arc;
use std::time::Duration;

use crate::auth::{Anonymous, Authenticator};
use crate::connections;
use crate::transport::{self, Cors, Transports};

/// The node's own settings; the defaults are the product's.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// Bounds of connections.
    pub connections: connections::Config,
    /// Bounds of transports.
    pub transport: transport::Config,
    /// Origins whose pages may connect.
    pub cors: Cors,
    /// How long `/health/ready` says 503 before anything else happens at a stop, so that a load
    /// balancer has noticed.
    pub stop_notice: Duration,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            connections: connections::Config::default(),
            transport: transport::Config::default(),
            cors: Cors::default(),
            stop_notice: Duration::ZERO,
        }
    }
}

/// How clients reach one hub.
#[derive(Clone)]
pub struct HubRouteOptions {
    /// Who is let in; everybody, by default.
    pub authenticator: Arc<dyn Authenticator>,
    /// Time-outs of its connections.
    pub settings: connections::Settings,
    /// The transports it speaks; all, by default.
    pub transports: Transports,
    /// The lowest negotiate version it accepts; 0 accepts all.
    pub negotiate_version_min: i32,
}

impl Default for HubRouteOptions {
    fn default() -> Self {
        Self {
            authenticator: Arc::new(Anonymous),
            settings: connections::Settings::default(),
            transports: Transports::default(),
            negotiate_version_min: 0,
        }
    }
}
