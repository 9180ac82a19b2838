//! What a ledger tells of itself while it works.

use std::sync::Arc;

use crate::health::{Degradation, Health, Notice};
use crate::stats::{CheckpointRecord, SharedStats};

/// Where a ledger reports what is wrong and what its checkpoints were. The front end is told of
/// news only, after the call in which they came.
pub struct Monitor {
    pub(crate) health: Arc<Health>,
    pub(crate) stats: Arc<SharedStats>,
    news: Vec<Notice>,
}

impl Monitor {
    pub(crate) fn new(health: Arc<Health>, stats: Arc<SharedStats>) -> Self {
        let news = Vec::new();
        Self {
            health,
            stats,
            news,
        }
    }

    /// Something is wrong; `what` is asked only if it was not before. While it is
    /// [`Degradation::StorageFull`] the engine refuses transfers.
    pub fn began(&mut self, degradation: Degradation, what: impl FnOnce() -> String) {
        if self.health.set(degradation, true) {
            let began = Some(what());
            self.news.push(Notice { degradation, began });
        }
    }

    /// It is not wrong any more, if it was.
    pub fn over(&mut self, degradation: Degradation) {
        if self.health.set(degradation, false) {
            let began = None;
            self.news.push(Notice { degradation, began });
        }
    }

    /// A checkpoint has ended.
    pub fn checkpoint(&mut self, record: &CheckpointRecord) {
        self.stats.record_checkpoint(record);
    }

    pub(crate) fn take_news(&mut self) -> impl Iterator<Item = Notice> {
        self.news.drain(..)
    }
}
