//! A hub behind tokens, and the authenticators of all hubs.

use std::time::{Duration, SystemTime};

use conduit_realtime::auth::{Authenticator, Refusal};
use conduit_realtime::hub::{Context, Hub, HubError, HubResult, Methods};
use conduit_realtime::model::Caller;
use futures_util::future::{BoxFuture, ready};
use futures_util::{Stream, stream};
use http::header::AUTHORIZATION;
use http::request::Parts;

/// What a token that begins with `short` is good for.
const SHORT: Duration = Duration::from_secs(3);
const ADMIN: &str = "admin";

pub(crate) struct SecuredHub;

impl Hub for SecuredHub {
    type State = ();

    fn methods(&self, methods: &mut Methods<Self>) {
        methods.add("WhoAmI", who_am_i);
        methods.add("AdminOnly", admin_only).roles([ADMIN]);
        methods.stream("AdminStream", admin_stream).roles([ADMIN]);
    }
}

async fn who_am_i(context: Context<SecuredHub>) -> HubResult<Option<String>> {
    Ok(context.user_id().map(ToString::to_string))
}

async fn admin_only(_: Context<SecuredHub>) -> HubResult<&'static str> {
    Ok("done")
}

async fn admin_stream(
    _: Context<SecuredHub>,
) -> HubResult<impl Stream<Item = HubResult<u32>> + Send> {
    Ok(stream::iter([Ok::<_, HubError>(1)]))
}

/// The token is the user's name.
pub(crate) struct TokenIsName;

impl Authenticator for TokenIsName {
    fn authenticate<'a>(&'a self, request: &'a Parts) -> BoxFuture<'a, Result<Caller, Refusal>> {
        Box::pin(ready(token_caller(request)))
    }
}

fn token_caller(request: &Parts) -> Result<Caller, Refusal> {
    let bearer = request
        .headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "));
    let token = bearer
        .or_else(|| parameter(request, "access_token"))
        .filter(|token| !token.is_empty() && !token.starts_with("bad"))
        .ok_or(Refusal::Unauthenticated)?;
    let mut caller = Caller::of_user(token);
    if token == ADMIN {
        caller.roles.push(ADMIN.into());
    }
    if token.starts_with("short") {
        caller.expires_at = Some(SystemTime::now() + SHORT);
    }
    Ok(caller)
}

/// Everybody may come, and is whom the query says.
pub(crate) struct UserFromQuery;

impl Authenticator for UserFromQuery {
    fn authenticate<'a>(&'a self, request: &'a Parts) -> BoxFuture<'a, Result<Caller, Refusal>> {
        let user = parameter(request, "user").filter(|user| !user.is_empty());
        Box::pin(ready(Ok(user.map(Caller::of_user).unwrap_or_default())))
    }
}

/// The names and tokens of the cases need no percent-decoding.
fn parameter<'a>(request: &'a Parts, name: &str) -> Option<&'a str> {
    let query = request.uri.query()?;
    query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name)?.1.into()
}
