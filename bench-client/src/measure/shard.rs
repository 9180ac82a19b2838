//! One machine's part of a load that several put on together: it begins when the others do, and
//! leaves the ledger to whoever merges what all of them saw.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use busload_wire::control::Info;
use jiff::Timestamp;

use super::balances::seeded;
use super::clock::Clock;
use super::counters::WindowSamples;
use super::locate::Location;
use super::plan::{connect, zipf};
use super::prepare::{prepare, remembers_ids};
use super::snapshot::ServerSnapshot;
use super::{RowError, Surroundings, collect, drive, null, or_interrupt, processor_speed};
use crate::config::{RunConfig, Shard};
use crate::connector::Endpoint;
use crate::control::{ControlClient, ControlError};
use crate::host::spin;
use crate::load::{self, Accounts};
use crate::observation::{AccountChange, Moves, Observation, ShardPart, SystemObservation};
use crate::target::cpus::Pinned;
use crate::target::endpoint;

/// How long before the start workers connect: sooner, and a server might take them for idle.
const CONNECT_LEAD: Duration = Duration::from_secs(5);
/// How often a shard looks whether the ledger is seeded.
const SEED_LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// The most that a start may be ahead.
const AHEAD_MAX: Duration = Duration::from_hours(24);

/// Which part of a load, and from when on.
#[derive(Debug, Clone, Copy)]
pub struct ShardPlan {
    /// Which part.
    pub shard: Shard,
    /// When the load begins, warm-up first, by the server's clock.
    pub start_at: Timestamp,
}

/// When the load begins.
fn start_of(plan: &ShardPlan, clock: &Clock) -> Result<Instant, RowError> {
    let (now, whose) = (Instant::now(), clock.whose());
    match clock.when(plan.start_at.as_microsecond(), now) {
        Err(ago) => Err(RowError::Unsuitable(format!(
            "--start-at was {:.1} s ago by {whose} clock: give all shards a later one, with time \
             for seeding and connecting",
            ago.as_secs_f64()
        ))),
        Ok(ahead) if ahead > AHEAD_MAX => Err(RowError::Unsuitable(format!(
            "--start-at is more than a day ahead by {whose} clock: give an earlier one"
        ))),
        Ok(ahead) => Ok(now + ahead),
    }
}

/// Measures one machine's part of a row. Shard 0 seeds, and tells of the server.
///
/// # Errors
/// The server is not there or not as it must be, the ledger was not seeded in time, or the start
/// has passed.
pub async fn measure_shard(
    config: &RunConfig,
    plan: &ShardPlan,
    around: &Surroundings<'_>,
) -> Result<Observation, RowError> {
    let _pinned = Pinned::to(config.client_cpus.as_ref()).map_err(RowError::Cpus)?;
    let speed_before = spin::speed();
    let shard = plan.shard;
    let endpoint = endpoint(&config.target)?.ok_or_else(|| {
        RowError::Unsuitable("a shard needs a server that runs already: name its --url".to_owned())
    })?;
    let zipf = zipf(config)?;
    let mut control = ControlClient::new(config.connector, endpoint.clone());
    around.progress.stage("asking the server for its time");
    let mut clock = Clock::read(&mut control).await?;
    let mut start = start_of(plan, &clock)?;
    if clock.offset.is_none() {
        around.progress.notice(
            "the server does not say its time: the shards start together as far as their \
             machines' own clocks agree",
        );
    }
    let is_first = shard.index == 0;
    let info = if is_first || !seeded(config) {
        prepare(config, around, &mut control).await?
    } else {
        await_seed(config, around, &mut control, start).await?
    };
    if let Some(info) = &info {
        around.progress.server(info);
    }
    let opening = if is_first {
        Some(Opening::look(config, &endpoint, info, &mut control).await?)
    } else {
        None
    };
    // It would be idle until then.
    control.close().await;
    let early = start.checked_sub(CONNECT_LEAD);
    if let Some(early) = early.filter(|early| *early > Instant::now()) {
        around.progress.stage("waiting for --start-at");
        wait_until(early, around).await?;
        // Clocks drift.
        clock = Clock::read(&mut control).await?;
        start = start_of(plan, &clock)?;
        control.close().await;
    }
    around.progress.stage("connecting");
    let connecting = connect(config, shard, zipf, endpoint);
    let load = or_interrupt(&around.interrupted, connecting).await;
    let load = load.ok_or(RowError::Interrupted)??;
    if start <= Instant::now() {
        return Err(RowError::Unsuitable(
            "the workers were connected after --start-at: give all shards a later one".to_owned(),
        ));
    }
    around.progress.stage("waiting for --start-at");
    wait_until(start, around).await?;
    // One machine's look at the server's counters is enough.
    let mut nobody = ControlClient::of_nobody();
    let watching = if is_first { &mut control } else { &mut nobody };
    let pid = opening.as_ref().and_then(|opening| opening.location.pid);
    let mut watched = drive::drive(around, load, start, watching, &mut None, pid).await?;
    // By another reading than the one that it was begun by: what that was wrong by is seen. A
    // server that is gone tells nothing.
    let after = Clock::read(&mut control).await.ok();
    let is_the_same = |after: &Clock| after.offset.is_some() == clock.offset.is_some();
    let after = after.filter(is_the_same).unwrap_or(clock);
    let window_start_us = after.unix_us(watched.window_start);
    control.close().await;
    let samples = watched.samples.take();
    let system = opening.map(|opening| opening.close(samples.as_ref()));
    let mut machine = collect::machine(around, &watched.result, samples.as_ref());
    let changes = changes(&watched.result.accounts);
    let mut load = collect::load(watched);
    load.account_changes = Some(changes);
    load.window_start_unix_us = u64::try_from(window_start_us).unwrap_or_default();
    machine.shard = Some(ShardPart {
        shard,
        window_start_unix_us: load.window_start_unix_us,
        committed: load.window.counts.committed,
        clock: clock.offset,
    });
    machine.processor_speed = processor_speed(speed_before);
    if !load.interrupted && load.gave_up == 0 {
        machine.ceiling_tps = null::ceiling(config, shard, around).await;
    }
    Ok(Observation {
        load,
        machines: vec![machine],
        system,
    })
}

