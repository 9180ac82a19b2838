//! A sync failed, and the server is still there: whether it ignores that.

use std::time::{Duration, Instant};

use super::failed_syncs::{FailedSync, SyncOf};
use super::fault::Fault;
use crate::target::ServerProcess;
use tokio::sync::watch;

/// How long after the time of the cycle a server may take to end because a sync failed.
const ERROR_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause between two looks at it.
const ERROR_INTERVAL: Duration = Duration::from_millis(50);
/// So many syncs after one that failed are more than the rollback of a commit makes, and than a
/// server makes that is about to end: it goes on.
const IGNORED_SYNCS_MIN: usize = 20;

/// What a server did after the syncs whose failure it ignored; whether that fails. For servers
/// other than this program's `own` it is a warning.
#[must_use]
pub(super) fn judge(ignored: &[FailedSync], own: bool) -> Vec<(String, bool)> {
    let each = ignored.iter().map(|sync| {
        let name = sync.name();
        let message = match sync.later {
            0 => {
                format!("a sync of {name} failed, and {ERROR_TIMEOUT:?} later it had not ended")
            }
            later => format!(
                "answered on after a sync that failed: of {name}, and {later} more syncs followed"
            ),
        };
        (message, own)
    });
    each.collect()
}

/// The time of the cycle is over, and the server is there. If syncs have failed, it is given time
/// to end because of them. Whether it has ended; the syncs whose failure it ignored if not.
pub(super) async fn find(
    server: &mut ServerProcess,
    fault: &dyn Fault,
    interrupted: &watch::Receiver<bool>,
    own: bool,
) -> (bool, Vec<FailedSync>) {
    let began = Instant::now();
    // Not those that fail from now on: it could not end in time.
    let failed = fault.failed_syncs().len();
    loop {
        let mut open = fault.failed_syncs();
        open.truncate(failed);
        open.retain(|sync| is_ignored(sync, own));
        if open.is_empty() || *interrupted.borrow() {
            return (false, Vec::new());
        }
        let goes_on = |sync: &FailedSync| sync.later >= IGNORED_SYNCS_MIN;
        if open.iter().any(goes_on) {
            open.retain(goes_on);
            return (false, open);
        }
        if began.elapsed() > ERROR_TIMEOUT {
            return (false, open);
        }
        if tokio::time::timeout(ERROR_INTERVAL, server.wait())
            .await
            .is_ok()
        {
            return (true, Vec::new());
        }
    }
}

/// Whether a server that goes on after this sync has failed ignores that. This program's `own`
/// may ignore none. SQLite goes on after one of a checkpoint, and so may others.
fn is_ignored(sync: &FailedSync, own: bool) -> bool {
    own || sync.of != SyncOf::Checkpoint
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_may_not_go_on_after_a_sync_that_failed() {
        let sync = |of, later| FailedSync {
            file: "/somewhere/ledger-journal".into(),
            of,
            later,
        };
        for (of, own, ignored) in [
            (SyncOf::Commit, true, true),
            (SyncOf::Commit, false, true),
            (SyncOf::Log, true, true),
            (SyncOf::Log, false, true),
            (SyncOf::Checkpoint, true, true),
            (SyncOf::Checkpoint, false, false),
        ] {
            let found = is_ignored(&sync(of, 0), own);
            assert_eq!(found, ignored, "{of:?} {own}");
        }
        let judged = |of, later, own| judge(&[sync(of, later)], own).remove(0);
        for own in [true, false] {
            let (message, fails) = judged(SyncOf::Commit, 3, own);
            assert_eq!(fails, own);
            let expected = "answered on after a sync that failed: of ledger-journal";
            assert!(message.starts_with(expected), "{message}");
            let (message, fails) = judged(SyncOf::Log, 0, own);
            assert_eq!(fails, own);
            assert!(message.contains("it had not ended"), "{message}");
        }
        assert_eq!(judge(&[], true), []);
    }
}
