//! Time limits without a timer per message: of writing, of HTTP requests, of WebSocket peers.

mod connection_state;
mod keep_alive;
mod timer;
mod write_timeout;

pub(crate) use connection_state::ConnectionState;
pub(crate) use keep_alive::{Due, KeepAlive};
pub(crate) use write_timeout::WriteTimeout;
