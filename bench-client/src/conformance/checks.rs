//! The lines of the suite, in their order: each builds on those before it.

use std::collections::BTreeMap;

use busload_wire::control::Verification;
use busload_wire::{Transfer, TransferId};

use super::exchange::Exchange;
use super::suite::{Suite, said};
use super::transfers::{of_every_kind, small};
use super::{ACCOUNTS, INITIAL_BALANCE, Verdict};
use crate::config::ConnectorKind;
use crate::connector::Outcome;
use crate::control::ControlError;

/// A line.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    Health,
    Seed,
    Accounts,
    Transfer,
    InFlight,
    Rejections,
    Codes,
    Balances,
    Verify,
    Info,
    Stats,
    TransferIds,
}

/// All of them, as they are called.
pub(super) const STEPS: &[(&str, Step)] = &[
    ("health", Step::Health),
    ("seed", Step::Seed),
    ("getAccount", Step::Accounts),
    ("transfer", Step::Transfer),
    ("transfer, many in flight", Step::InFlight),
    ("transfer, refused", Step::Rejections),
    ("transfer, error codes", Step::Codes),
    ("getAccount, after them", Step::Balances),
    ("verify", Step::Verify),
    ("info", Step::Info),
    ("stats", Step::Stats),
    ("transfer_id", Step::TransferIds),
];

/// Where transfers are asked for one connection after the other, each has one of its own.
const IN_FLIGHT_HTTP: u64 = 32;
const IN_FLIGHT_WS: u64 = 512;

