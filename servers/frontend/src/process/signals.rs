//! What the process is told from outside.

use std::io::Read as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use nix::sys::signal::Signal;
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};
use tokio::sync::Notify;

/// Exit code after a second signal: what was queued may be unanswered.
const IMPATIENT_EXIT_CODE: i32 = 5;

/// Signals that come within this time of the first are the same wish. `timeout(1)` signals its
/// child and then the process group that the child is in, so one wish comes as two signals
/// within a millisecond. A person who loses patience takes longer than this.
pub const SAME_WISH: Duration = Duration::from_millis(500);

/// Completes on SIGINT, SIGTERM or, if asked, at the end of standard input. A signal later than
/// [`SAME_WISH`] after the first ends the process at once, which is no more to the ledger than a
/// `kill -9`.
pub(crate) fn stop_signal(until_stdin_ends: bool) -> anyhow::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot watch SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot watch SIGTERM")?;
    let stop = Arc::new(Notify::new());
    let signalled = Arc::clone(&stop);
    tokio::spawn(async move {
        either(&mut interrupt, &mut terminate).await;
        let first = Instant::now();
        signalled.notify_one();
        either(&mut interrupt, &mut terminate).await;
        while first.elapsed() < SAME_WISH {
            either(&mut interrupt, &mut terminate).await;
        }
        eprintln!("error: ended by a second signal, before everything queued was answered");
        std::process::exit(IMPATIENT_EXIT_CODE);
    });
    if until_stdin_ends {
        let ended = Arc::clone(&stop);
        // A thread of its own: a blocked read of standard input must not hold up the
        // runtime's shutdown.
        std::thread::Builder::new()
            .name("stdin".to_owned())
            .spawn(move || {
                let mut buffer = [0; 256];
                while !matches!(std::io::stdin().lock().read(&mut buffer), Ok(0) | Err(_)) {}
                ended.notify_one();
            })?;
    }
    Ok(async move { stop.notified().await })
}

async fn either(one: &mut Signals, other: &mut Signals) {
    tokio::select! {
        _ = one.recv() => {}
        _ = other.recv() => {}
    }
}

/// Makes a write past the limit of file sizes an error, which the engine can answer and
/// report, where it would kill the process.
pub(crate) fn survive_file_size_limit() -> anyhow::Result<()> {
    let file_size = SignalKind::from_raw(Signal::SIGXFSZ as i32);
    // The handler stays when the receiver is dropped.
    drop(signal(file_size).context("cannot watch SIGXFSZ")?);
    Ok(())
}
