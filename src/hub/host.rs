//! A hub with its options, ready to talk with clients.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::ack_methods;
use super::clients::HubContext;
use super::definition::Hub;
use super::farewell;
use super::greeting;
use super::methods::Methods;
use super::metrics::Metrics;
use super::options::HubOptions;
use super::running::guarded;
use super::seat::{Core, House, Seat, Served};
use super::session::Session;
use super::visit::Visit;
use crate::connections::{Endpoint, Opening, Pipe};
use crate::delivery::{AckMode, Delivery};

/// One hub of the server: gives every connection of its path a session.
pub struct HubHost<H: Hub> {
    house: Arc<House>,
    served: Arc<Served<H>>,
}

impl<H: Hub> HubHost<H> {
    /// Hosts a hub. `delivery` must know its name.
    pub fn new(
        hub: H,
        options: HubOptions,
        delivery: Arc<Delivery>,
        metrics: &Metrics,
    ) -> Arc<Self> {
        let context = HubContext::new(options.name.clone(), delivery, options.ask_deadline);
        let counters = metrics.of_hub(&options.name);
        let mut methods = Methods::of(&hub);
        if options.acks.contains(&AckMode::Method) {
            ack_methods::add_to(&mut methods);
        }
        Arc::new(Self {
            house: Arc::new(House { options, context, counters }),
            served: Arc::new(Served { hub, methods }),
        })
    }

    /// The hub's context, to speak from outside its methods.
    pub fn context(&self) -> HubContext {
        self.house.context.clone()
    }

    /// The hub.
    pub fn hub(&self) -> &H {
        &self.served.hub
    }

    /// The options it is hosted with.
    pub fn options(&self) -> &HubOptions {
        &self.house.options
    }
}

impl<H: Hub> Endpoint for HubHost<H> {
    fn converse(&self, pipe: Pipe, opening: Opening) -> BoxFuture<'static, ()> {
        let (house, served) = (self.house.clone(), self.served.clone());
        let connection = pipe.connection().clone();
        Box::pin(async move {
            let core = Core::new(connection.clone(), house, opening);
            let seat = Arc::new(Seat { core, served, state: H::State::default() });
            // Boxed: by value it would be stored twice, in every idle connection.
            let session = Box::pin(guarded(converse(pipe, seat.clone())));
            if let Err(panic) = Pipe::in_turns(&connection, session).await {
                Box::pin(farewell::after_panic(seat, panic)).await;
            }
        })
    }
}

/// A connection waits in `run` nearly all its life: what comes before and after is boxed, so that
/// it takes no memory meanwhile.
async fn converse<H: Hub>(pipe: Pipe, seat: Arc<Seat<H>>) {
    let Some(greeted) = Box::pin(greeting::greet(pipe, &seat.core)).await else { return };
    let _visit = Visit::begin(seat.clone());
    let mut session = Session::new(greeted, seat);
    let farewell = match Box::pin(session.welcome()).await {
        Ok(()) => {
            session.catch_up();
            session.run().await
        }
        Err(farewell) => farewell,
    };
    Box::pin(session.depart(farewell)).await;
}
