//! What acknowledged delivery promises, over the store in memory and sockets in memory.
//!
//! Time is paused: the tests wait for minutes and take milliseconds.

mod breaking;
mod breaking_links;
mod chaos;
mod coming_back;
mod live;
mod model;
mod modes;
mod order;
mod publishing;
mod repeating;
mod stock;
mod trouble;
mod unread;
mod world;
