//! A server is started, and does not always come.

use std::time::{Duration, Instant};

use super::super::bank::Reading;
use super::{Audit, Progress, stopped};
use crate::control::ControlError;
use crate::target::{TargetError, Waiting};

/// How often a server that was interrupted is started before it is said not to come back.
const RESTARTS: u32 = 3;
/// Pause between them.
const RESTART_PAUSE: Duration = Duration::from_millis(300);
/// A start that takes longer is told of: it may take minutes.
const WORTH_TELLING: Duration = Duration::from_secs(5);
/// How long a server may take to come back when the user has ended the audit before it was
/// started: the cycle is to be judged, if that is soon.
const LAST_TIMEOUT: Duration = Duration::from_secs(10);

/// A server that is back, with its ledger.
pub(super) struct Back {
    pub(super) reading: Reading,
    /// Starts before this one, of which nothing came.
    pub(super) failed: Vec<FailedStart>,
}

/// A start of which nothing came.
pub(crate) struct FailedStart {
    pub(crate) why: String,
    /// The server ended by itself: it was not just too slow.
    pub(crate) ended: bool,
}

/// Says that a start takes long, once.
pub(super) struct Told<'a> {
    progress: &'a mut dyn Progress,
    began: Instant,
    done: bool,
}

impl<'a> Told<'a> {
    pub(super) fn to(progress: &'a mut dyn Progress) -> Self {
        Self {
            progress,
            began: Instant::now(),
            done: false,
        }
    }
}

impl Waiting for Told<'_> {
    fn still(&mut self, what: &str) {
        if !self.done && self.began.elapsed() >= WORTH_TELLING {
            self.notice(&format!("waiting for the server: {what}"));
        }
    }

    fn notice(&mut self, what: &str) {
        self.done = true;
        self.progress.waiting(what);
    }
}

impl Audit<'_> {
    /// Starts the server as it is and reads its ledger; the text says why that cannot be done.
    /// `None` when the user has ended the audit and it is not there yet.
    pub(super) async fn restart(
        &mut self,
        progress: &mut dyn Progress,
    ) -> Option<Result<Back, String>> {
        let mut told = self.interrupted.clone();
        let enough = async {
            if *told.borrow() {
                tokio::time::sleep(LAST_TIMEOUT).await;
            } else {
                stopped(&mut told).await;
            }
        };
        tokio::select! {
            biased;
            back = self.start_again(progress) => Some(back),
            // Whoever is just being started is killed by that.
            () = enough => None,
        }
    }

    async fn start_again(&mut self, progress: &mut dyn Progress) -> Result<Back, String> {
        let mut failed = Vec::new();
        for attempt in 0..RESTARTS {
            if attempt > 0 {
                tokio::time::sleep(RESTART_PAUSE).await;
            }
            let command = &self.plan.command;
            let waiting = &mut Told::to(progress);
            let read = match command.start(&[], &self.database, false, waiting).await {
                Ok(server) => {
                    self.server = server;
                    let mut control = command.wire.control(self.server.target());
                    let read = Reading::take(&mut control, self.bank.accounts).await;
                    match read {
                        Ok(reading) => Ok(reading),
                        Err(error) => Err(self.failed_reading(&error).await),
                    }
                }
                Err(error) => Err(FailedStart {
                    why: crate::with_causes(&error),
                    ended: matches!(error, TargetError::NotReady { ended: true, .. }),
                }),
            };
            match read {
                Ok(reading) => return Ok(Back { reading, failed }),
                Err(error) => failed.push(error),
            }
            let _ = self.server.end().await;
        }
        let why = failed.pop().map_or_else(String::new, |last| last.why);
        Err(format!(
            "started {RESTARTS} times, and it did not serve: {why}"
        ))
    }

    /// A server was started, and its ledger cannot be read: whether it has ended.
    async fn failed_reading(&mut self, error: &ControlError) -> FailedStart {
        let ending = tokio::time::timeout(RESTART_PAUSE, self.server.wait()).await;
        let how = match ending {
            Ok(Ok(status)) => format!(" (it had ended: {status})"),
            _ => String::new(),
        };
        FailedStart {
            why: format!("{}{how}", crate::with_causes(error)),
            ended: ending.is_ok(),
        }
    }
}
