//! Ctrl-C: the first one ends the measurement, the second one the program.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use bench_client::target::descendants;
use busload_frontend::SAME_WISH;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Longest wait for the end of what is killed at the second one.
const END_TIMEOUT: Duration = Duration::from_secs(1);

/// Becomes true at the first SIGINT or SIGTERM; one that comes later than [`SAME_WISH`] after it
/// ends the program. Call inside a runtime.
pub(crate) fn watch_signals() -> anyhow::Result<watch::Receiver<bool>> {
    let (told, interrupted) = watch::channel(false);
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot watch SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot watch SIGTERM")?;
    tokio::spawn(async move {
        let mut first: Option<Instant> = None;
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if first.is_some_and(|first| first.elapsed() >= SAME_WISH) {
                super::screen::close();
                // Own servers die with this process, since their standard input ends; others may
                // not.
                descendants::end_all(END_TIMEOUT);
                std::process::exit(i32::from(super::INTERRUPTED));
            }
            first.get_or_insert_with(Instant::now);
            told.send_replace(true);
        }
    });
    Ok(interrupted)
}
