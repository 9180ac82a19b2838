//! The rules of a bank, as Jepsen's test of that name has them: the accounts are those that were
//! made, none is missing, none has less than nothing, and together they always have the same.
//!
//! Source: `jepsen.tests.bank` of <https://github.com/jepsen-io/jepsen>, whose checker has these
//! errors: `:unexpected-key`, `:nil-balance`, `:negative-value`, `:wrong-total`.

use std::time::Duration;

use busload_wire::control;
use tokio::sync::watch;

use super::ledger::Balances;
use crate::control::{ControlClient, ControlError};
use crate::record::torture::{FindingKind, SyncCount};

/// Time between two snapshots under load.
const SNAPSHOT_INTERVAL: Duration = Duration::from_millis(200);

/// A rule that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breach {
    /// Which.
    pub kind: FindingKind,
    /// In words.
    pub message: String,
}

/// What must hold of all accounts together.
#[derive(Debug, Clone, Copy)]
pub struct Bank {
    /// How many accounts there are, from 0 on.
    pub accounts: i64,
    /// What they have together.
    pub total: i128,
}

/// All accounts, read one by one while nothing moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// By account.
    pub balances: Balances,
    /// The server also knows an account behind the last one.
    pub one_more: bool,
}

impl Reading {
    /// Reads every account.
    ///
    /// # Errors
    /// The server does not answer as the protocol has it.
    pub async fn take(control: &mut ControlClient, accounts: i64) -> Result<Self, ControlError> {
        let mut balances = Vec::new();
        for account in 0..accounts {
            balances.push(control.balance(account).await?);
        }
        let one_more = match control.balance(accounts).await {
            Ok(found) => found.is_some(),
            // Some servers answer for an account that is not there with an error.
            Err(ControlError::Refused { .. }) => false,
            Err(error) => return Err(error),
        };
        Ok(Self { balances, one_more })
    }

    fn total(&self) -> i128 {
        let there = self.balances.iter().flatten();
        there.map(|balance| i128::from(*balance)).sum()
    }
}

impl Bank {
    /// Holds a reading against the rules. Each breach is told once: what is wrong now is what is
    /// expected from here on.
    pub fn check(&mut self, reading: &Reading) -> Vec<Breach> {
        let mut breaches = Vec::new();
        let mut tell = |kind, message| breaches.push(Breach { kind, message });
        for (account, balance) in reading.balances.iter().enumerate() {
            match balance {
                None => tell(
                    FindingKind::MissingAccount,
                    format!("account {account} is not there"),
                ),
                Some(balance) if *balance < 0 => tell(
                    FindingKind::NegativeBalance,
                    format!("account {account} has {balance}"),
                ),
                Some(_) => {}
            }
        }
        if reading.one_more {
            tell(
                FindingKind::UnexpectedAccount,
                format!(
                    "there is an account {}, which was never made",
                    self.accounts
                ),
            );
        }
        let total = reading.total();
        if total != self.total {
            tell(FindingKind::WrongTotal, wrong_total(total, self.total));
            self.total = total;
        }
        breaches
    }

    /// Holds what the server says of all accounts at one moment against the rules.
    #[must_use]
    pub fn check_snapshot(&self, snapshot: &control::Balances) -> Vec<Breach> {
        let mut breaches = Vec::new();
        let mut tell = |kind, message| breaches.push(Breach { kind, message });
        let expected = self.accounts.unsigned_abs();
        let there = snapshot.accounts;
        if there != expected {
            let kind = if there > expected {
                FindingKind::UnexpectedAccount
            } else {
                FindingKind::MissingAccount
            };
            tell(kind, format!("{there} accounts, {expected} were made"));
        }
        match snapshot.total.parse::<i128>() {
            Ok(total) if total == self.total => {}
            Ok(total) => tell(FindingKind::WrongTotal, wrong_total(total, self.total)),
            Err(_) => tell(
                FindingKind::WrongTotal,
                format!("the total is '{}', which is not a number", snapshot.total),
            ),
        }
        if snapshot.lowest.starts_with('-') {
            tell(
                FindingKind::NegativeBalance,
                format!("the lowest balance is {}", snapshot.lowest),
            );
        }
        breaches
    }
}

