//! What flags may not say together, and what the machine does not allow.

use anyhow::Context as _;
use bench_client::row::{RowPlan, ServerChoice};
use busload_frontend::cli::check_apply;
use busload_sqlite::{Apply, Durability};

use super::LoadArgs;
use super::own_server::connections;
use crate::cli::usage;

/// Descriptors besides those of the load: database, control plane, standard streams.
const OTHER_DESCRIPTORS: u64 = 64;

impl LoadArgs {
    /// A rate may be given by a sweep as well, which is why clap does not check this.
    pub(super) fn check_open_loop(&self) -> anyhow::Result<()> {
        let flags = [
            (self.arrival.is_some(), "--arrival"),
            (self.latency_limit.is_some(), "--latency-limit"),
        ];
        match flags.into_iter().find(|(given, _)| *given) {
            Some((_, flag)) if self.rate.is_empty() => {
                Err(usage(&format!("{flag} is for an open loop: give a --rate")))
            }
            _ => Ok(()),
        }
    }

    /// What no row may contradict: flags that do not go together, limits of the machine.
    pub(super) fn check(&self, plans: &[RowPlan]) -> anyhow::Result<()> {
        if let Some(warning) = self.server.mode().and_then(|mode| mode.warning) {
            eprintln!("warning: {warning}");
        }
        let mode = self.server.mode().map(|mode| mode.durability);
        check_apply(
            self.server.apply.unwrap_or(Apply::PerTransfer),
            mode.unwrap_or(Durability::WalFull),
        )
        .map_err(|error| usage(&error.to_string()))?;
        if self.url.is_some() && self.connectors.len() > 1 {
            return Err(usage(
                "--url goes with one connector: name it with --connectors",
            ));
        }
        let at_url = plans
            .iter()
            .any(|plan| matches!(plan.server, ServerChoice::Url { .. }));
        if let Some(flag) = self.server.given().filter(|_| at_url) {
            return Err(usage(&format!(
                "{flag} is for a server that this program starts, not for one at a URL \
                 (--url, SQLITE_RPC_URL, SQLITE_WS_RPC_URL)"
            )));
        }
        if let Some(flag) = self.credentials.given().filter(|_| !at_url) {
            return Err(usage(&format!(
                "{flag} goes with --url: a server that this program starts needs none"
            )));
        }
        if self.reseed && !at_url && self.server.named_database().is_none() {
            return Err(usage(
                "--reseed goes with --url: a database of this program's own is always seeded",
            ));
        }
        if i128::from(self.initial_balance) * i128::from(self.accounts) > i128::from(i64::MAX) {
            return Err(usage(
                "accounts times initial balance does not fit 64 bits: lower --initial-balance",
            ));
        }
        check_descriptors(plans)
    }
}

/// Every connection needs a descriptor here; a server of our own, as many in its process.
pub(crate) fn check_descriptors(plans: &[RowPlan]) -> anyhow::Result<()> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let of_plan = |plan: &RowPlan| connections(plan.connector, plan.concurrency, plan.max_inflight);
    let needed = plans.iter().map(of_plan).max().unwrap_or(0) as u64 + OTHER_DESCRIPTORS;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).context("cannot read ulimit -n")?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).context("cannot raise ulimit -n")?;
    }
    if needed > hard {
        return Err(usage(&format!(
            "the load needs {needed} descriptors and the limit is {hard}: lower --concurrency or \
             --max-inflight-per-worker (over HTTP each transfer in flight has a connection of \
             its own), or raise ulimit -n"
        )));
    }
    Ok(())
}
