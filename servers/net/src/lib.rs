//! Sockets of servers and clients alike: plain or under TLS, WebSocket frames on them, and what
//! shows whom the other side is.
//!
//! **Architecture invariant:** nothing here knows a message of the protocol, a rule of who may
//! connect, or an engine.

pub mod frames;
mod stream;
pub mod tls;
pub mod token;

pub use stream::Stream;
