//! The flags of verification.

#![allow(
    clippy::doc_markdown,
    reason = "doc comments of arguments are help texts, where backticks are noise"
)]

use std::time::Duration;

use bench_client::row::VerifyPlan;
use busload_frontend::cli::parse_duration_within;
use clap::Args;

/// What is checked when nothing else is said.
pub(crate) const STANDARD_VERIFICATION: VerifyPlan = VerifyPlan {
    accounts: 1024,
    in_flight: 64,
    read_time: Duration::from_secs(5),
};

/// How the ledger is verified.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Do not verify
    #[arg(long)]
    no_verify: bool,
    /// Accounts whose balances are read after the load and compared; a ledger with no more is
    /// compared whole
    #[arg(
        long, value_name = "N", default_value_t = STANDARD_VERIFICATION.accounts,
        value_parser = clap::value_parser!(u32).range(1..=10_000_000), conflicts_with = "no_verify"
    )]
    verify_accounts: u32,
    /// Balances asked for at the same time, each on a connection of its own [1 … 1024]
    #[arg(
        long, value_name = "N", default_value_t = 64,
        value_parser = clap::value_parser!(u16).range(1..=1024), conflicts_with = "no_verify"
    )]
    verify_inflight: u16,
    /// How long balances are read before the load, where this program does not seed: all of them,
    /// or as many as that allows [0ms … 1h]
    #[arg(
        long, value_name = "DURATION", default_value = "5s", value_parser = parse_read_time,
        conflicts_with = "no_verify"
    )]
    verify_read_time: Duration,
}

fn parse_read_time(text: &str) -> Result<Duration, String> {
    let bounds = Duration::ZERO..=Duration::from_hours(1);
    parse_duration_within(text, bounds, "balances are read for 1h at most")
}

impl VerifyArgs {
    pub(super) fn plan(&self) -> Option<VerifyPlan> {
        (!self.no_verify).then(|| VerifyPlan {
            accounts: self.verify_accounts,
            in_flight: usize::from(self.verify_inflight),
            read_time: self.verify_read_time,
        })
    }
}
