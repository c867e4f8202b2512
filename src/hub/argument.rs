//! What a method's parameters may be: values, and uploads.

use std::sync::Arc;

use smallvec::SmallVec;

use super::upload::{Upload, UploadQueue};
use crate::protocol::{BindError, FromWire, Protocol, RawArguments, RawValue};

/// The uploads of one call; nearly always none or one.
pub(super) type Queues = SmallVec<[Arc<UploadQueue>; 1]>;

/// A parameter of a hub method: every [`FromWire`] type, and [`Upload`].
pub trait Argument: Sized + Send + 'static {
    /// Whether it is an upload, which is not among the arguments of the message.
    const IS_UPLOAD: bool;

    /// Takes the next one.
    fn take(inputs: &mut Inputs) -> Result<Self, BindError>;
}

impl<T: FromWire + Send + 'static> Argument for T {
    const IS_UPLOAD: bool = false;

    fn take(inputs: &mut Inputs) -> Result<Self, BindError> {
        inputs.value()
    }
}

impl<T: FromWire + 'static> Argument for Upload<T> {
    const IS_UPLOAD: bool = true;

    fn take(inputs: &mut Inputs) -> Result<Self, BindError> {
        // The numbers were compared before.
        let queue = inputs.uploads.next().ok_or_else(|| BindError::new("No upload is left."))?;
        Ok(Self::new(queue))
    }
}

/// What a call brings for the parameters of its method, in order.
pub struct Inputs {
    protocol: Protocol,
    values: smallvec::IntoIter<[RawValue; 4]>,
    taken: usize,
    uploads: smallvec::IntoIter<[Arc<UploadQueue>; 1]>,
}

impl Inputs {
    /// Errors unless the call brings exactly `expected` values.
    pub(super) fn new(
        arguments: &RawArguments,
        uploads: Queues,
        expected: usize,
    ) -> Result<Self, BindError> {
        let values = arguments.values()?;
        if values.len() != expected {
            return Err(BindError::new(format!(
                "Invocation provides {} argument(s) but target expects {expected}.",
                values.len()
            )));
        }
        Ok(Self {
            protocol: arguments.protocol(),
            values: values.into_iter(),
            taken: 0,
            uploads: uploads.into_iter(),
        })
    }

    fn value<T: FromWire>(&mut self) -> Result<T, BindError> {
        self.taken += 1;
        let bound = self.values.next().map(|raw| raw.bind());
        // In .NET only the MessagePack reader says which argument it was (section 4.6, B05).
        bound.and_then(Result::ok).ok_or_else(|| {
            let which = match self.protocol {
                Protocol::Json => "arguments".to_owned(),
                Protocol::MessagePack => format!("argument {}", self.taken),
            };
            BindError::new(format!(
                "Error binding {which}. Make sure that the types of the provided values match \
                 the types of the hub method being invoked."
            ))
        })
    }
}
