//! The load loop against servers in memory: phases, slots, timeouts and reconnects without a
//! network.
//!
//! Nothing here depends on how fast the machine is, only on what comes before what.

#[path = "../common/mod.rs"]
mod common;
mod counted_window;
mod counting;
mod draws;
mod stopping;
mod trouble;
mod waves;

use std::sync::Arc;
use std::time::Duration;

use bench_client::connector::{MockAnswer, MockConnector, Outcome};
use bench_client::load::LoadPlan;
use busload_wire::Transfer;

const MS: Duration = Duration::from_millis(1);

fn plan() -> LoadPlan {
    common::small_load()
}

fn mock(script: impl Fn(u64, &Transfer) -> MockAnswer + Send + Sync + 'static) -> MockConnector {
    MockConnector::new(Arc::new(script))
}

/// Commits everything after this long.
fn commits(after: Duration) -> MockConnector {
    mock(move |_, _| MockAnswer::After(after, Outcome::Committed))
}
