//! Before the load: whether the server has what the workload needs.

use busload_wire::control::Info;

use super::{RowError, Surroundings};
use crate::config::{RunConfig, Target};
use crate::control::{ControlClient, ControlError};
use crate::figures::grouped;

/// Makes sure that there is a ledger with the accounts that the workload names.
pub(super) async fn prepare(
    config: &RunConfig,
    around: &Surroundings<'_>,
    control: &mut ControlClient,
) -> Result<Option<Info>, RowError> {
    let info = control.info().await?;
    remembers_ids(config, info.as_ref())?;
    let accounts = i64::from(config.workload.accounts);
    if let Target::Url { reseed, .. } = config.target {
        if info.is_none() {
            control.health().await?;
        }
        if reseed {
            around.progress.stage("seeding");
            control
                .seed(accounts, config.workload.initial_balance)
                .await?;
        } else if control.balance(accounts - 1).await?.is_none() {
            return Err(RowError::Unsuitable(format!(
                "the server has no account {}: use --reseed to wipe and seed it, \
                 or --accounts with the number that it has",
                accounts - 1
            )));
        }
    }
    if let Target::Command { about, start, .. } = &config.target {
        let fresh = start.0.names_run_folder();
        seed(config, around, control, &about.name, fresh).await?;
    }
    Ok(info)
}

/// Seeds the ledger of a server that somebody else wrote, unless it has done so itself. One that is
/// not fresh is always wiped: it may look like one, with the transfers of an earlier run in it.
async fn seed(
    config: &RunConfig,
    around: &Surroundings<'_>,
    control: &mut ControlClient,
    name: &str,
    fresh: bool,
) -> Result<(), RowError> {
    let workload = &config.workload;
    let (accounts, balance) = (i64::from(workload.accounts), workload.initial_balance);
    // One that makes accounts as they are asked for has none beyond.
    let is_seeded = async |control: &mut ControlClient| {
        let last = control.balance(accounts - 1).await?;
        let beyond = control.balance(accounts).await?;
        Ok::<_, ControlError>(last == Some(balance) && beyond.is_none())
    };
    let seeds_itself = is_seeded(control).await.unwrap_or(false);
    if seeds_itself && fresh {
        return Ok(());
    }
    around.progress.stage("seeding");
    match control.seed(accounts, balance).await {
        Err(ControlError::UnknownMethod(_)) if seeds_itself => Ok(()),
        Err(ControlError::UnknownMethod(_)) => Err(RowError::Unsuitable(format!(
            "{name} does not know the method seed, and its fresh ledger lacks {} accounts \
             with {balance} each: give it {{accounts}} and {{initial_balance}} in its command",
            grouped(accounts.unsigned_abs())
        ))),
        seeded => Ok(seeded?),
    }
}

/// With `--exactly-once` a server that forgets is refused: a repetition would be a second
/// transfer. (The null server applies nothing.)
pub(super) fn remembers_ids(config: &RunConfig, info: Option<&Info>) -> Result<(), RowError> {
    let Some(resolve) = config.load.resolve() else {
        return Ok(());
    };
    if config.target.is_null() {
        return Ok(());
    }
    let info = info.filter(|info| info.exactly_once == Some(true));
    let Some(info) = info else {
        return Err(RowError::Unsuitable(
            "the server does not say that it applies a transfer with an id once: leave out \
             --exactly-once, or use a server whose info has exactly_once true"
                .to_owned(),
        ));
    };
    let needed = (config.load.op_timeout + resolve.timeout).as_secs_f64();
    match info.id_horizon_seconds {
        Some(horizon) if horizon <= needed => Err(RowError::Unsuitable(format!(
            "the server remembers ids for {horizon} s, and a transfer may be sent again for \
             {needed} s: lower --timeout or --resolve-timeout, or raise the server's \
             --id-horizon"
        ))),
        _ => Ok(()),
    }
}
