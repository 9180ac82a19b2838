//! What flags may not say together, and what the machine does not allow.

use anyhow::Context as _;
use bench_client::config::{ConnectorKind, RunConfig};
use bench_client::figures::grouped;
use bench_client::target::cpus;
use busload_frontend::cli::ServerConfig;
use clap::{Arg, Args as _, Command, ValueEnum as _};

use super::LoadFlags;
use crate::cli::usage;

/// Descriptors besides those of the load: database, control plane, standard streams.
const OTHER_DESCRIPTORS: u64 = 64;

impl LoadFlags {
    /// Flags that go with others.
    pub(super) fn check_flags(&self) -> anyhow::Result<()> {
        if !self.has("rate")
            && let Some(flag) = ["arrival", "latency-limit"].iter().find(|it| self.has(it))
        {
            return Err(usage(&format!(
                "--{flag} is for an open loop: give a --rate"
            )));
        }
        let chooses = ["target", "server-command"].map(|flag| self.has(flag));
        if self.has("connector") && chooses[0] {
            return Err(usage(
                "--connector goes without --target: each target says its own connector",
            ));
        }
        if chooses == [true, true] {
            return Err(usage(
                "--server-command is a target by itself: leave out --target",
            ));
        }
        let connectors = self.value("connector").unwrap_or_default();
        let targets = self.value("target").unwrap_or_default();
        if (self.has("url") && targets.contains(',')) || (chooses[1] && connectors.contains(',')) {
            return Err(usage(
                "--url and --server-command go with one target or connector",
            ));
        }
        if self.has("url") && connectors.contains(',') {
            return Err(usage(
                "--url goes with one connector: name it with --connector",
            ));
        }
        Ok(())
    }

    /// What no row may contradict: knobs that do not go together, limits of the machine.
    pub(super) fn check(&self, rows: &[RunConfig]) -> anyhow::Result<()> {
        rows.iter().try_for_each(check_wire)?;
        let at_url = rows.iter().any(|row| row.target.is_url());
        self.check_server_flags(rows, at_url)?;
        let credentials = ["token-file", "ca"].into_iter();
        if let Some(flag) = credentials.filter(|_| !at_url).find(|flag| self.has(flag)) {
            return Err(usage(&format!(
                "--{flag} goes with --url: a server that this program starts needs none"
            )));
        }
        for row in rows {
            for (flag, set) in [
                ("server-cpus", &row.server_cpus),
                ("client-cpus", &row.client_cpus),
            ] {
                let checked = set.as_ref().map_or(Ok(()), cpus::check);
                checked.map_err(|why| usage(&format!("--{flag}: {why}")))?;
            }
        }
        let too_much = |row: &RunConfig| {
            let workload = &row.workload;
            i128::from(workload.initial_balance) * i128::from(workload.accounts)
                > i128::from(i64::MAX)
        };
        if rows.iter().any(too_much) {
            return Err(usage(
                "accounts times initial balance does not fit 64 bits: lower --initial-balance",
            ));
        }
        check_descriptors(rows)
    }

    /// Flags about a server that is not there to be told.
    fn check_server_flags(&self, rows: &[RunConfig], at_url: bool) -> anyhow::Result<()> {
        let command = ServerConfig::augment_args(Command::new("server"));
        let knobs = command.get_arguments().filter_map(Arg::get_long);
        let knob = { knobs }.find(|name| self.has(name));
        let own = rows.iter().filter(|row| row.target.server().is_some());
        if let Some(knob) = knob
            && (own.count() == 0 || self.is_list(knob))
            && let Some(other) = rows.iter().find(|row| row.target.server().is_none())
            && !other.target.is_url()
        {
            let name = other.subject();
            return Err(usage(&format!(
                "--{knob} is a knob of this program's own servers, and {name} says itself how it \
                 is started"
            )));
        }
        let of_started = ["data-dir", "keep", "server-cpus"].into_iter();
        let flag = knob.or_else(|| { of_started }.find(|name| self.has(name)));
        if let Some(flag) = flag.filter(|_| at_url) {
            return Err(usage(&format!(
                "--{flag} is for a server that this program starts, not for one at a URL \
                 (--url, SQLITE_RPC_URL, SQLITE_WS_RPC_URL)"
            )));
        }
        Ok(())
    }
}

/// What the connector of a row cannot do.
fn check_wire(row: &RunConfig) -> anyhow::Result<()> {
    let (connector, encoding) = (row.connector, row.encoding);
    if !connector.encodings().contains(&encoding) {
        let kinds = ConnectorKind::value_variants().iter();
        let mut able = kinds.filter(|kind| kind.encodings().contains(&encoding));
        let able = able.next_back().map_or("", |kind| kind.as_str());
        return Err(usage(&format!(
            "--encoding {encoding} needs --connector {able}"
        )));
    }
    if connector.confirmed_reads().is_none() && row.confirmed_reads.is_some() {
        return Err(usage(&format!(
            "--confirmed-reads is for --connector {}: {connector} answers as its server's \
             --durability says",
            ConnectorKind::SpacetimeDb,
        )));
    }
    if !connector.speaks_transfer_protocol() && row.load.exactly_once {
        return Err(usage(&format!(
            "--exactly-once needs transfer ids, which {connector} does not have: leave it out"
        )));
    }
    Ok(())
}

/// Every connection needs a descriptor here; a server of our own, as many in its process.
pub(crate) fn check_descriptors(rows: &[RunConfig]) -> anyhow::Result<()> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let connections = rows.iter().map(RunConfig::connections).max();
    let needed = connections.unwrap_or(0) as u64 + OTHER_DESCRIPTORS;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).context("cannot read ulimit -n")?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).context("cannot raise ulimit -n")?;
    }
    if needed > hard {
        return Err(usage(&format!(
            "the load needs {} descriptors and the limit is {}: lower --concurrency or \
             --inflight (over HTTP each transfer in flight has a connection of \
             its own), or raise ulimit -n",
            grouped(needed),
            grouped(hard)
        )));
    }
    Ok(())
}
