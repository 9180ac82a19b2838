//! What is wrong while the engine goes on: why its health is degraded.

use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::queue::ReplyPort;

/// Something that is wrong and does not stop the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Trouble {
    /// There is no room on the disk. Transfers are answered `storage_full` and not applied until
    /// a probe write succeeds.
    StorageFull,
    /// The last checkpoint failed, but none of its syncs did. Nothing acknowledged depends on it:
    /// the write-ahead log has everything, and grows until a checkpoint succeeds.
    CheckpointFailed,
    /// The write-ahead log is far longer than checkpoints should let it become: another process
    /// keeps a read transaction open.
    LogGrowing,
}

impl Trouble {
    /// Every trouble there is.
    pub const ALL: [Self; 3] = [Self::StorageFull, Self::CheckpointFailed, Self::LogGrowing];

    /// Its name on the wire and in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::StorageFull => "storage_full",
            Self::CheckpointFailed => "checkpoint_failed",
            Self::LogGrowing => "log_growing",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A trouble has begun or ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Which.
    pub trouble: Trouble,
    /// What happened, when it begins; nothing when it is over.
    pub began: Option<String>,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.began {
            Some(what) => write!(f, "{}: {what}", self.trouble.as_str()),
            None => write!(f, "{} is over", self.trouble.as_str()),
        }
    }
}

/// The troubles of now. Set by the writer, read by anybody.
#[derive(Debug, Default)]
pub(crate) struct Troubles(AtomicU8);

impl Troubles {
    pub(crate) fn now(&self) -> Vec<Trouble> {
        let bits = self.0.load(Ordering::Relaxed);
        let mut all = Trouble::ALL.to_vec();
        all.retain(|trouble| bits & trouble.bit() != 0);
        all
    }

    /// Whether that is news.
    fn set(&self, trouble: Trouble, is: bool) -> bool {
        let before = if is {
            self.0.fetch_or(trouble.bit(), Ordering::Relaxed)
        } else {
            self.0.fetch_and(!trouble.bit(), Ordering::Relaxed)
        };
        (before & trouble.bit() != 0) != is
    }
}

/// Keeps the troubles, and tells the front end of news only.
pub(crate) struct Reporter<'a, P> {
    pub(crate) troubles: &'a Troubles,
    pub(crate) port: &'a mut P,
}

impl<P: ReplyPort> Reporter<'_, P> {
    pub(crate) fn began(&mut self, trouble: Trouble, what: impl FnOnce() -> String) {
        if self.troubles.set(trouble, true) {
            let began = Some(what());
            self.port.notice(Notice { trouble, began });
        }
    }

    pub(crate) fn over(&mut self, trouble: Trouble) {
        if self.troubles.set(trouble, false) {
            let began = None;
            self.port.notice(Notice { trouble, began });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_changes_are_news() {
        let troubles = Troubles::default();
        assert!(!troubles.set(Trouble::LogGrowing, false));
        assert!(troubles.set(Trouble::LogGrowing, true));
        assert!(!troubles.set(Trouble::LogGrowing, true));
        assert!(troubles.set(Trouble::StorageFull, true));
        assert_eq!(troubles.now(), [Trouble::StorageFull, Trouble::LogGrowing]);
        assert!(troubles.set(Trouble::LogGrowing, false));
        assert_eq!(troubles.now(), [Trouble::StorageFull]);
    }
}
