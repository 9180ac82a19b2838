//! Whether a server speaks the protocol: one suite for `targets check`, for a server that somebody
//! else wrote, and for the tests of this project's own (`tests/conformance`).

mod checks;
mod exchange;
mod suite;
mod transfers;

use std::fmt;
use std::time::Duration;

use crate::config::{ConnectorKind, Encoding};
use crate::connector::Endpoint;
use crate::control::ControlClient;

pub use exchange::Exchange;
pub use transfers::{id, of_every_kind, small};

/// Accounts that the suite wants.
pub const ACCOUNTS: u32 = 1_000;
/// What each of them starts with.
pub const INITIAL_BALANCE: i64 = 1_000_000;
/// Longest time for one line.
const LINE_TIMEOUT: Duration = Duration::from_mins(1);

/// Who is asked.
#[derive(Debug, Clone)]
pub struct Subject {
    /// How.
    pub connector: ConnectorKind,
    /// How transfers are written.
    pub encoding: Encoding,
    /// Where.
    pub endpoint: Endpoint,
    /// Its ledger may be wiped.
    pub may_wipe: bool,
}

impl Subject {
    fn control(&self) -> ControlClient {
        ControlClient::new(self.connector, self.endpoint.clone())
    }
}

/// What came of one line of the suite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is as the protocol says.
    Passed,
    /// The server does without it; what that costs its user.
    Missing(&'static str),
    /// It is not as the protocol says, or what nothing can be measured without is not there.
    Failed(String),
    /// It was not asked for, and why.
    Skipped(String),
}

/// One line of the suite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// A method, and what of it.
    pub what: &'static str,
    /// What came of it.
    pub verdict: Verdict,
    /// What went over the wire where an answer is not as it must be, as far as that was seen.
    pub exchange: Option<Exchange>,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, why) = match &self.verdict {
            Verdict::Passed => ("pass", ""),
            Verdict::Missing(cost) => ("missing", *cost),
            Verdict::Failed(why) => ("FAIL", why.as_str()),
            Verdict::Skipped(why) => ("skipped", why.as_str()),
        };
        let line = format!("{word:<8} {:<24} {why}", self.what);
        f.write_str(line.trim_end())
    }
}

/// Whether rows of a server with these lines can be valid.
#[must_use]
pub fn conforms(lines: &[Line]) -> bool {
    let failed = |line: &Line| matches!(line.verdict, Verdict::Failed(_));
    !lines.is_empty() && !lines.iter().any(failed)
}

/// Asks a server everything that the protocol has. Each line is told as it is known.
pub async fn check(subject: &Subject, tell: &mut dyn FnMut(&Line)) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut suite = suite::Suite::new(subject);
    for (what, step) in checks::STEPS {
        let verdict = match tokio::time::timeout(LINE_TIMEOUT, suite.step(*step)).await {
            Ok(verdict) => verdict,
            Err(_) => suite.fail(format!("it did not finish within {LINE_TIMEOUT:?}"), None),
        };
        let line = Line {
            what,
            verdict,
            exchange: suite.exchange.take(),
        };
        tell(&line);
        lines.push(line);
        if suite.is_lost {
            break;
        }
    }
    suite.close().await;
    lines
}
