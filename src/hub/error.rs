//! What a call may fail with, and what its client is told about it (protocol reference, 5.6).

use std::any::Any;
use std::error::Error;

use super::question::AskFailed;
use crate::protocol::BindError;

/// What hub methods return.
pub type HubResult<T> = Result<T, HubError>;

/// Why a hub method or a callback failed. Every error type turns into [`HubError::Internal`] with
/// `?`; what the client may read is made with [`HubError::client`].
#[derive(Debug)]
pub enum HubError {
    /// A text for the client, as .NET's `HubException`.
    Client(String),
    /// Any other error: its text is for the log, and for the client only with detailed errors.
    Internal {
        /// The short name of the error's type.
        kind: &'static str,
        /// The error.
        source: Box<dyn Error + Send + Sync>,
    },
}

impl HubError {
    /// An error whose text the client is shown.
    pub fn client(text: impl Into<String>) -> Self {
        Self::Client(text.into())
    }

    /// An error with a text for the log.
    pub fn internal(text: impl Into<String>) -> Self {
        Self::of_kind("Exception", text)
    }

    pub(super) fn of_kind(kind: &'static str, text: impl Into<String>) -> Self {
        Self::Internal { kind, source: text.into().into() }
    }

    /// `base`, and behind it the type and the text where the client may see them.
    pub(super) fn told(&self, base: &str, detailed: bool) -> String {
        match self {
            Self::Client(text) => format!("{base} HubException: {text}"),
            Self::Internal { kind, source } if detailed => format!("{base} {kind}: {source}"),
            Self::Internal { .. } => base.to_owned(),
        }
    }
}

impl std::fmt::Display for HubError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Client(text) => write!(f, "HubException: {text}"),
            Self::Internal { kind, source } => write!(f, "{kind}: {source}"),
        }
    }
}

// `HubError` itself is no `Error`, so that this covers every type that is one.
impl<E: Error + Send + Sync + 'static> From<E> for HubError {
    fn from(error: E) -> Self {
        match (&error as &dyn Any).downcast_ref::<AskFailed>() {
            Some(asked) => asked.as_hub_error(),
            None => Self::Internal { kind: short_name::<E>(), source: Box::new(error) },
        }
    }
}

/// The name of a type without its path and parameters.
pub(super) fn short_name<T>() -> &'static str {
    let full = std::any::type_name::<T>();
    let plain = full.split('<').next().unwrap_or(full);
    plain.rsplit("::").next().unwrap_or(plain)
}

/// Why an invocation has no result. Filters see it, and may return it.
#[derive(Debug)]
pub enum CallError {
    /// The hub has no method of that name.
    NoSuchMethod,
    /// Wrong number or types of arguments.
    BadArguments(BindError),
    /// The caller has none of the method's roles.
    Unauthorized,
    /// Type 1 on a streaming method.
    IsStreaming,
    /// Type 4 on a method that is not streaming.
    NotStreaming,
    /// A stream or upload with that id is running.
    IdInUse,
    /// As many calls of the client are under way as may be.
    TooManyCalls {
        /// The limit.
        max: usize,
    },
    /// The method, or a filter, failed.
    Failed(HubError),
    /// The stream failed after the method had returned it.
    StreamFailed(HubError),
}

impl CallError {
    /// The error of the Completion. `target` and `id` are echoed as the client spelt them.
    pub(super) fn text(&self, target: &str, id: &str, detailed: bool) -> String {
        match self {
            Self::NoSuchMethod => HubError::client("Method does not exist.").told(
                &format!("Failed to invoke '{target}' due to an error on the server."),
                detailed,
            ),
            Self::BadArguments(error) => {
                let error = HubError::of_kind("InvalidDataException", error.to_string());
                let base = format!("Failed to invoke '{target}' due to an error on the server.");
                error.told(&base, detailed)
            }
            Self::Unauthorized => {
                format!("Failed to invoke '{target}' because user is unauthorized")
            }
            Self::IsStreaming => format!(
                "The client attempted to invoke the streaming '{target}' method with a \
                 non-streaming invocation."
            ),
            Self::NotStreaming => format!(
                "The client attempted to invoke the non-streaming '{target}' method with a \
                 streaming invocation."
            ),
            Self::IdInUse => format!("Invocation ID '{id}' is already in use."),
            Self::TooManyCalls { max } => HubError::Client(format!(
                "Too many calls are under way on this connection (at most {max})."
            ))
            .told(&failed(target), detailed),
            Self::Failed(error) => error.told(&failed(target), detailed),
            Self::StreamFailed(error) => {
                error.told("An error occurred on the server while streaming results.", detailed)
            }
        }
    }
}

/// What every failed call is told first.
fn failed(target: &str) -> String {
    format!("An unexpected error occurred invoking '{target}' on the server.")
}

impl From<HubError> for CallError {
    fn from(error: HubError) -> Self {
        Self::Failed(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_client_error_is_told_without_detailed_errors() {
        let plain = CallError::Failed(HubError::internal("secret"));
        let base = "An unexpected error occurred invoking 'M' on the server.";
        assert_eq!(plain.text("M", "1", false), base);
        assert_eq!(plain.text("M", "1", true), format!("{base} Exception: secret"));
        let told = CallError::Failed(HubError::client("no"));
        assert_eq!(told.text("M", "1", false), format!("{base} HubException: no"));
    }

    #[test]
    fn any_error_turns_into_an_internal_one_named_after_its_type() {
        let error = HubError::from("x".parse::<i32>().unwrap_err());
        assert_eq!(error.to_string(), "ParseIntError: invalid digit found in string");
    }
}
