//! What the group-commit model expects of a row.

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
    /// The writer waits for a database that is another process. Its sync, its work and the way
    /// there are one time.
    Database,
    /// The server's reading and answering is busy.
    TransportCpu,
    /// The load generator is busy.
    Generator,
    /// Fewer transfers in flight than a batch could take: the writer waits for passengers.
    EmptyBusStop,
    /// All cores that client and server share are busy.
    Cores,
    /// Less is offered (`--rate`) than could be done.
    OfferedRate,
}

impl Bottleneck {
    /// In words.
    #[must_use]
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::DiskSync => "disk sync",
            Self::WriterCpu => "writer CPU",
            Self::Database => "database",
            Self::TransportCpu => "transport CPU",
            Self::Generator => "generator",
            Self::EmptyBusStop => "empty bus stop",
            Self::Cores => "all cores",
            Self::OfferedRate => "offered rate",
        }
    }
}

impl std::fmt::Display for Bottleneck {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.in_words())
    }
}

/// One limit on TPS.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Limit {
    /// What limits.
    pub bottleneck: Bottleneck,
    /// TPS if nothing else did, at the predicted batch. The limits of one thread add up: a
    /// writer whose sync and CPU each allow 100 does 50.
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
    /// The limit that binds; absent when the row that this is of refutes the prediction.
    pub bottleneck: Option<Bottleneck>,
    /// Which knob to turn next, and which way; likewise.
    pub remedy: Option<String>,
    /// Every limit that was considered, lowest first; none when the row refutes the prediction.
    pub limits: Vec<Limit>,
    /// What the row that this is of says against it: the prediction has failed. Empty for one
    /// that holds, and for one that is of no row.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refuted: Vec<String>,
}

impl Prediction {
    /// How far a prediction is off: predicted ÷ measured − 1, so that above 0 it promises too
    /// much. The one convention of this program (`docs/model.md`). `None` when nothing was
    /// measured.
    #[must_use]
    pub fn error(predicted: f64, measured: f64) -> Option<f64> {
        (measured > 0.0)
            .then(|| predicted / measured - 1.0)
            .filter(|error| error.is_finite())
    }

    /// The limit that binds, in words, with another that is so near that it may bind in the next
    /// row; or that none is known.
    #[must_use]
    pub fn limit_in_words(&self) -> String {
        match (self.bottleneck, self.nearest_limit()) {
            (Some(bottleneck), Some(near)) => format!("{bottleneck}, with {near} close behind"),
            (Some(bottleneck), None) => bottleneck.to_string(),
            (None, _) => "not known: the model does not fit this row".to_owned(),
        }
    }

    /// The limit that binds, for a column; `None` where none is known.
    #[must_use]
    pub fn limit_in_short(&self) -> Option<String> {
        self.bottleneck.map(|bottleneck| bottleneck.to_string())
    }

    fn nearest_limit(&self) -> Option<Bottleneck> {
        // Of what is offered the others are limits at the batches that it makes: with more of it
        // they would be higher.
        if self.bottleneck == Some(Bottleneck::OfferedRate) {
            return None;
        }
        let binds = |limit: &&Limit| Some(limit.bottleneck) == self.bottleneck;
        let own = self.limits.iter().find(binds)?.tps;
        // The lowest goes first.
        let mut others = self.limits.iter().filter(|limit| !binds(limit));
        let next = others.next()?;
        (next.tps.max(own) <= NEAR_FACTOR * next.tps.min(own)).then_some(next.bottleneck)
    }
}

/// Limits within this factor of each other change places from one row to the next.
const NEAR_FACTOR: f64 = 1.2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_is_near_is_named_beside_the_one_that_binds() {
        let with = |sync: f64, cpu: f64| {
            let limit = |bottleneck, tps| Limit { bottleneck, tps };
            Prediction {
                tps: 100.0,
                p50_ms: 1.0,
                mean_batch: 1.0,
                bottleneck: Some(Bottleneck::DiskSync),
                remedy: None,
                limits: vec![
                    limit(Bottleneck::DiskSync, sync),
                    limit(Bottleneck::WriterCpu, cpu),
                ],
                refuted: Vec::new(),
            }
        };
        assert_eq!(
            with(200.0, 239.0).limit_in_words(),
            "disk sync, with writer CPU close behind"
        );
        assert_eq!(with(200.0, 260.0).limit_in_words(), "disk sync");
    }
}
