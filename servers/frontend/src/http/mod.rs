//! HTTP: a connection from its acceptance to its end or its upgrade, and what is asked over it.

mod connection;
mod requests;

pub(crate) use connection::accept;
