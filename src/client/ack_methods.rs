//! What a client says about acknowledged messages: the names both sides use.

/// The query parameter with the client id, the lasting half of a subscriber.
pub const CLIENT_ID_PARAMETER: &str = "clientId";
/// The query parameter with the way of acknowledging.
pub const ACKS_PARAMETER: &str = "acks";

/// `(messageId)`: handled.
pub const ACKNOWLEDGE: &str = "AcknowledgeMessage";
/// `(messageIds[])`: all of them handled, in one invocation.
pub const ACKNOWLEDGE_MANY: &str = "AcknowledgeMessages";
/// `(messageId, errorMessage?)`: not handled, to be sent again after the server's own wait.
pub const NACK: &str = "NackMessage";
/// `(messageId, errorMessage?, delayMs)`: not handled, to be sent again after this wait.
pub const NACK_AFTER: &str = "NackMessageAfter";
/// `(messageId)`: still at it, the whole answer time anew.
pub const EXTEND: &str = "ExtendMessage";
/// `(messageId, errorMessage?)`: not handled and never will be; a dead letter.
pub const GIVE_UP: &str = "GiveUpMessage";
/// `(messageId)`: where a message of the caller stands, as a number, or null.
pub const STATUS: &str = "GetMessageStatus";

/// The event that says that something ordinary could not be replayed (decision D4).
pub const GAP_EVENT: &str = "gap";
