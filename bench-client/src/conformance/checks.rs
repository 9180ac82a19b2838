//! The lines of the suite, in their order: each builds on those before it.

use std::collections::BTreeMap;

use busload_generator::with_connector;
use busload_wire::control::{Info, Verification};
use busload_wire::{Transfer, TransferId};

use super::transfers::{of_every_kind, outcomes, small};
use super::{ACCOUNTS, INITIAL_BALANCE, Subject, Verdict};
use crate::config::ConnectorKind;
use crate::connector::Outcome;
use crate::control::{ControlClient, ControlError};

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

/// The suite under way.
pub(super) struct Suite<'a> {
    subject: &'a Subject,
    control: ControlClient,
    info: Option<Info>,
    /// What every account must have, where its ledger was seeded.
    balances: Option<Vec<i64>>,
    /// What became of transfers of every kind, by their numbers.
    outcomes: BTreeMap<u64, Outcome>,
    /// Nothing more can be asked.
    pub(super) is_lost: bool,
}

impl<'a> Suite<'a> {
    pub(super) fn new(subject: &'a Subject) -> Self {
        Self {
            subject,
            control: subject.control(),
            info: None,
            balances: None,
            outcomes: BTreeMap::new(),
            is_lost: false,
        }
    }

    pub(super) async fn close(mut self) {
        self.control.close().await;
    }

