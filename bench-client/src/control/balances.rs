//! Many balances at once.

use std::cell::RefCell;
use std::time::Instant;

use futures_util::future::try_join_all;

use super::{ControlClient, ControlError, ControlTransport};

impl ControlClient {
    /// Another client of the same server, with a connection of its own.
    fn another(&self) -> Self {
        let target = self.target.clone();
        match self.transport {
            ControlTransport::Http { .. } => Self::http(target),
            ControlTransport::Ws { .. } => Self::ws(target),
        }
    }

    /// Reads the balances of many accounts, `in_flight` of them at a time, each on a connection
    /// of its own, and asks for no more after `until`; `None` where there is no such account.
    /// `read` is told how many have come.
    ///
    /// # Errors
    /// As for one balance, of the first that could not be read.
    pub async fn balances(
        &mut self,
        accounts: &[u32],
        in_flight: usize,
        until: Option<Instant>,
        read: impl FnMut(usize),
    ) -> Result<Vec<(u32, Option<i64>)>, ControlError> {
        let others = in_flight.min(accounts.len()).saturating_sub(1);
        let mut others: Vec<Self> = (0..others).map(|_| self.another()).collect();
        // Shared by futures of one task: no borrow lasts over an await.
        let left = RefCell::new(accounts.iter());
        let found = RefCell::new((Vec::with_capacity(accounts.len()), read));
        let lanes = others
            .iter_mut()
            .chain([self])
            .map(async |client: &mut Self| {
                while until.is_none_or(|until| Instant::now() < until) {
                    let Some(account) = left.borrow_mut().next() else {
                        break;
                    };
                    let balance = client.balance(i64::from(*account)).await?;
                    let (found, read) = &mut *found.borrow_mut();
                    found.push((*account, balance));
                    read(found.len());
                }
                Ok::<_, ControlError>(())
            });
        try_join_all(lanes).await?;
        Ok(found.into_inner().0)
    }
}
