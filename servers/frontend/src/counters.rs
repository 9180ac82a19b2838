//! What the front end counts by itself, beside what the engine does.

use std::sync::Arc;

use busload_wire::control::{NetworkStats, Stats};

use crate::input_memory::InputMemory;
use crate::listener::Listener;
use crate::timings::Timings;

/// Everything that the front end adds to the answer of `stats`.
#[derive(Clone)]
pub(crate) struct FrontCounters {
    pub(crate) timings: Arc<Timings>,
    pub(crate) input_memory: Arc<InputMemory>,
    pub(crate) listener: Arc<Listener>,
}

impl FrontCounters {
    pub(crate) fn add(&self, stats: &mut Stats, histograms: bool) {
        self.timings.add(stats, histograms);
        stats.network = Some(NetworkStats {
            listen_overflows: self.listener.overflows(),
            refused_inputs: self.input_memory.refused(),
        });
    }
}
