//! The group-commit model: what TPS and p50 the knobs allow, and which limit binds. Derived in
//! `docs/model.md`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What keeps TPS from being higher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Bottleneck {
    /// The writer sleeps in the sync most of the time: larger batches share it.
    DiskSync,
    /// The writer is busy applying and committing.
    WriterCpu,
    /// The server's reading and answering is busy.
    TransportCpu,
    /// The load generator is busy.
    Generator,
    /// Fewer transfers in flight than a batch could take: the writer waits for passengers.
    EmptyBusStop,
}

impl Bottleneck {
    /// In words.
    #[must_use]
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::DiskSync => "disk sync",
            Self::WriterCpu => "writer CPU",
            Self::TransportCpu => "transport CPU",
            Self::Generator => "generator",
            Self::EmptyBusStop => "empty bus stop",
        }
    }
}

/// One limit on TPS.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Limit {
    /// What limits.
    pub bottleneck: Bottleneck,
    /// TPS if nothing else did.
    pub tps: f64,
}

/// What the model expects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Prediction {
    /// Committed transfers per second.
    pub tps: f64,
    /// Median latency in milliseconds.
    pub p50_ms: f64,
    /// Transfers per batch.
    pub mean_batch: f64,
    /// The limit that binds.
    pub bottleneck: Bottleneck,
    /// Which knob to turn next, and which way.
    pub remedy: String,
    /// Every limit that was considered, lowest first.
    pub limits: Vec<Limit>,
}
