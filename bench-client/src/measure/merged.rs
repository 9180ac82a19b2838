//! The server after several load machines have drained: what none of them could look at alone.

use super::balances::{Before, seeded};
use super::snapshot::own_verification;
use super::{RowError, Surroundings};
use crate::config::RunConfig;
use crate::control::{ControlClient, ControlError};
use crate::load::{Accounts, Moves};
use crate::observation::{AccountChange, LedgerObservation, Observation};
use crate::target::endpoint;

/// Completes what all shards saw with the ledger as it is now. `config` says where the server is.
///
/// # Errors
/// It cannot be asked, although no shard saw it die.
pub async fn complete(
    config: &RunConfig,
    mut merged: Observation,
    around: &Surroundings<'_>,
) -> Result<Observation, RowError> {
    let endpoint = endpoint(&config.target)?
        .ok_or_else(|| RowError::Unsuitable("merge needs the server: name its --url".to_owned()))?;
    let mut control = ControlClient::new(config.connector, endpoint);
    let changes = merged.load.account_changes.take().unwrap_or_default();
    let moved = Accounts::of_changes(config.workload.accounts, changes.into_iter().map(change));
    let mut system = merged.system.take().unwrap_or_default();
    around.progress.stage("verifying");
    let told = async {
        let stats = control.stats(config.verification().is_some()).await?;
        let before = Before::as_seeded(config);
        let checked = before.check(config, around, &mut control, &moved).await?;
        let info = control.info().await?;
        Ok::<_, ControlError>((stats, checked, info))
    };
    match told.await {
        Ok((stats, checked, info)) => {
            let pid_before = system.info.as_ref().map(|info| info.pid);
            let pid_now = info.map(|info| info.pid);
            system.replaced = pid_now.is_some() && pid_now != pid_before;
            system.run.after = stats;
            let said = system.info.as_ref();
            let own_verify = own_verification(config, &mut control, said, system.replaced).await;
            system.ledger = LedgerObservation {
                seeded: seeded(config),
                must_differ: moved.must_differ(),
                checked,
                own_verify,
            };
        }
        // Somebody saw it go.
        Err(error) if merged.load.gave_up > 0 => system.died = Some(crate::with_causes(&error)),
        Err(error) => return Err(error.into()),
    }
    control.close().await;
    merged.system = Some(system);
    Ok(merged)
}

fn change((account, change): (u32, AccountChange)) -> (u32, Moves, Moves) {
    let [acknowledged, unknown] = [change.acknowledged, change.unknown].map(|moves| Moves {
        debits: moves.debits,
        credits: moves.credits,
    });
    (account, acknowledged, unknown)
}
