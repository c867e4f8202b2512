//! The few query parameters that transports read, and the rest without the secret ones.

use std::borrow::Cow;

/// What is secret: it belongs to the transport and the authenticator, not to the hub.
const OWN: [&str; 3] = ["id", "access_token", "api_key"];

/// The first value of a parameter, decoded; names are compared without regard to case (1.2).
pub(super) fn find<'a>(query: &'a str, name: &str) -> Option<Cow<'a, str>> {
    pairs(query)
        .find(|(key, _)| decode(key).eq_ignore_ascii_case(name))
        .map(|(_, value)| decode(value))
}

/// The query as it came, without the parameters that hubs must not see.
pub(super) fn for_hub(query: &str) -> Box<str> {
    let mut rest = String::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let key = decode(pair.split_once('=').map_or(pair, |(key, _)| key));
        if OWN.iter().any(|own| key.eq_ignore_ascii_case(own)) {
            continue;
        }
        if !rest.is_empty() {
            rest.push('&');
        }
        rest.push_str(pair);
    }
    rest.into()
}

/// A .NET boolean: `true` in any case, spaces around it allowed.
pub(super) fn is_true(text: &str) -> bool {
    text.trim().eq_ignore_ascii_case("true")
}

fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// Percent-decoding; what is not UTF-8 afterwards is replaced, what is no escape stays.
fn decode(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|byte| byte == b'%' || byte == b'+') {
        return Cow::Borrowed(text);
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digit = |offset: usize| {
            let byte = bytes.get(at + offset)?;
            char::from(*byte).to_digit(16).map(|digit| digit as u8)
        };
        match (bytes[at], digit(1), digit(2)) {
            (b'%', Some(high), Some(low)) => {
                out.push(high << 4 | low);
                at += 3;
                continue;
            }
            (b'+', ..) => out.push(b' '),
            (byte, ..) => out.push(byte),
        }
        at += 1;
    }
    Cow::Owned(String::from_utf8_lossy(&out).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_any_case_and_values_are_decoded() {
        assert_eq!(find("a=1&NegotiateVersion=1", "negotiateVersion").as_deref(), Some("1"));
        assert_eq!(find("id=%2Dx%5f+%zz%", "id").as_deref(), Some("-x_ %zz%"));
        assert_eq!(find("id", "id").as_deref(), Some(""));
        assert_eq!(find("", "id"), None);
    }

    #[test]
    fn a_hub_never_sees_the_token_of_its_client() {
        let query = "user=a%20b&id=secret&ACCESS_TOKEN=s&access%5Ftoken=s&api_key=s&&x";
        assert_eq!(&*for_hub(query), "user=a%20b&x");
    }
}
