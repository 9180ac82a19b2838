//! `bench-client reproduce`.
use std::process::ExitCode;
#[derive(Debug, clap::Args)]
pub(crate) struct ReproduceArgs {}
pub(crate) fn run(_args: &ReproduceArgs) -> anyhow::Result<ExitCode> { Ok(ExitCode::SUCCESS) }