impl Suite<'_> {
    pub(super) async fn step(&mut self, step: Step) -> Verdict {
        let done = match step {
            Step::Health => self.health().await,
            Step::Seed => self.seed().await,
            Step::Accounts => self.accounts().await,
            Step::Transfer => self.transfer().await,
            Step::InFlight => self.in_flight().await,
            Step::Rejections => Ok(self.rejections().await),
            Step::Codes => Ok(self.codes().await),
            Step::Balances => self.after_them().await,
            Step::Verify => self.verify().await,
            Step::Info => self.info().await,
            Step::Stats => self.stats().await,
            Step::TransferIds => self.transfer_ids().await,
        };
        done.unwrap_or_else(|error| {
            let why = match &error {
                ControlError::UnknownMethod(method) => {
                    format!("{method} is not known, and no row is measured without it")
                }
                error => crate::with_causes(error),
            };
            // Without a connection nothing was sent.
            if let ControlError::Connect(_) = error {
                return Verdict::Failed(why);
            }
            self.fail(why, None)
        })
    }

    async fn health(&mut self) -> Result<Verdict, ControlError> {
        match self.control.health().await {
            Ok(()) => Ok(Verdict::Passed),
            Err(ControlError::UnknownMethod(_)) => Ok(Verdict::Missing(
                "only its first answer shows that it is ready",
            )),
            Err(error) => {
                self.is_lost = true;
                Err(error)
            }
        }
    }

    async fn seed(&mut self) -> Result<Verdict, ControlError> {
        if !self.subject.may_wipe {
            return Ok(Verdict::Skipped(
                "it wipes the ledger of a server that runs already: --reseed allows that"
                    .to_owned(),
            ));
        }
        match self.control.seed(ACCOUNTS.into(), INITIAL_BALANCE).await {
            Ok(()) => {}
            Err(ControlError::UnknownMethod(_)) => {
                return Ok(Verdict::Missing(
                    "its ledger has to be seeded by its own command, with {accounts} and \
                     {initial_balance}; one at a URL cannot be measured with --reseed",
                ));
            }
            Err(error) => return Err(error),
        }
        self.balances = Some(vec![INITIAL_BALANCE; ACCOUNTS as usize]);
        // What was there before is gone: a second seed is a new ledger.
        self.control.seed(ACCOUNTS.into(), INITIAL_BALANCE).await?;
        Ok(Verdict::Passed)
    }

    async fn accounts(&mut self) -> Result<Verdict, ControlError> {
        if self.control.balance(0).await?.is_none() {
            self.is_lost = true;
            let why = "there is no account 0: ids must begin with 0".to_owned();
            return Ok(self.fail(why, None));
        }
        if self.balances.is_none() {
            return Ok(Verdict::Passed);
        }
        let by = format!("{ACCOUNTS} accounts were seeded with {INITIAL_BALANCE} each");
        let seeded = Some(INITIAL_BALANCE);
        for (account, balance) in [(0, seeded), (ACCOUNTS - 1, seeded), (ACCOUNTS, None)] {
            if let Some(other) = self.balance_is(account, balance, &by).await? {
                return Ok(other);
            }
        }
        Ok(Verdict::Passed)
    }

    async fn transfer(&mut self) -> Result<Verdict, ControlError> {
        let transfer = small(1);
        let (from, to) = (1, 2);
        let (Some(before_from), Some(before_to)) = (
            self.control.balance(from.into()).await?,
            self.control.balance(to.into()).await?,
        ) else {
            let why = "there is no account 1, or no account 2".to_owned();
            return Ok(self.fail(why, None));
        };
        let outcome = match self.put(&BTreeMap::from([(1, transfer)])).await {
            Ok(outcomes) => outcomes.get(&1).copied(),
            Err(why) => {
                self.is_lost = true;
                self.ask_again(transfer, Outcome::Committed).await;
                return Ok(Verdict::Failed(why));
            }
        };
        if outcome != Some(Outcome::Committed) {
            self.is_lost = true;
            self.ask_again(transfer, Outcome::Committed).await;
            return Ok(Verdict::Failed(format!(
                "a transfer that can be made is not answered ok, but {}",
                outcome.map_or_else(String::new, said)
            )));
        }
        let by = "1 was moved from account 1 to account 2";
        for (account, balance) in [
            (from, before_from - transfer.amount),
            (to, before_to + transfer.amount),
        ] {
            if let Some(other) = self.balance_is(account, Some(balance), by).await? {
                return Ok(other);
            }
        }
        Ok(Verdict::Passed)
    }

    async fn in_flight(&mut self) -> Result<Verdict, ControlError> {
        let many = match self.subject.connector {
            ConnectorKind::SqliteRpc => IN_FLIGHT_HTTP,
            ConnectorKind::SqliteWsRpc | ConnectorKind::SpacetimeDb => IN_FLIGHT_WS,
        };
        let transfers = (2..2 + many).map(|number| (number, of_every_kind(number).0));
        self.outcomes = match self.put(&transfers.collect()).await {
            Ok(outcomes) => outcomes,
            Err(why) => {
                self.ask_again(small(2), Outcome::Committed).await;
                return Ok(Verdict::Failed(why));
            }
        };
        let good = |number: &u64| of_every_kind(*number).1 == Outcome::Committed;
        let mut wrong = self
            .outcomes
            .iter()
            .filter(|(number, outcome)| good(number) && **outcome != Outcome::Committed);
        let Some((number, outcome)) = wrong.next().map(|(number, outcome)| (*number, *outcome))
        else {
            return Ok(Verdict::Passed);
        };
        self.ask_again(small(number), Outcome::Committed).await;
        Ok(Verdict::Failed(format!(
            "of {many} in flight, a transfer that can be made is not answered ok, but {}",
            said(outcome)
        )))
    }

    /// The transfers that cannot be made, with what should and what did become of them.
    fn refused(&self) -> impl Iterator<Item = (Transfer, Outcome, Outcome)> {
        self.outcomes.iter().filter_map(|(number, outcome)| {
            let (transfer, expected) = of_every_kind(*number);
            (expected != Outcome::Committed).then_some((transfer, expected, *outcome))
        })
    }

    async fn rejections(&mut self) -> Verdict {
        if self.outcomes.is_empty() {
            return Verdict::Skipped("nothing was answered".to_owned());
        }
        let mut committed = self.refused().filter(|(.., it)| *it == Outcome::Committed);
        let Some((transfer, expected, _)) = committed.next() else {
            return Verdict::Passed;
        };
        drop(committed);
        self.ask_again(transfer, expected).await;
        Verdict::Failed(format!(
            "from {} to {}, amount {}: answered ok where the protocol says {}. What moves no money \
             counts as throughput",
            transfer.from,
            transfer.to,
            transfer.amount,
            said(expected)
        ))
    }

    async fn codes(&mut self) -> Verdict {
        if self.outcomes.is_empty() {
            return Verdict::Skipped("nothing was answered".to_owned());
        }
        let mut other = self
            .refused()
            .filter(|(_, expected, it)| it != expected && *it != Outcome::Committed);
        let Some((transfer, expected, _)) = other.next() else {
            return Verdict::Passed;
        };
        drop(other);
        self.ask_again(transfer, expected).await;
        Verdict::Missing(
            "its errors are not those of the protocol: a refused transfer may count as of unknown \
             outcome, which a row cannot tell from a lost one",
        )
    }

    async fn after_them(&mut self) -> Result<Verdict, ControlError> {
        let Some(balances) = self.balances.clone() else {
            return Ok(Verdict::Skipped("its ledger was not seeded".to_owned()));
        };
        for account in (0..ACCOUNTS).step_by(37).chain(0..4) {
            let expected = Some(balances[account as usize]);
            let by = "after these transfers";
            if let Some(other) = self.balance_is(account, expected, by).await? {
                return Ok(other);
            }
        }
        Ok(Verdict::Passed)
    }

    async fn verify(&mut self) -> Result<Verdict, ControlError> {
        match self.control.verify().await {
            Ok(Verification::Verified {
                accounts, total, ..
            }) => {
                let expected = i64::from(ACCOUNTS) * INITIAL_BALANCE;
                let as_seeded = accounts == ACCOUNTS.to_string() && total == expected.to_string();
                Ok(if self.balances.is_none() || as_seeded {
                    Verdict::Passed
                } else {
                    let why = format!(
                        "it reports {accounts} accounts with {total} in all, where {ACCOUNTS} \
                         with {expected} were seeded"
                    );
                    self.fail(why, None)
                })
            }
            Ok(Verification::Skipped { .. }) => Ok(Verdict::Missing(
                "it is skipped: that no money is made or lost is known only of the accounts that \
                 are read",
            )),
            Err(ControlError::UnknownMethod(_)) => Ok(Verdict::Missing(
                "money cannot be checked: that none is made or lost is known only of the \
                 accounts that are read",
            )),
            Err(error) => Err(error),
        }
    }

    async fn info(&mut self) -> Result<Verdict, ControlError> {
        self.info = self.control.info().await?;
        Ok(if self.info.is_some() {
            Verdict::Passed
        } else {
            Verdict::Missing(
                "its durability and knobs are not in the row, and nothing is checked against them",
            )
        })
    }

    async fn stats(&mut self) -> Result<Verdict, ControlError> {
        let Some(before) = self.control.stats(true).await? else {
            return Ok(Verdict::Missing(
                "syncs and batches cannot be counted: no time budget, no transfers per sync, and \
                 what it applied is not compared with what it answered",
            ));
        };
        let transfers = (2_000..2_008).map(|number| (number, small(number)));
        if let Err(why) = self.put(&transfers.collect()).await {
            self.ask_again(small(2_000), Outcome::Committed).await;
            return Ok(Verdict::Failed(why));
        }
        let after = self.control.stats(true).await?.unwrap_or_default();
        let applied = after.applied.saturating_sub(before.applied);
        let total = |stats: &busload_wire::control::Stats| {
            stats
                .balances
                .as_ref()
                .map(|balances| balances.total.clone())
        };
        let (why, expected, key) = if applied != 8 {
            (
                format!("8 transfers were answered ok, and applied grew by {applied}"),
                format!(
                    r#"{{"ok":true,"result":{{…,"applied":{},…}}}}"#,
                    before.applied + 8
                ),
                "applied",
            )
        } else if total(&before).is_none() || total(&before) != total(&after) {
            let all = total(&before).unwrap_or_else(|| "…".to_owned());
            (
                "its total of balances is not there, or changed".to_owned(),
                format!(r#"{{"ok":true,"result":{{…,"balances":{{…,"total":"{all}",…}}}}}}"#),
                "balances",
            )
        } else {
            return Ok(Verdict::Passed);
        };
        let last = self.control.last_exchange();
        self.exchange = last.map(|last| Exchange::of(last, &expected, Some(key)));
        Ok(Verdict::Failed(why))
    }

    async fn transfer_ids(&mut self) -> Result<Verdict, ControlError> {
        let says_so = self.info.as_ref().and_then(|info| info.exactly_once);
        if says_so != Some(true) {
            return Ok(Verdict::Missing(
                "--exactly-once of run and torture cannot be used: what is of unknown outcome \
                 stays so",
            ));
        }
        let balance = self.control.balance(0).await?;
        let transfer = Transfer {
            transfer_id: Some(TransferId::from_u128(0xb0_510a_d000)),
            ..small(0)
        };
        let mut answers = Vec::new();
        for number in [3_000, 3_001] {
            match self.put(&BTreeMap::from([(number, transfer)])).await {
                Ok(outcomes) => answers.extend(outcomes.into_values()),
                Err(why) => {
                    self.ask_again(transfer, Outcome::Committed).await;
                    return Ok(Verdict::Failed(why));
                }
            }
        }
        if let Some(other) = answers.into_iter().find(|it| *it != Outcome::Committed) {
            self.ask_again(transfer, Outcome::Committed).await;
            return Ok(Verdict::Failed(format!(
                "a transfer was sent twice with the same id, and one is not answered ok, but {}",
                said(other)
            )));
        }
        let by = "a transfer of 1 was sent twice with the same id";
        let once = balance.map(|before| before - 1);
        let other = self.balance_is(0, once, by).await?;
        Ok(other.unwrap_or(Verdict::Passed))
    }
}
