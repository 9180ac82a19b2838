//! A server is started, and does not always come.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::super::bank::Reading;
use super::super::cycle::clear_away;
use super::super::recipe::Recipe;
use super::{Audit, Progress, stopped};

/// How often a server that was interrupted is started before it is said not to come back.
const RESTARTS: u32 = 3;
/// Pause between them.
const RESTART_PAUSE: Duration = Duration::from_millis(300);
/// A start that takes longer is told of: it may take minutes.
const WORTH_TELLING: Duration = Duration::from_secs(5);
/// How long a server may take to come back when the user has ended the audit before it was
/// started: the cycle is to be judged, if that is soon.
const LAST_PATIENCE: Duration = Duration::from_secs(10);

/// Waits for a start, and says so when it takes long.
pub(super) async fn told_of<T>(
    starting: impl Future<Output = T>,
    recipe: &Recipe,
    progress: &mut dyn Progress,
) -> T {
    tokio::pin!(starting);
    if let Ok(started) = tokio::time::timeout(WORTH_TELLING, &mut starting).await {
        return started;
    }
    progress.waiting(&recipe.awaited());
    starting.await
}

impl Audit<'_> {
    /// Starts the server as it is and reads its books; the text says why that cannot be done.
    /// `None` when the user has ended the audit and it is not there yet.
    pub(super) async fn restart(
        &mut self,
        progress: &mut dyn Progress,
    ) -> Option<Result<Reading, String>> {
        let mut told = self.interrupted.clone();
        let enough = async {
            if *told.borrow() {
                tokio::time::sleep(LAST_PATIENCE).await;
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

    async fn start_again(&mut self, progress: &mut dyn Progress) -> Result<Reading, String> {
        let mut why = String::new();
        for attempt in 0..RESTARTS {
            if attempt > 0 {
                tokio::time::sleep(RESTART_PAUSE).await;
            }
            let recipe = &self.plan.recipe;
            let starting = recipe.start(&[], &self.database, false);
            let read = match told_of(starting, recipe, progress).await {
                Ok(server) => {
                    self.server = server;
                    let mut control = recipe.transport.control(self.server.target());
                    Reading::take(&mut control, self.bank.accounts)
                        .await
                        .map_err(|error| crate::with_causes(&error))
                }
                Err(error) => Err(crate::with_causes(&error)),
            };
            match read {
                Ok(reading) => return Ok(reading),
                Err(error) => why = error,
            }
            let _ = self.server.signal(Signal::SIGKILL);
            clear_away(&mut self.server).await;
        }
        Err(format!(
            "started {RESTARTS} times, and it did not serve: {why}"
        ))
    }
}