fn wrong_total(total: i128, expected: i128) -> String {
    format!("the balances add up to {total}, and were {expected} before")
}

/// What was seen of a server while transfers ran.
#[derive(Debug, Default)]
pub struct Snapshots {
    /// How many there were.
    pub count: u64,
    /// What was wrong with the last.
    pub breaches: Vec<Breach>,
    /// Its syncs at the last; absent for a server that does not count them.
    pub syncs: Option<SyncCount>,
}

/// Asks for snapshots while transfers run, until the server is gone or a rule is broken. A server
/// without `stats` gives none.
pub async fn watch_snapshots(
    control: &mut ControlClient,
    bank: &Bank,
    mut gone: watch::Receiver<bool>,
) -> Snapshots {
    let mut seen = Snapshots::default();
    let asking = async {
        loop {
            tokio::time::sleep(SNAPSHOT_INTERVAL).await;
            let Some(stats) = control.stats(true).await.ok().flatten() else {
                return;
            };
            let Some(balances) = stats.balances else {
                return;
            };
            seen.count += 1;
            seen.syncs = stats.commit_syncs.map(|_| SyncCount {
                syncs: stats.syncs.total(),
                transfers: stats.committed,
            });
            seen.breaches = bank.check_snapshot(&balances);
            if !seen.breaches.is_empty() {
                return;
            }
        }
    };
    tokio::select! {
        () = asking => {}
        _ = gone.wait_for(|gone| *gone) => {}
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    const BANK: Bank = Bank {
        accounts: 3,
        total: 30,
    };

    fn kinds(breaches: &[Breach]) -> Vec<FindingKind> {
        breaches.iter().map(|breach| breach.kind).collect()
    }

    fn read(balances: &[Option<i64>], one_more: bool) -> Vec<FindingKind> {
        let reading = Reading {
            balances: balances.to_vec(),
            one_more,
        };
        let mut bank = BANK;
        let first = kinds(&bank.check(&reading));
        let again = kinds(&bank.check(&reading));
        assert!(!again.contains(&FindingKind::WrongTotal), "told once");
        first
    }

    #[test]
    fn every_rule_is_looked_after() {
        use FindingKind::{MissingAccount, NegativeBalance, UnexpectedAccount, WrongTotal};
        assert_eq!(read(&[Some(0), Some(10), Some(20)], false), []);
        assert_eq!(read(&[Some(10), Some(10), Some(11)], false), [WrongTotal]);
        assert_eq!(
            read(&[Some(-1), Some(11), Some(20)], false),
            [NegativeBalance]
        );
        assert_eq!(read(&[None, Some(10), Some(20)], false), [MissingAccount]);
        assert_eq!(read(&[Some(10); 3], true), [UnexpectedAccount]);
    }

    #[test]
    fn so_it_is_in_snapshots() {
        use FindingKind::{MissingAccount, NegativeBalance, UnexpectedAccount, WrongTotal};
        let check = |accounts, total: &str, lowest: &str| {
            kinds(&BANK.check_snapshot(&control::Balances {
                accounts,
                total: total.to_owned(),
                lowest: lowest.to_owned(),
                digest: String::new(),
            }))
        };
        assert_eq!(check(3, "30", "0"), []);
        assert_eq!(check(4, "30", "0"), [UnexpectedAccount]);
        assert_eq!(check(2, "30", "0"), [MissingAccount]);
        assert_eq!(check(3, "29", "0"), [WrongTotal]);
        assert_eq!(check(3, "many", "0"), [WrongTotal]);
        assert_eq!(check(3, "30", "-1"), [NegativeBalance]);
    }
}
