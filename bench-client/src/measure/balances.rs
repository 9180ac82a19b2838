//! The balances around the load: what they are known to have been before, which of them are
//! checked after it, and what they are then.
//!
//! Which ones are checked must not be known to anybody before the load is over: a server that
//! knew could be honest about those alone. They are drawn from the system's randomness when
//! all transfers have their outcome, and what they were before is known without asking where
//! this program seeded the ledger. Elsewhere many more are read than are checked.

use std::collections::BinaryHeap;
use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, Instant};

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng as _};

use super::Surroundings;
use crate::config::{RunConfig, Target, VerifyConfig};
use crate::control::{ControlClient, ControlError};
use crate::load::Accounts;
use crate::observation::{CheckedBalances, Sample};
use crate::record::BalancesBefore;
use crate::workload::Zipf;

/// The most balances that are read before the load, whatever the time.
const READ_MAX: u32 = 1 << 20;
/// How often the progress line is updated.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);

/// What the balances were before the load.
pub(super) enum Before {
    /// This program has seeded the ledger: every account with this.
    Seeded(i64),
    /// Those that were read, in the order of their accounts.
    Read {
        read: Vec<(u32, i64)>,
        /// What every one of them was, if they were all the same: so are the others, most likely.
        even: Option<i64>,
    },
}

impl Before {
    /// What is known without asking, or else asked.
    pub(super) async fn know(
        config: &RunConfig,
        zipf: &Zipf,
        around: &Surroundings<'_>,
        control: &mut ControlClient,
    ) -> Result<Self, ControlError> {
        let Some(verify) = config.verification() else {
            return Ok(Self::of(Vec::new()));
        };
        if seeded(config) {
            return Ok(Self::Seeded(config.workload.initial_balance));
        }
        let chances = (0..zipf.account_count()).map(|account| (account, zipf.probability(account)));
        let order = draw(READ_MAX, chances, &mut system_randomness());
        let until = Instant::now() + verify.verify_read_time;
        let reading = "reading the balances before";
        let found = read(&order, verify, Some(until), around, control, reading).await?;
        let there = |(account, balance): (u32, Option<i64>)| Some((account, balance?));
        Ok(Self::of(found.into_iter().filter_map(there).collect()))
    }

    /// What is known when nobody can ask any more: what this program seeded, or nothing.
    pub(super) fn as_seeded(config: &RunConfig) -> Self {
        if seeded(config) {
            Self::Seeded(config.workload.initial_balance)
        } else {
            Self::of(Vec::new())
        }
    }

    fn of(mut read: Vec<(u32, i64)>) -> Self {
        read.sort_unstable();
        let first = read.first().map(|(_, balance)| *balance);
        let even = first.filter(|first| read.iter().all(|(_, balance)| balance == first));
        Self::Read { read, even }
    }

    /// What an account had, and whether that was only inferred.
    fn balance(&self, account: u32) -> Option<(i64, bool)> {
        match self {
            Self::Seeded(balance) => Some((*balance, false)),
            Self::Read { read, even } => {
                match read.binary_search_by_key(&account, |(account, _)| *account) {
                    Ok(place) => Some((read[place].1, false)),
                    Err(_) => even.map(|balance| (balance, true)),
                }
            }
        }
    }

    /// Draws those to be checked, and reads them.
    pub(super) async fn check(
        &self,
        config: &RunConfig,
        around: &Surroundings<'_>,
        control: &mut ControlClient,
        moved: &Accounts,
    ) -> Result<CheckedBalances, ControlError> {
        let Some(verify) = config.verification() else {
            return Ok(CheckedBalances::default());
        };
        #[expect(clippy::cast_precision_loss, reason = "a weight")]
        let weighted = |account: u32| (account, moved.acknowledged(account).count() as f64);
        let rng = &mut system_randomness();
        // All at once is all for the price of some.
        let wanted = if control.reads_all_balances() {
            u32::MAX
        } else {
            verify.verify_accounts
        };
        let drawn = match self {
            Self::Seeded(_) | Self::Read { even: Some(_), .. } => {
                draw(wanted, (0..moved.count()).map(weighted), rng)
            }
            Self::Read { read, even: None } => {
                let known = read.iter().map(|(account, _)| weighted(*account));
                draw(wanted, known, rng)
            }
        };
        let found = read(&drawn, verify, None, around, control, "verifying").await?;
        let samples: Vec<Sample> = found
            .into_iter()
            .filter_map(|(account, after)| {
                let (before, inferred) = self.balance(account)?;
                let sample = sample(account, before, after, config.workload.amount, moved);
                Some(Sample { inferred, ..sample })
            })
            .collect();
        let is_seeded = matches!(self, Self::Seeded(_));
        // Only what was wiped is known to have had no other accounts.
        let beyond = i64::from(moved.count());
        Ok(CheckedBalances {
            are_whole: samples.len() == moved.count() as usize,
            samples,
            before: Some(if is_seeded {
                BalancesBefore::Seeded
            } else {
                BalancesBefore::Read
            }),
            more_than_seeded: is_seeded && control.balance(beyond).await?.is_some(),
        })
    }
}

/// Whether the ledger is as this program seeded it.
pub(super) fn seeded(config: &RunConfig) -> bool {
    match config.target {
        Target::BuiltIn { .. } | Target::Command { .. } => true,
        Target::Url { reseed, .. } => reseed,
        Target::Null { .. } => false,
    }
}

