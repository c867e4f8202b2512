//! Why a client's result did not come, in the words of section 5.7.

use super::error::HubError;
use crate::delivery::AskError;

/// Why a question to a client has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskFailed {
    /// In `on_connected` the client's answer could not be read.
    #[error("Client results inside OnConnectedAsync Hub methods are not allowed.")]
    NotYet,
    /// The answer does not fit the type.
    #[error("Error trying to deserialize result to {wanted}. {detail}")]
    WrongType {
        /// The type that was asked for.
        wanted: &'static str,
        /// Why it does not fit.
        detail: String,
    },
    /// Nobody answered, or with an error.
    #[error(transparent)]
    Unanswered(#[from] AskError),
}

impl AskFailed {
    /// As .NET's exceptions of these names: what the asked client said is shown to the caller.
    pub(super) fn as_hub_error(&self) -> HubError {
        let kind = match self {
            Self::WrongType { .. } | Self::Unanswered(AskError::Refused(_)) => {
                return HubError::Client(self.to_string());
            }
            Self::NotYet => "InvalidOperationException",
            Self::Unanswered(AskError::NoSuchConnection(_) | AskError::Disconnected(_)) => {
                "IOException"
            }
            Self::Unanswered(AskError::TimedOut) => "OperationCanceledException",
            Self::Unanswered(
                AskError::Full | AskError::NotEncodable(_) | AskError::Delivery(_),
            ) => "Exception",
        };
        HubError::of_kind(kind, self.to_string())
    }
}
