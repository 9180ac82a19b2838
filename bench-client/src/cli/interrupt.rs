//! Ctrl-C: the first one ends the measurement, the second one the program.

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Becomes true at the first SIGINT or SIGTERM. Call inside a runtime.
pub(crate) fn watch_signals() -> anyhow::Result<watch::Receiver<bool>> {
    let (told, interrupted) = watch::channel(false);
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot watch SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot watch SIGTERM")?;
    tokio::spawn(async move {
        for times in 0_u8.. {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if times > 0 {
                super::screen::close();
                // Children die with this process: their standard input ends.
                std::process::exit(i32::from(super::INTERRUPTED));
            }
            told.send_replace(true);
        }
    });
    Ok(interrupted)
}
