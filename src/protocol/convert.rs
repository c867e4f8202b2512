//! A value of one protocol, said in the other, without a tree in between.

mod to_json;
mod to_messagepack;

pub(super) use to_json::to_json;
pub(super) use to_messagepack::to_message_pack;
