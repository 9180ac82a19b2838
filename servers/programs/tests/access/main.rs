//! Who may connect: each rule, over HTTP and as a WebSocket handshake, against servers that run
//! as processes of their own; what is refused is not applied, and nothing shows a secret.

#![cfg(target_os = "linux")]

mod certificate;
mod client;
mod doors;
mod seeding;
mod starting;
#[path = "../support/mod.rs"]
mod support;
mod tls;
