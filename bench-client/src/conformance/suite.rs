//! The suite under way, and how it asks: what is known of the ledger, and what went over the wire
//! where an answer is not as it must be.

use std::collections::BTreeMap;
use std::time::Duration;

use busload_generator::with_connector;
use busload_wire::Transfer;
use busload_wire::control::Info;

use super::exchange::{self, Exchange, refusal};
use super::transfers::outcomes;
use super::{Subject, Verdict};
use crate::connector::Outcome;
use crate::control::{ControlClient, ControlError};

/// Longest wait for the answer to a transfer that is asked for once more.
const ASK_AGAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// The suite under way.
pub(super) struct Suite<'a> {
    pub(super) subject: &'a Subject,
    pub(super) control: ControlClient,
    pub(super) info: Option<Info>,
    /// What every account must have, where its ledger was seeded.
    pub(super) balances: Option<Vec<i64>>,
    /// What became of transfers of every kind, by their numbers.
    pub(super) outcomes: BTreeMap<u64, Outcome>,
    /// What went over the wire where the line is not as it must be.
    pub(super) exchange: Option<Exchange>,
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
            exchange: None,
            is_lost: false,
        }
    }

    pub(super) async fn close(mut self) {
        self.control.close().await;
    }

    /// A line that failed by the last answer of the control plane, where another one is expected;
    /// without one, an answer as the protocol has it.
    pub(super) fn fail(&mut self, why: String, expected: Option<&str>) -> Verdict {
        let last = self.control.last_exchange();
        self.exchange = last.map(|last| {
            let expected = expected.unwrap_or_else(|| exchange::expected(last.method));
            Exchange::of(last, expected, None)
        });
        Verdict::Failed(why)
    }

    /// Makes a transfer once more and by itself, which was not answered as it must be: sessions
    /// keep no texts.
    pub(super) async fn ask_again(&mut self, transfer: Transfer, expected: Outcome) {
        let asked = self.control.transfer(transfer);
        let answered = tokio::time::timeout(ASK_AGAIN_TIMEOUT, asked).await;
        if let Ok(Ok(())) = answered {
            self.apply(&transfer);
        }
        let expected = match expected {
            Outcome::Committed => exchange::expected("transfer").to_owned(),
            expected => refusal(&said(expected)),
        };
        let last = self.control.last_exchange();
        self.exchange = last.map(|last| Exchange::of(last, &expected, None));
    }

    /// Reads a balance; the verdict when it is another than `expected`.
    pub(super) async fn balance_is(
        &mut self,
        account: u32,
        expected: Option<i64>,
        by: &str,
    ) -> Result<Option<Verdict>, ControlError> {
        let found = self.control.balance(account.into()).await?;
        if found == expected {
            return Ok(None);
        }
        let should = expected.map_or("not be there".to_owned(), |it| format!("have {it}"));
        let does = found.map_or("is not there".to_owned(), |it| format!("has {it}"));
        let why = format!("{by}: account {account} should {should}, and {does}");
        let expected = exchange::account(account, expected);
        Ok(Some(self.fail(why, Some(&expected))))
    }

    /// Puts transfers on a session, all in flight together.
    pub(super) async fn put(
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
        for (number, _) in outcomes.iter().filter(|(_, it)| **it == Outcome::Committed) {
            self.apply(&transfers[number]);
        }
        Ok(outcomes)
    }

    /// What a transfer that was answered ok does to the balances.
    fn apply(&mut self, transfer: &Transfer) {
        let (out, into) = (-i128::from(transfer.amount), i128::from(transfer.amount));
        for (account, moved) in [(transfer.from, out), (transfer.to, into)] {
            let balances = self.balances.as_mut().zip(usize::try_from(account).ok());
            let balance = balances.and_then(|(balances, account)| balances.get_mut(account));
            if let (Some(balance), Ok(moved)) = (balance, i64::try_from(moved)) {
                *balance += moved;
            }
        }
    }
}

/// An outcome in words.
pub(super) fn said(outcome: Outcome) -> String {
    match outcome {
        Outcome::Committed => "ok".to_owned(),
        Outcome::Rejected(code) | Outcome::Failed(Some(code)) => code.as_str().to_owned(),
        Outcome::Failed(None) => "not sent".to_owned(),
        Outcome::Unknown => "of unknown outcome (no code of the protocol)".to_owned(),
    }
}