async fn wait_until(time: Instant, around: &Surroundings<'_>) -> Result<(), RowError> {
    let waiting = tokio::time::sleep_until(time.into());
    let waited = or_interrupt(&around.interrupted, waiting).await;
    waited.ok_or(RowError::Interrupted)
}

/// Waits until the ledger is as shard 0 seeds it.
async fn await_seed(
    config: &RunConfig,
    around: &Surroundings<'_>,
    control: &mut ControlClient,
    start: Instant,
) -> Result<Option<Info>, RowError> {
    let info = control.info().await?;
    remembers_ids(config, info.as_ref())?;
    around
        .progress
        .stage("waiting for shard 0 to seed the ledger");
    while !is_as_seeded(config, control).await? {
        let next = Instant::now() + SEED_LOOK_INTERVAL;
        if next >= start {
            return Err(RowError::Unsuitable(
                "shard 0 has not seeded the ledger by --start-at: start it with the same flags, \
                 and give all shards a later --start-at"
                    .to_owned(),
            ));
        }
        wait_until(next, around).await?;
    }
    Ok(info)
}

/// Every account has what it is seeded with, by what the server says of all balances together;
/// of one that says nothing, by three of them.
async fn is_as_seeded(
    config: &RunConfig,
    control: &mut ControlClient,
) -> Result<bool, ControlError> {
    let (accounts, balance) = (config.workload.accounts, config.workload.initial_balance);
    let all = control.stats(true).await?.and_then(|stats| stats.balances);
    if let Some(all) = all {
        let total = i128::from(accounts) * i128::from(balance);
        return Ok(all.accounts == u64::from(accounts)
            && all.lowest.parse() == Ok(balance)
            && all.total.parse() == Ok(total));
    }
    let accounts = i64::from(accounts);
    Ok(control.balance(0).await? == Some(balance)
        && control.balance(accounts - 1).await? == Some(balance)
        && control.balance(accounts).await?.is_none())
}

/// The server as shard 0 sees it before the load.
struct Opening {
    url: String,
    name: Option<String>,
    info: Option<Info>,
    location: Location,
    snapshot: ServerSnapshot,
}

impl Opening {
    async fn look(
        config: &RunConfig,
        endpoint: &Endpoint,
        info: Option<Info>,
        control: &mut ControlClient,
    ) -> Result<Self, ControlError> {
        let location = Location::of(config, endpoint, None, info.as_ref());
        let name = match &info {
            Some(info) => Some(format!("{} {}", info.server, info.version)),
            None => control.said_name().await,
        };
        Ok(Self {
            url: endpoint.url_for(config.connector),
            name,
            snapshot: ServerSnapshot::take(config, control, &location).await?,
            info,
            location,
        })
    }

    /// What shard 0 knows of the server when its own load is over; others may still be draining.
    fn close(self, samples: Option<&WindowSamples>) -> SystemObservation {
        let closing = ServerSnapshot::of_machine(&self.location);
        let seen = collect::system(self.location, samples, self.snapshot, closing);
        SystemObservation {
            url: Some(self.url),
            name: self.name,
            info: self.info,
            ..seen
        }
    }
}

/// What a load did with every account that it named.
fn changes(accounts: &Accounts) -> BTreeMap<u32, AccountChange> {
    let moves = |moves: load::Moves| Moves {
        debits: moves.debits,
        credits: moves.credits,
    };
    let all = (0..accounts.count()).map(|account| {
        let change = AccountChange {
            acknowledged: moves(accounts.acknowledged(account)),
            unknown: moves(accounts.unknown(account)),
        };
        (account, change)
    });
    all.filter(|(_, change)| *change != AccountChange::default())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_accounts_that_were_named_are_told() {
        let moved = |debits, credits| load::Moves { debits, credits };
        let none = load::Moves::default();
        let named = [(3, moved(2, 0), none), (5, none, moved(0, 1))];
        let told = changes(&Accounts::of_changes(9, named));
        assert_eq!(told.keys().copied().collect::<Vec<_>>(), [3, 5]);
        assert_eq!(
            told[&3].acknowledged,
            Moves {
                debits: 2,
                credits: 0
            }
        );
        assert_eq!(
            told[&5].unknown,
            Moves {
                debits: 0,
                credits: 1
            }
        );
    }
}
