//! Where a hub is: taking a URL apart and putting the next one together.

use http::Uri;

use super::error::ConnectError;

/// Host, port, path and query of a hub. The scheme is always http or ws: the two mean the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    authority: String,
    host: String,
    port: u16,
    path: String,
    /// Without the question mark; the application's own parameters, kept on every request.
    query: String,
}

impl Address {
    pub(super) fn parse(url: &str) -> Result<Self, ConnectError> {
        let bad = |why: &str| ConnectError::BadUrl { url: redacted(url), why: why.into() };
        let uri: Uri = url.parse().map_err(|_| bad("it is malformed"))?;
        match uri.scheme_str().map(str::to_ascii_lowercase).as_deref() {
            Some("http" | "ws") => {}
            Some(scheme @ ("https" | "wss")) => {
                return Err(ConnectError::NoTls { scheme: scheme.into() });
            }
            _ => return Err(bad("it must start with http:// or ws://")),
        }
        let authority = uri.authority().ok_or_else(|| bad("it has no host"))?;
        if authority.as_str().contains('@') {
            return Err(bad("user information does not belong into it"));
        }
        let host = authority.host();
        Ok(Self {
            authority: authority.as_str().into(),
            host: host.trim_start_matches('[').trim_end_matches(']').into(),
            port: authority.port_u16().unwrap_or(80),
            path: uri.path().into(),
            query: uri.query().unwrap_or_default().into(),
        })
    }

    /// The text of the `Host` header.
    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    /// What a TCP connection is opened to.
    pub(super) fn endpoint(&self) -> (&str, u16) {
        (&self.host, self.port)
    }

    /// Adds a query parameter, percent-encoded, unless one of that name is there already.
    pub(super) fn add_query(&mut self, name: &str, value: &str) {
        let name = percent_encoded(name);
        let present = |pair: &str| pair.split('=').next() == Some(&*name);
        if self.query.split('&').any(present) {
            return;
        }
        if !self.query.is_empty() {
            self.query.push('&');
        }
        self.query.push_str(&name);
        self.query.push('=');
        self.query.push_str(&percent_encoded(value));
    }

    /// Path and query of the negotiate request (section 1.2).
    pub(super) fn negotiate_target(&self, stateful: bool) -> String {
        let mut address = self.clone();
        address.add_query("negotiateVersion", "1");
        if stateful {
            address.add_query("useStatefulReconnect", "true");
        }
        let slash = if self.path.ends_with('/') { "" } else { "/" };
        format!("{}{slash}negotiate?{}", address.path, address.query)
    }

    /// The URL of the WebSocket, with the connection token when there is one.
    pub(super) fn web_socket_url(&self, connection_token: Option<&str>) -> String {
        let mut address = self.clone();
        if let Some(token) = connection_token {
            address.add_query("id", token);
        }
        let mark = if address.query.is_empty() { "" } else { "?" };
        format!("ws://{}{}{mark}{}", address.authority, address.path, address.query)
    }
}

/// A URL without its query, which may carry a token, and without user information.
fn redacted(url: &str) -> String {
    let url = url.split('?').next().unwrap_or_default();
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if scheme + 3 <= at => {
            format!("{}…{}", &url[..scheme + 3], &url[at..])
        }
        _ => url.into(),
    }
}

/// Everything but RFC 3986's unreserved characters as `%XX`.
fn percent_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            for digit in [byte >> 4, byte & 15] {
                out.push(char::from(b"0123456789ABCDEF"[usize::from(digit)]));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_gets_negotiate_and_the_query_stays() {
        for (url, target) in [
            ("http://h/chat", "/chat/negotiate?negotiateVersion=1"),
            ("ws://h:81/chat/?a=b", "/chat/negotiate?a=b&negotiateVersion=1"),
            ("http://h/chat?negotiateVersion=0", "/chat/negotiate?negotiateVersion=0"),
            ("http://h", "/negotiate?negotiateVersion=1"),
        ] {
            assert_eq!(Address::parse(url).unwrap().negotiate_target(false), target);
        }
    }

    #[test]
    fn a_parameter_is_percent_encoded_and_the_token_follows_it() {
        let mut address = Address::parse("http://[::1]:8080/chat").unwrap();
        assert_eq!(address.endpoint(), ("::1", 8080));
        address.add_query("user", "a b&ü");
        let url = address.web_socket_url(Some("to-ken_1"));
        assert_eq!(url, "ws://[::1]:8080/chat?user=a%20b%26%C3%BC&id=to-ken_1");
    }

    #[test]
    fn tls_is_refused_by_its_name_and_no_query_or_password_gets_into_an_error() {
        let error = Address::parse("wss://h/chat").unwrap_err();
        assert!(matches!(error, ConnectError::NoTls { .. }), "{error}");
        let error = Address::parse("ftp://me:secret@h/chat?access_token=secret").unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}
