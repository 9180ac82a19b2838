//! The rows that the flags ask for.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bench_client::connector::{ConnectorKind, Encoding, Target};
use bench_client::host::environment::Environment;
use bench_client::load::{Measure, Pace};
use bench_client::record::Arrival;
use bench_client::row::{RowPlan, ServerChoice};
use bench_client::workload::Zipf;
use busload_sqlite::Durability;

use super::own_server::{NullServer, connections, null_server};
use super::{ArrivalArg, EncodingArg, LoadArgs};
use crate::cli::usage;

/// What differs from row to row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Knobs {
    pub(super) pace: Pace,
    pub(super) durability: Durability,
    pub(super) batch_size: usize,
    pub(super) batch_timeout: Duration,
    pub(super) max_inflight: usize,
}

impl LoadArgs {
    pub(crate) fn connectors(&self) -> impl Iterator<Item = ConnectorKind> + '_ {
        self.connectors.iter().map(|connector| connector.kind())
    }

    /// One plan per combination of the lists, in the order in which they were written.
    pub(crate) fn plans(&self) -> anyhow::Result<Vec<RowPlan>> {
        self.check_open_loop()?;
        let plans = self.combinations()?;
        self.check(&plans)?;
        Ok(plans)
    }

    pub(super) fn combinations(&self) -> anyhow::Result<Vec<RowPlan>> {
        let mut plans = Vec::new();
        for connector in self.connectors() {
            let inflight = if self.max_inflight_per_worker.is_empty() {
                let default = if self.rate.is_empty() {
                    connector.default_inflight()
                } else {
                    connector.default_inflight_at_a_rate()
                };
                vec![self.env_max_inflight.unwrap_or(default)]
            } else {
                self.max_inflight_per_worker.clone()
            };
            for &alpha in &self.alpha {
                let zipf = self.zipf(alpha)?;
                for &max_inflight in &inflight {
                    let paces = self.paces();
                    let batch_sizes = self.server.batch_sizes();
                    let pairs = batch_sizes
                        .iter()
                        .flat_map(|size| paces.iter().map(move |pace| (*size, *pace)));
                    for (batch_size, pace) in pairs {
                        let knobs = Knobs {
                            pace,
                            durability: self
                                .server
                                .mode()
                                .map_or(Durability::WalFull, |mode| mode.durability),
                            batch_size,
                            batch_timeout: self
                                .server
                                .batch_timeout
                                .or(self.server.batch_environment.batch_timeout())
                                .unwrap_or_default(),
                            max_inflight,
                        };
                        plans.push(self.plan(connector, Arc::clone(&zipf), knobs)?);
                    }
                }
            }
        }
        Ok(plans)
    }

    /// Where these rows are measured.
    pub(crate) fn environment(&self, plans: &[RowPlan]) -> Environment {
        let mut environment =
            Environment::capture(&self.server.data_dir()).with_allocator("mimalloc");
        let own = |plan: &RowPlan| matches!(plan.server, ServerChoice::Own { .. });
        if !plans.iter().any(own) {
            environment.forget_storage();
        }
        environment
    }

    /// A closed loop, or one open loop per rate.
    fn paces(&self) -> Vec<Pace> {
        let open = |&rate: &f64| Pace::Open {
            rate,
            arrival: self.arrival.map_or(Arrival::Constant, ArrivalArg::arrival),
            latency_limit: self.latency_limit,
        };
        if self.rate.is_empty() {
            vec![Pace::Closed]
        } else {
            self.rate.iter().map(open).collect()
        }
    }

    pub(crate) fn zipf(&self, alpha: f64) -> anyhow::Result<Arc<Zipf>> {
        let accounts = u32::try_from(self.accounts).context("too many accounts")?;
        Ok(Arc::new(Zipf::new(accounts, alpha)?))
    }

    fn plan(
        &self,
        connector: ConnectorKind,
        zipf: Arc<Zipf>,
        knobs: Knobs,
    ) -> anyhow::Result<RowPlan> {
        let encoding = match self.encoding {
            EncodingArg::Json => Encoding::Json,
            EncodingArg::Binary if connector == ConnectorKind::SqliteRpc => {
                return Err(usage("--encoding binary needs --connectors sqlite_ws_rpc"));
            }
            EncodingArg::Binary => Encoding::Binary,
        };
        let server = match self.target(connector)? {
            Some(target) => ServerChoice::Url {
                target,
                reseed: self.reseed,
            },
            None => self.own_server(connector, &knobs)?,
        };
        Ok(RowPlan {
            name: None,
            connector,
            encoding,
            server,
            concurrency: self.concurrency,
            max_inflight: knobs.max_inflight,
            threads: usize::from(self.threads),
            pace: knobs.pace,
            zipf,
            initial_balance: self.initial_balance,
            amount: self.amount,
            seed: self.seed,
            warmup: Duration::from_secs_f64(self.warmup),
            measure: match self.transfers {
                Some(n) => Measure::Transfers(n),
                None => Measure::For(Duration::from_secs_f64(self.seconds)),
            },
            op_timeout: self.op_timeout,
            exactly_once: self.once.resolve(),
            interval: (!self.no_intervals).then_some(self.interval),
            verify: self.verify.plan(),
            null_server: (!self.no_null_server)
                .then(|| {
                    null_server(&NullServer {
                        connector,
                        batch_size: knobs.batch_size,
                        batch_timeout: knobs.batch_timeout,
                        accounts: self.accounts,
                        connections: connections(connector, self.concurrency, knobs.max_inflight),
                        io_threads: self.server.io_threads,
                    })
                })
                .transpose()?,
        })
    }

    /// The URL given for this connector, by flag or environment.
    fn target(&self, connector: ConnectorKind) -> anyhow::Result<Option<Target>> {
        let from_env = match connector {
            ConnectorKind::SqliteRpc => &self.env_rpc_url,
            ConnectorKind::SqliteWsRpc => &self.env_ws_rpc_url,
        };
        if let Some(url) = &self.url
            && self.connectors.len() == 1
        {
            check_scheme(url, connector)?;
        }
        let url = self
            .url
            .as_ref()
            .or(from_env.as_ref().filter(|url| !url.is_empty()));
        url.map(|url| self.credentials.target(url)).transpose()
    }
}

/// A server answers on one transport: on the other, the URL would reach something else or
/// nothing. (In the variables the original's clients replace the scheme by their own.)
fn check_scheme(url: &str, connector: ConnectorKind) -> anyhow::Result<()> {
    let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
    let of_url = match scheme {
        "http" | "https" => ConnectorKind::SqliteRpc,
        "ws" | "wss" => ConnectorKind::SqliteWsRpc,
        // No URL of a server: said where it is read.
        _ => return Ok(()),
    };
    if of_url == connector {
        return Ok(());
    }
    Err(usage(&format!(
        "--url {scheme}://… is for --connectors {}, and {} speaks {}: name the other connector, or \
         write the URL that the server announced",
        of_url.as_str(),
        connector.as_str(),
        connector.transport(),
    )))
}