fn sample(account: u32, before: i64, after: Option<i64>, amount: i64, moved: &Accounts) -> Sample {
    let (acknowledged, unknown) = (moved.acknowledged(account), moved.unknown(account));
    let worth = |transfers: u64| i128::from(transfers) * i128::from(amount);
    Sample {
        account,
        before,
        after,
        acknowledged_delta: worth(acknowledged.credits) - worth(acknowledged.debits),
        unknown_debits: worth(unknown.debits),
        unknown_credits: worth(unknown.credits),
        transfers: acknowledged.count(),
        inferred: false,
    }
}

/// Numbers that nobody outside of this process can know, drawn from the operating system.
fn system_randomness() -> Xoshiro256PlusPlus {
    let mut seed = [0; 32];
    for part in seed.chunks_exact_mut(8) {
        // The keys of each are random; what is hashed does not matter.
        part.copy_from_slice(&RandomState::new().hash_one(0_u8).to_le_bytes());
    }
    Xoshiro256PlusPlus::from_seed(seed)
}

/// Draws `count` accounts without repetition, in random order; all of them where there are no
/// more. Half of an account's chance is everybody's, half goes by its weight.
///
/// Each account gets an exponentially distributed time with its weight as the rate; the first
/// ones are drawn (Efraimidis and Spirakis, *Weighted random sampling with a reservoir*, 2006).
fn draw(
    count: u32,
    accounts: impl Iterator<Item = (u32, f64)> + Clone,
    rng: &mut Xoshiro256PlusPlus,
) -> Vec<u32> {
    let (total, all) = accounts
        .clone()
        .fold((0.0, 0_u32), |(sum, n), (_, weight)| (sum + weight, n + 1));
    let even = if total > 0.0 {
        total / f64::from(all)
    } else {
        1.0
    };
    let count = count as usize;
    let mut first = BinaryHeap::with_capacity(count.min(all as usize) + 1);
    for (account, weight) in accounts {
        #[expect(clippy::cast_precision_loss, reason = "53 bits of randomness")]
        let uniform = ((rng.next_u64() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
        let time = -libm::log(uniform) / (weight + even);
        // Numbers that are not negative are in the order of their bits.
        first.push((time.to_bits(), account));
        if first.len() > count {
            first.pop();
        }
    }
    let order = first.into_sorted_vec().into_iter();
    order.map(|(_, account)| account).collect()
}

/// Reads balances, all of them or until that time, and says how far it is.
async fn read(
    accounts: &[u32],
    verify: &VerifyConfig,
    until: Option<Instant>,
    around: &Surroundings<'_>,
    control: &mut ControlClient,
    what: &str,
) -> Result<Vec<(u32, Option<i64>)>, ControlError> {
    let mut shown = Instant::now();
    let show = |done| {
        if shown.elapsed() >= PROGRESS_INTERVAL {
            shown = Instant::now();
            let stage = format!("{what}: {done} of {}", accounts.len());
            around.progress.stage(&stage);
        }
    };
    control
        .balances(accounts, usize::from(verify.verify_inflight), until, show)
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn balances_that_were_not_read_are_inferred_only_when_all_others_are_the_same() {
        let even = Before::of(vec![(7, 10), (3, 10)]);
        assert_eq!(even.balance(3), Some((10, false)));
        assert_eq!(even.balance(4), Some((10, true)));
        let uneven = Before::of(vec![(7, 10), (3, 11)]);
        assert_eq!(uneven.balance(3), Some((11, false)));
        assert_eq!(uneven.balance(7), Some((10, false)));
        assert_eq!(uneven.balance(4), None);
        assert_eq!(Before::of(Vec::new()).balance(0), None);
        assert_eq!(Before::Seeded(5).balance(9), Some((5, false)));
    }

    fn evenly(count: u32) -> impl Iterator<Item = (u32, f64)> + Clone {
        (0..count).map(|account| (account, 1.0))
    }

    #[test]
    fn as_many_are_drawn_as_were_asked_for_and_none_twice() {
        let mut rng = system_randomness();
        for (count, all, expected) in [
            (10, 1000, 10),
            (1000, 1000, 1000),
            (2000, 50, 50),
            (5, 0, 0),
        ] {
            let mut drawn = draw(count, evenly(all), &mut rng);
            drawn.sort_unstable();
            drawn.dedup();
            assert_eq!(drawn.len(), expected);
            assert!(drawn.iter().all(|account| *account < all));
        }
    }

    /// Two runs of the same seed check different accounts.
    #[test]
    fn no_two_draws_are_the_same() {
        let draws: Vec<_> = (0..4)
            .map(|_| draw(20, evenly(10_000), &mut system_randomness()))
            .collect();
        for (place, drawn) in draws.iter().enumerate() {
            assert!(!draws[..place].contains(drawn), "{drawn:?}");
        }
    }

    /// The busiest are nearly always among them, and the idle have their chance.
    #[test]
    fn chances_go_by_weight_and_leave_nobody_out() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
        let accounts = (0..1000).map(|account| (account, if account < 10 { 1000.0 } else { 0.0 }));
        let (mut busy, mut idle) = (0, 0);
        for _ in 0..20 {
            let drawn = draw(100, accounts.clone(), &mut rng);
            let among = drawn.iter().filter(|account| **account < 10).count();
            busy += among;
            idle += drawn.len() - among;
        }
        assert_eq!((busy, idle), (200, 1800));
    }
}
