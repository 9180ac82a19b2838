//! One suite for every connector: what the load loop relies on, whatever the transport.
//!
//! A connector that is not in the list at the end does not count.

#![cfg(target_os = "linux")]

mod against_strange_peers;
#[path = "../common/mod.rs"]
mod common;
mod mock;
#[allow(dead_code, reason = "runs use the rest of it")]
#[path = "../spacetimedb/server.rs"]
mod server;
mod subject;

use std::time::Duration;

use bench_client::config::{ConnectorKind, Encoding};
use bench_client::control::ControlClient;
use busload_frontend::Transport;
use common::{InProcess, directory, settings, within};
use subject::{HTTP, SPACETIMEDB_V2, SPACETIMEDB_V3, WS_BINARY, WS_JSON};

macro_rules! conforms {
    ($($subject:ident as $name:ident: $($test:ident)*;)*) => {
        $(mod $name {
            $(#[test]
            fn $test() {
                super::$subject.$test();
            })*
        })*
    };
}

macro_rules! each_conforms {
    ($($subject:ident as $name:ident),*) => {
        conforms! {$(
            $subject as $name:
                every_answer_is_matched
                no_answer_is_lost_to_a_dropped_future
                full_pipelines_do_not_wait_for_each_other
                a_forgotten_request_is_answered_in_vain
                a_dead_server_is_noticed
                a_graceful_stop_answers_what_was_taken;
        )*}
    };
}

each_conforms!(
    HTTP as http,
    WS_JSON as ws_json,
    WS_BINARY as ws_binary,
    SPACETIMEDB_V2 as spacetimedb_v2,
    SPACETIMEDB_V3 as spacetimedb_v3
);

#[test]
fn the_suite_that_targets_check_uses_passes_on_our_own_servers() {
    HTTP.the_suite_of_targets_passes(ConnectorKind::SqliteRpc, Encoding::Json);
    WS_JSON.the_suite_of_targets_passes(ConnectorKind::SqliteWsRpc, Encoding::Json);
    WS_BINARY.the_suite_of_targets_passes(ConnectorKind::SqliteWsRpc, Encoding::Binary);
}

/// A run asks at its beginning and at its end; in between, the server may close what is idle.
#[test]
fn a_control_connection_outlives_its_idle_timeout() {
    for transport in [Transport::Http, Transport::Ws] {
        let directory = directory();
        let mut settings = settings(directory.path(), transport);
        settings.limits.idle_timeout = Duration::from_millis(50);
        let server = InProcess::start(settings);
        let mut control = match transport {
            Transport::Http => ControlClient::new(ConnectorKind::SqliteRpc, server.target.clone()),
            Transport::Ws => ControlClient::new(ConnectorKind::SqliteWsRpc, server.target.clone()),
        };
        within(async {
            for _ in 0..3 {
                control.health().await.expect("an answer");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        });
    }
}
