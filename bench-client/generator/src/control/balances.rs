//! Many balances at once.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

use super::{ControlClient, ControlError};

/// For connections that are being opened when all balances have been read.
const OPENING_TIMEOUT: Duration = Duration::from_secs(1);

impl ControlClient {
    /// Whether the server takes a further connection.
    async fn is_taken(&mut self) -> bool {
        !matches!(
            self.health().await,
            Err(ControlError::Connect(_) | ControlError::NoAnswer { .. })
        )
    }

    /// Reads the balances of many accounts, `in_flight` of them at a time, each on a connection
    /// of its own, and asks for no more after `until`; `None` where there is no such account.
    /// `read` is told how many have come. A server that takes fewer connections is asked on those;
    /// one that tells all balances at once is asked once.
    ///
    /// # Errors
    /// As for one balance, of the first that could not be read.
    pub async fn balances(
        &mut self,
        accounts: &[u32],
        in_flight: usize,
        until: Option<Instant>,
        mut read: impl FnMut(usize),
    ) -> Result<Vec<(u32, Option<i64>)>, ControlError> {
        if self.0.reads_all_balances() {
            let all: HashMap<u32, i64> = self.0.all_balances().await?.into_iter().collect();
            read(accounts.len());
            let known = accounts.iter().map(|it| (*it, all.get(it).copied()));
            return Ok(known.collect());
        }
        let others = in_flight.min(accounts.len()).saturating_sub(1);
        let mut others: Vec<Self> = (0..others).map(|_| Self(self.0.another())).collect();
        // Shared by futures of one task: no borrow lasts over an await.
        let left = RefCell::new(accounts.iter());
        let asked = Cell::new(0_usize);
        let found = RefCell::new((Vec::with_capacity(accounts.len()), read));
        let lanes = others.iter_mut().map(|client| (client, true));
        let lane = async |client: &mut Self, is_new: bool| {
            if is_new && !client.is_taken().await {
                return Ok(());
            }
            while until.is_none_or(|until| Instant::now() < until) {
                let Some(account) = left.borrow_mut().next() else {
                    break;
                };
                asked.set(asked.get() + 1);
                let balance = client.balance(i64::from(*account)).await?;
                let (found, read) = &mut *found.borrow_mut();
                found.push((*account, balance));
                read(found.len());
            }
            Ok::<_, ControlError>(())
        };
        let mut lanes: FuturesUnordered<_> = lanes
            .chain([(self, false)])
            .map(|(client, is_new)| lane(client, is_new))
            .collect();
        while let Some(ended) = lanes.next().await {
            ended?;
            // Whoever still waits to be let in was asked for nothing.
            let is_over = left.borrow().len() == 0 || until.is_some_and(|it| Instant::now() >= it);
            if is_over && found.borrow().0.len() == asked.get() {
                break;
            }
        }
        // A connection that is just being opened can only then be closed in good order. A server
        // that takes no more connections is not waited for longer than that is worth.
        let opening = async { while lanes.next().await.is_some() {} };
        let _ = tokio::time::timeout(OPENING_TIMEOUT, opening).await;
        drop(lanes);
        Ok(found.into_inner().0)
    }
}
