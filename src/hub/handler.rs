//! Async functions of up to eight arguments as methods of a hub.

use std::future::Future;

use super::argument::{Argument, Inputs};
use super::context::Context;
use super::definition::Hub;
use crate::protocol::BindError;

/// A function `(Context<H>, …up to eight arguments) -> impl Future`. `Signature` only tells the
/// implementations apart.
pub trait Handler<H: Hub, Signature>: Clone + Send + Sync + 'static {
    /// What its future yields.
    type Output;
    /// The call under way.
    type Future: Future<Output = Self::Output> + Send + 'static;
    /// How many values it takes from the message's arguments.
    const VALUES: usize;
    /// How many uploads it takes.
    const UPLOADS: usize;

    /// Binds the arguments and begins the call.
    fn begin(&self, context: Context<H>, inputs: &mut Inputs) -> Result<Self::Future, BindError>;
}

macro_rules! handlers {
    ($(($($argument:ident)*))*) => {$(
        impl<H, F, Running, $($argument),*> Handler<H, ($($argument,)*)> for F
        where
            H: Hub,
            F: Fn(Context<H>, $($argument),*) -> Running + Clone + Send + Sync + 'static,
            Running: Future + Send + 'static,
            $($argument: Argument),*
        {
            type Output = Running::Output;
            type Future = Running;
            const VALUES: usize = 0 $(+ !$argument::IS_UPLOAD as usize)*;
            const UPLOADS: usize = 0 $(+ $argument::IS_UPLOAD as usize)*;

            #[allow(unused_variables, reason = "a method without arguments takes no inputs")]
            fn begin(
                &self,
                context: Context<H>,
                inputs: &mut Inputs,
            ) -> Result<Running, BindError> {
                // Evaluated from left to right, which is the order of the parameters.
                Ok(self(context, $($argument::take(inputs)?),*))
            }
        }
    )*};
}

handlers! {
    () (A) (A B) (A B C) (A B C D) (A B C D E) (A B C D E G) (A B C D E G I) (A B C D E G I J)
}