    pub(super) async fn step(&mut self, step: Step) -> Verdict {
        let done = match step {
            Step::Health => self.health().await,
            Step::Seed => self.seed().await,
            Step::Accounts => self.accounts().await,
            Step::Transfer => self.transfer().await,
            Step::InFlight => self.in_flight().await,
            Step::Rejections => Ok(self.rejections()),
            Step::Codes => Ok(self.codes()),
            Step::Balances => self.after_them().await,
            Step::Verify => self.verify().await,
            Step::Info => self.info().await,
            Step::Stats => self.stats().await,
            Step::TransferIds => self.transfer_ids().await,
        };
        done.unwrap_or_else(|error| match error {
            ControlError::UnknownMethod(method) => Verdict::Failed(format!(
                "{method} is not known, and no row is measured without it"
            )),
            error => Verdict::Failed(crate::with_causes(&error)),
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
        let first = self.control.balance(0).await?;
        let last = self.control.balance(i64::from(ACCOUNTS) - 1).await?;
        let beyond = self.control.balance(i64::from(ACCOUNTS)).await?;
        if first.is_none() {
            self.is_lost = true;
            return Ok(Verdict::Failed(
                "there is no account 0: ids must begin with 0".to_owned(),
            ));
        }
        if self.balances.is_none() {
            return Ok(Verdict::Passed);
        }
        Ok(match (first, last, beyond) {
            (Some(INITIAL_BALANCE), Some(INITIAL_BALANCE), None) => Verdict::Passed,
            (_, None, _) => Verdict::Failed(format!(
                "seeded with {ACCOUNTS} accounts, there is no account {}",
                ACCOUNTS - 1
            )),
            (_, _, Some(_)) => Verdict::Failed(format!(
                "seeded with {ACCOUNTS} accounts, there is an account {ACCOUNTS}: the answer \
                 must be null"
            )),
            (first, last, _) => Verdict::Failed(format!(
                "seeded with {INITIAL_BALANCE}, accounts have {} and {}",
                first.unwrap_or_default(),
                last.unwrap_or_default()
            )),
        })
    }

    /// Puts transfers on a session, all in flight together.
    async fn put(
        &mut self,
        transfers: &BTreeMap<u64, Transfer>,
    ) -> Result<BTreeMap<u64, Outcome>, String> {
        let Subject {
            connector,
            encoding,
            endpoint,
            ..
        } = self.subject.clone();
        let outcomes = with_connector!(connector, encoding, endpoint, |connector| {
            outcomes(connector, transfers).await
        })?;
        if let Some(balances) = &mut self.balances {
            for (number, _) in outcomes.iter().filter(|(_, it)| **it == Outcome::Committed) {
                let Transfer {
                    from, to, amount, ..
                } = transfers[number];
                for (account, moved) in [(from, -i128::from(amount)), (to, i128::from(amount))] {
                    let account = usize::try_from(account).ok();
                    let balance = account.and_then(|account| balances.get_mut(account));
                    if let (Some(balance), Ok(moved)) = (balance, i64::try_from(moved)) {
                        *balance += moved;
                    }
                }
            }
        }
        Ok(outcomes)
    }

    async fn transfer(&mut self) -> Result<Verdict, ControlError> {
        let transfer = small(1);
        let (from, to) = (transfer.from, transfer.to);
        let before = (
            self.control.balance(from).await?,
            self.control.balance(to).await?,
        );
        let outcomes = match self.put(&BTreeMap::from([(1, transfer)])).await {
            Ok(outcomes) => outcomes,
            Err(why) => {
                self.is_lost = true;
                return Ok(Verdict::Failed(why));
            }
        };
        if outcomes.get(&1) != Some(&Outcome::Committed) {
            self.is_lost = true;
            return Ok(Verdict::Failed(format!(
                "a transfer that can be made is not answered ok, but {}",
                outcomes.get(&1).copied().map_or_else(String::new, said)
            )));
        }
        let after = (
            self.control.balance(from).await?,
            self.control.balance(to).await?,
        );
        let moved = (
            after.0.zip(before.0).map(|(after, before)| after - before),
            after.1.zip(before.1).map(|(after, before)| after - before),
        );
        Ok(if moved == (Some(-1), Some(1)) {
            Verdict::Passed
        } else {
            Verdict::Failed(format!(
                "1 was moved from account {from} to {to}, whose balances changed by {} and {}",
                moved.0.unwrap_or_default(),
                moved.1.unwrap_or_default()
            ))
        })
    }

    async fn in_flight(&mut self) -> Result<Verdict, ControlError> {
        let many = match self.subject.connector {
            ConnectorKind::SqliteRpc => IN_FLIGHT_HTTP,
            ConnectorKind::SqliteWsRpc | ConnectorKind::SpacetimeDb => IN_FLIGHT_WS,
        };
        let transfers = (2..2 + many).map(|number| (number, of_every_kind(number).0));
        self.outcomes = match self.put(&transfers.collect()).await {
            Ok(outcomes) => outcomes,
            Err(why) => return Ok(Verdict::Failed(why)),
        };
        let good = |number: &u64| of_every_kind(*number).1 == Outcome::Committed;
        let mut wrong = self
            .outcomes
            .iter()
            .filter(|(number, outcome)| good(number) && **outcome != Outcome::Committed);
        Ok(wrong.next().map_or(Verdict::Passed, |(_, outcome)| {
            Verdict::Failed(format!(
                "of {many} in flight, a transfer that can be made is not answered ok, but {}",
                said(*outcome)
            ))
        }))
    }

    /// The transfers that cannot be made, with what should and what did become of them.
    fn refused(&self) -> impl Iterator<Item = (Transfer, Outcome, Outcome)> {
        self.outcomes.iter().filter_map(|(number, outcome)| {
            let (transfer, expected) = of_every_kind(*number);
            (expected != Outcome::Committed).then_some((transfer, expected, *outcome))
        })
    }

    fn rejections(&self) -> Verdict {
        if self.outcomes.is_empty() {
            return Verdict::Skipped("nothing was answered".to_owned());
        }
        let mut committed = self.refused().filter(|(.., it)| *it == Outcome::Committed);
        committed.next().map_or(Verdict::Passed, |(transfer, expected, _)| {
            Verdict::Failed(format!(
                "from {} to {}, amount {}: answered ok where the protocol says {}. What moves no \
                 money counts as throughput",
                transfer.from,
                transfer.to,
                transfer.amount,
                said(expected)
            ))
        })
    }

    fn codes(&self) -> Verdict {
        if self.outcomes.is_empty() {
            return Verdict::Skipped("nothing was answered".to_owned());
        }
        let mut other = self
            .refused()
            .filter(|(_, expected, it)| it != expected && *it != Outcome::Committed);
        if other.next().is_none() {
            return Verdict::Passed;
        }
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
            let found = self.control.balance(account.into()).await?;
            let expected = balances[account as usize];
            if found != Some(expected) {
                let found = found.map_or_else(|| "nothing".to_owned(), |it| it.to_string());
                return Ok(Verdict::Failed(format!(
                    "account {account} has {found}, and {expected} by what was answered ok"
                )));
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
                    Verdict::Failed(format!(
                        "it reports {accounts} accounts with {total} in all, where {ACCOUNTS} \
                         with {expected} were seeded"
                    ))
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
        Ok(if applied != 8 {
            Verdict::Failed(format!(
                "8 transfers were answered ok, and applied grew by {applied}"
            ))
        } else if total(&before).is_none() || total(&before) != total(&after) {
            Verdict::Failed("its total of balances is not there, or changed".to_owned())
        } else {
            Verdict::Passed
        })
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
                Err(why) => return Ok(Verdict::Failed(why)),
            }
        }
        let moved = balance.zip(self.control.balance(0).await?);
        let moved = moved.map(|(before, after)| before - after);
        Ok(if answers == [Outcome::Committed; 2] && moved == Some(1) {
            Verdict::Passed
        } else {
            Verdict::Failed(format!(
                "a transfer was sent twice with the same id, and moved {} instead of 1",
                moved.unwrap_or_default()
            ))
        })
    }
}

/// An outcome in words.
fn said(outcome: Outcome) -> String {
    match outcome {
        Outcome::Committed => "ok".to_owned(),
        Outcome::Rejected(code) | Outcome::Failed(Some(code)) => code.as_str().to_owned(),
        Outcome::Failed(None) => "not sent".to_owned(),
        Outcome::Unknown => "of unknown outcome (no code of the protocol)".to_owned(),
    }
}
