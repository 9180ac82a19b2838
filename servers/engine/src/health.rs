//! What is wrong while the engine goes on: why its health is degraded.

use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};

/// Something that is wrong and does not stop the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Degradation {
    /// There is no room on the disk. Transfers are answered `storage_full` and not applied until
    /// a probe write succeeds.
    StorageFull,
    /// The last checkpoint failed, but none of its syncs did. Nothing acknowledged depends on it:
    /// the write-ahead log has everything, and grows until a checkpoint succeeds.
    CheckpointFailed,
    /// The write-ahead log is far longer than checkpoints should let it become: another process
    /// keeps a read transaction open.
    LogGrowing,
    /// What stores the transfers cannot be reached, or refuses what it is asked. Transfers are
    /// answered `overloaded` and not applied until it does not.
    StorageUnavailable,
}

impl Degradation {
    /// Everything that can be wrong.
    pub const ALL: [Self; 4] = [
        Self::StorageFull,
        Self::CheckpointFailed,
        Self::LogGrowing,
        Self::StorageUnavailable,
    ];

    /// Its name on the wire and in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::StorageFull => "storage_full",
            Self::CheckpointFailed => "checkpoint_failed",
            Self::LogGrowing => "log_growing",
            Self::StorageUnavailable => "storage_unavailable",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// The health has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// In what.
    pub degradation: Degradation,
    /// What happened, when it begins; nothing when it is over.
    pub began: Option<String>,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.degradation.as_str();
        match &self.began {
            Some(what) => write!(f, "{name}: {what}"),
            None => write!(f, "{name} is over"),
        }
    }
}

/// What is wrong now. Set by the writer, read by anybody.
#[derive(Debug, Default)]
pub(crate) struct Health(AtomicU8);

impl Health {
    pub(crate) fn now(&self) -> Vec<Degradation> {
        let mut all = Degradation::ALL.to_vec();
        all.retain(|degradation| self.has(*degradation));
        all
    }

    pub(crate) fn has(&self, degradation: Degradation) -> bool {
        self.0.load(Ordering::Relaxed) & degradation.bit() != 0
    }

    /// Whether that is news.
    pub(crate) fn set(&self, degradation: Degradation, is: bool) -> bool {
        let before = if is {
            self.0.fetch_or(degradation.bit(), Ordering::Relaxed)
        } else {
            self.0.fetch_and(!degradation.bit(), Ordering::Relaxed)
        };
        (before & degradation.bit() != 0) != is
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_changes_are_news() {
        let health = Health::default();
        assert!(!health.set(Degradation::LogGrowing, false));
        assert!(health.set(Degradation::LogGrowing, true));
        assert!(!health.set(Degradation::LogGrowing, true));
        assert!(health.set(Degradation::StorageFull, true));
        assert_eq!(
            health.now(),
            [Degradation::StorageFull, Degradation::LogGrowing]
        );
        assert!(health.set(Degradation::LogGrowing, false));
        assert_eq!(health.now(), [Degradation::StorageFull]);
    }
}
