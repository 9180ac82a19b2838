//! From a configuration to the load that it describes.

use std::sync::{Arc, Mutex, PoisonError};

use busload_generator::with_connector;

use crate::config::{RunConfig, Shard};
use crate::connector::Endpoint;
use crate::load::{Load, LoadError, LoadPlan};
use crate::workload::{Zipf, ZipfError};

/// The last table that was made: rows after each other mostly share one, and it is large.
static LAST: Mutex<Option<Arc<Zipf>>> = Mutex::new(None);

/// The distribution of accounts.
pub(super) fn zipf(config: &RunConfig) -> Result<Arc<Zipf>, ZipfError> {
    let (accounts, alpha) = (config.workload.accounts, config.workload.alpha);
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    let same =
        |it: &&Arc<Zipf>| it.account_count() == accounts && it.alpha().to_bits() == alpha.to_bits();
    if let Some(zipf) = last.as_ref().filter(same) {
        return Ok(Arc::clone(zipf));
    }
    // Not both at the same time.
    *last = None;
    let zipf = Arc::new(Zipf::new(accounts, alpha)?);
    *last = Some(Arc::clone(&zipf));
    Ok(zipf)
}

/// Connects all workers of this machine's part of the load.
pub(super) async fn connect(
    config: &RunConfig,
    shard: Shard,
    zipf: Arc<Zipf>,
    endpoint: Endpoint,
) -> Result<Load, LoadError> {
    let load = &config.load;
    let plan = LoadPlan {
        workers: load.concurrency,
        shard,
        max_inflight: load.max_inflight_per_worker,
        threads: load.threads,
        pace: load.pace(),
        zipf,
        amount: config.workload.amount,
        seed: config.workload.seed,
        warmup: load.warmup,
        measure: load.measure(),
        op_timeout: load.op_timeout,
        exactly_once: load.resolve(),
        interval: load.interval(),
    };
    with_connector!(config.connector, config, endpoint, |connector| {
        Load::connect(connector, plan).await
    })
}
