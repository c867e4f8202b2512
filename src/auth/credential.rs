//! Where a key stands in a request.

use std::borrow::Cow;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;

const API_KEY: &str = "x-api-key";

/// The key of a client of a hub: `Authorization: Bearer`, then `X-API-Key`, then the queries
/// `access_token` (where browsers must put it) and `api_key`. The first that is there decides, so
/// that a wrong key is not saved by a second one further down.
pub(super) fn of_client(request: &Parts) -> Option<Cow<'_, str>> {
    let query = request.uri.query().unwrap_or_default();
    bearer(&request.headers)
        .or_else(|| api_key(&request.headers))
        .map(Cow::Borrowed)
        .or_else(|| query_value(query, "access_token").filter(|key| !key.is_empty()))
        .or_else(|| query_value(query, "api_key").filter(|key| !key.is_empty()))
}

/// The key of a back end: `X-API-Key`, else `Authorization: Bearer`. Never from the query, which
/// proxies write down.
pub(super) fn of_service(headers: &HeaderMap) -> Option<&str> {
    api_key(headers).or_else(|| bearer(headers))
}

/// The first value of a name in a query, without its percent-encoding.
pub fn query_value<'a>(query: &'a str, name: &str) -> Option<Cow<'a, str>> {
    form_urlencoded::parse(query.as_bytes()).find(|(own, _)| own == name).map(|(_, value)| value)
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, key) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let key = key.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !key.is_empty()).then_some(key)
}

fn api_key(headers: &HeaderMap) -> Option<&str> {
    headers.get(API_KEY)?.to_str().ok().map(str::trim).filter(|key| !key.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut builder = http::Request::get(uri);
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        builder.body(()).unwrap().into_parts().0
    }

    fn key(uri: &str, headers: &[(&str, &str)]) -> Option<String> {
        of_client(&request(uri, headers)).map(Cow::into_owned)
    }

    #[test]
    fn a_key_is_taken_from_the_first_place_that_has_one() {
        let (bearer, api) = (("authorization", "Bearer a"), ("x-api-key", "b"));
        let uri = "/hubs/tasks?api_key=d&access_token=c";
        assert_eq!(key(uri, &[api, bearer]).as_deref(), Some("a"));
        assert_eq!(key(uri, &[api]).as_deref(), Some("b"));
        assert_eq!(key(uri, &[]).as_deref(), Some("c"));
        assert_eq!(key("/hubs/tasks?api_key=d", &[]).as_deref(), Some("d"));
        assert_eq!(key("/hubs/tasks?id=1", &[]), None);
        assert_eq!(key("/hubs/tasks", &[]), None);
    }

    #[test]
    fn an_empty_place_or_another_scheme_counts_as_none() {
        let uri = "/hubs/tasks?access_token=&api_key=d";
        let headers = [("authorization", "Basic a"), ("x-api-key", " ")];
        assert_eq!(key(uri, &headers).as_deref(), Some("d"));
    }

    #[test]
    fn the_scheme_is_read_in_any_case() {
        assert_eq!(key("/", &[("authorization", "bEARER  a")]).as_deref(), Some("a"));
    }

    #[test]
    fn a_query_is_read_without_its_percent_encoding() {
        assert_eq!(query_value("a=1&b=x%2By%20z+w", "b").as_deref(), Some("x+y z w"));
        assert_eq!(query_value("a%62=1", "ab").as_deref(), Some("1"));
        assert_eq!(query_value("a=1&a=2", "a").as_deref(), Some("1"));
        assert_eq!(query_value("", "a"), None);
    }

    #[test]
    fn a_service_key_never_comes_from_the_query() {
        let asked = request("/api?access_token=a&api_key=b", &[]);
        assert_eq!(of_service(&asked.headers), None);
        let asked = request("/api", &[("authorization", "Bearer a"), ("x-api-key", "b")]);
        assert_eq!(of_service(&asked.headers), Some("b"));
    }
}
