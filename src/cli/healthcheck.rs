//! `healthcheck`: the probe of a container.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;

use clap::Args;
use http::Method;

use super::NOT_DONE;
use super::http::call;
use super::say::{complain, say};
use crate::config::{Config, Environment, Overrides};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The server. [default: where the configuration of the environment says that it listens]
    #[arg(long)]
    url: Option<String>,
}

pub(super) async fn run(arguments: Arguments, environment: &Environment) -> ExitCode {
    let url = arguments.url.unwrap_or_else(|| own_url(environment));
    match call(Method::GET, &url, "/health/ready", None, Vec::new()).await {
        Ok(answer) if answer.status == 200 => {
            say("ready");
            ExitCode::SUCCESS
        }
        Ok(answer) => {
            complain(&format!("not ready: {url} answered with {}", answer.status));
            ExitCode::from(NOT_DONE)
        }
        Err(error) => {
            complain(&error);
            ExitCode::from(NOT_DONE)
        }
    }
}

/// Where a server with the same environment can be reached from the same machine.
pub(super) fn own_url(environment: &Environment) -> String {
    let config = Config::load(&Overrides::default(), environment).unwrap_or_default();
    let address = config.server.address().unwrap_or(SocketAddr::from(([127, 0, 0, 1], 8080)));
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    format!("http://{}", SocketAddr::new(ip, address.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probe_finds_the_server_of_its_own_environment() {
        let url = |listen| own_url(&Environment::of([("CONDUIT__SERVER__LISTEN", listen)]));
        assert_eq!(url("0.0.0.0:80"), "http://127.0.0.1:80");
        assert_eq!(url("[::]:81"), "http://[::1]:81");
        assert_eq!(url("10.0.0.7:82"), "http://10.0.0.7:82");
        assert_eq!(own_url(&Environment::default()), "http://127.0.0.1:8080");
    }
}
