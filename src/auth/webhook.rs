//! Where a tenant is told what became of its messages (`auth.service_keys[].webhook_…`).

use http::Uri;
use serde::{Deserialize, Serialize};

use super::config::ServiceKeyConfig;
use super::secret::Secret;
use crate::model::{BadSetting, Tenant};

/// 128 random bits in hex; a shorter secret could be found from one signed call.
const SECRET_BYTES_MIN: usize = 32;
const URL_BYTES_MAX: usize = 2_048;

/// What a tenant may choose to be told. Expiry and death it is told always.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WebhookEvent {
    /// Nothing of a message is owed any more.
    Settled,
    /// A message expired for somebody.
    Expired,
    /// A message became a dead letter.
    Dead,
}

/// One tenant's webhook, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookTarget {
    /// Whose messages it tells of.
    pub tenant: Tenant,
    /// Where to.
    pub url: Uri,
    /// What calls are signed with.
    pub secret: Secret,
    /// Whether settled messages are told of.
    pub settled: bool,
}

impl ServiceKeyConfig {
    /// The webhook of this key's tenant, if it has one that can be used.
    pub fn webhook(&self) -> Option<WebhookTarget> {
        Some(WebhookTarget {
            tenant: Tenant::from(self.name.as_str()),
            url: self.webhook_url.as_deref().and_then(parse_url)?,
            secret: self.webhook_secret.clone()?,
            settled: self.webhook_events.contains(&WebhookEvent::Settled),
        })
    }

    pub(super) fn check_webhook(&self, at: &str, found: &mut Vec<BadSetting>) {
        match (&self.webhook_url, &self.webhook_secret) {
            (None, None) if self.webhook_events.is_empty() => {}
            (None, _) => {
                let problem = "is required with webhook_secret and webhook_events";
                found.push(BadSetting::new(format!("{at}.webhook_url"), problem));
            }
            (Some(url), secret) => {
                if parse_url(url).is_none() {
                    let problem = format!(
                        "must be an address like http://host:port/path of at most {URL_BYTES_MAX} \
                         bytes, without a user; https is not supported yet"
                    );
                    found.push(BadSetting::new(format!("{at}.webhook_url"), problem));
                }
                let strong = |own: &Secret| own.expose().len() >= SECRET_BYTES_MIN;
                if !secret.as_ref().is_some_and(strong) {
                    let problem = format!("must have at least {SECRET_BYTES_MIN} bytes");
                    found.push(BadSetting::new(format!("{at}.webhook_secret"), problem));
                }
            }
        }
    }
}

/// Two keys of one tenant may share a webhook, but not have two: it is the tenant that is told.
pub(super) fn check_all(keys: &[ServiceKeyConfig], found: &mut Vec<BadSetting>) {
    for (index, key) in keys.iter().enumerate() {
        key.check_webhook(&format!("auth.service_keys[{index}]"), found);
        let same = |own: &&ServiceKeyConfig| own.name == key.name && own.webhook_url.is_some();
        let earlier = keys[..index].iter().find(same);
        if let Some(earlier) = earlier.filter(|_| key.webhook_url.is_some())
            && earlier.webhook() != key.webhook()
        {
            let field = format!("auth.service_keys[{index}].webhook_url");
            let problem = "and what belongs to it must be those of the earlier key with this name";
            found.push(BadSetting::new(field, problem));
        }
    }
}

fn parse_url(text: &str) -> Option<Uri> {
    let uri: Uri = text.parse().ok().filter(|_| text.len() <= URL_BYTES_MAX)?;
    let authority = uri.authority()?;
    let plain = uri.scheme_str() == Some("http") && !authority.as_str().contains('@');
    (plain && !authority.host().is_empty()).then_some(uri)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{Config, hash_key};

    fn key(name: &str, url: Option<&str>, secret: Option<&str>) -> ServiceKeyConfig {
        ServiceKeyConfig {
            name: name.into(),
            sha256: hash_key(format!("{name}{url:?}{secret:?}").as_bytes()),
            webhook_url: url.map(Into::into),
            webhook_secret: secret.map(Secret::new),
            webhook_events: Vec::new(),
        }
    }

    fn complaints(keys: Vec<ServiceKeyConfig>) -> Vec<String> {
        let config = Config { service_keys: keys, ..Config::default() };
        config.check().iter().map(ToString::to_string).collect()
    }

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn a_webhook_has_an_address_and_a_strong_secret() {
        let good = key("a", Some("http://10.0.0.1:81/hook?x=1"), Some(SECRET));
        assert_eq!(complaints(vec![good.clone()]), [""; 0]);
        let target = good.webhook().unwrap();
        assert_eq!((target.tenant.as_str(), target.settled), ("a", false));
        for url in ["https://a/", "ftp://a/", "/hook", "http://u:p@a/", "a"] {
            let texts = complaints(vec![key("a", Some(url), Some(SECRET))]);
            assert_eq!(texts.len(), 1, "{url}");
            assert!(texts[0].starts_with("auth.service_keys[0].webhook_url must"), "{texts:?}");
        }
        assert_eq!(
            complaints(vec![key("a", Some("http://a/"), Some("condt_short"))]),
            ["auth.service_keys[0].webhook_secret must have at least 32 bytes"]
        );
        assert_eq!(
            complaints(vec![key("a", None, Some(SECRET))]),
            ["auth.service_keys[0].webhook_url is required with webhook_secret and webhook_events"]
        );
    }

    #[test]
    fn a_tenant_has_one_webhook_however_many_keys() {
        let (one, other) = (Some("http://a/"), Some("http://b/"));
        let mut same = key("a", one, Some(SECRET));
        same.sha256 = hash_key(b"second");
        assert_eq!(complaints(vec![key("a", one, Some(SECRET)), same]), [""; 0]);
        let without = key("a", None, None);
        assert_eq!(complaints(vec![key("a", one, Some(SECRET)), without]), [""; 0]);
        let texts = complaints(vec![key("a", one, Some(SECRET)), key("a", other, Some(SECRET))]);
        assert!(texts[0].starts_with("auth.service_keys[1].webhook_url and what"), "{texts:?}");
    }
}
