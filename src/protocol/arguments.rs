//! Lists of arguments: what an event, a question or an invocation carries.

use super::raw::{EncodeError, RawArguments, RawValue};
use super::wire::{Protocol, ToWire};

/// Arguments that can be written in both protocols: tuples of [`ToWire`] values up to eight,
/// `Vec<RawValue>` and [`RawArguments`].
pub trait Arguments: Send + Sync {
    /// Appends the whole array, with its brackets or its MessagePack header.
    fn write(&self, protocol: Protocol, out: &mut Vec<u8>) -> Result<(), EncodeError>;

    /// About how many bytes that will be; a wrong guess costs time, nothing else.
    fn len_hint(&self) -> usize {
        256
    }

    /// The arguments in the protocol they lose nothing in, to be kept.
    fn to_raw(&self) -> Result<RawArguments, EncodeError> {
        let mut out = Vec::with_capacity(self.len_hint());
        self.write(Protocol::Json, &mut out)?;
        Ok(RawArguments::from_checked(Protocol::Json, out.into()))
    }
}

/// Appends an array of what `items` are.
fn write_all(
    items: &[&dyn ToWire],
    protocol: Protocol,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    match protocol {
        Protocol::Json => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                item.write(protocol, out)?;
            }
            out.push(b']');
        }
        Protocol::MessagePack => {
            let count = u32::try_from(items.len()).map_err(EncodeError::new)?;
            rmp::encode::write_array_len(out, count).map_err(EncodeError::new)?;
            for item in items {
                item.write(protocol, out)?;
            }
        }
    }
    Ok(())
}

macro_rules! tuples {
    ($(($($name:ident)*))*) => {$(
        impl<$($name: ToWire),*> Arguments for ($($name,)*) {
            #[allow(non_snake_case, reason = "the macro names values after their types")]
            fn write(&self, protocol: Protocol, out: &mut Vec<u8>) -> Result<(), EncodeError> {
                let ($($name,)*) = self;
                write_all(&[$($name as &dyn ToWire),*], protocol, out)
            }

            #[allow(non_snake_case, reason = "the macro names values after their types")]
            fn len_hint(&self) -> usize {
                let ($($name,)*) = self;
                2 $(+ 1 + $name.len_hint())*
            }
        }
    )*};
}

tuples! {
    () (A) (A B) (A B C) (A B C D) (A B C D E) (A B C D E F) (A B C D E F G) (A B C D E F G H)
}

impl Arguments for Vec<RawValue> {
    fn write(&self, protocol: Protocol, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let items: Vec<&dyn ToWire> = self.iter().map(|value| value as &dyn ToWire).collect();
        write_all(&items, protocol, out)
    }

    fn len_hint(&self) -> usize {
        self.iter().map(|value| 1 + value.bytes().len()).sum::<usize>() + 2
    }
}

impl Arguments for RawArguments {
    fn write(&self, protocol: Protocol, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if !self.is_array() {
            return Err(EncodeError::new("the arguments are no array"));
        }
        // The array is one value too; conversion does not care which it is.
        RawValue::from_checked(self.protocol(), self.bytes().clone()).write_as(protocol, out)
    }

    fn len_hint(&self) -> usize {
        self.bytes().len()
    }

    fn to_raw(&self) -> Result<RawArguments, EncodeError> {
        Ok(self.clone())
    }
}
