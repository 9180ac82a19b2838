//! What repeated and successive measurements allow to conclude.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A quantity that was measured several times.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Estimate {
    /// Measurements.
    pub count: u32,
    /// Their median.
    pub median: f64,
    /// Lower end of the bootstrap confidence interval of the median.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
    /// Confidence level of the interval, such as 0.95.
    pub confidence: f64,
    /// Coefficient of variation: standard deviation over mean.
    pub variation: f64,
}

/// Whether the warm-up had ended when the window opened.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SteadyState {
    /// Length of the beginning of the window that differs from the rest, in seconds; 0 when
    /// it was steady from the start.
    pub transient_seconds: f64,
    /// TPS in that beginning over TPS in the rest; 1 when it was steady from the start.
    pub transient_ratio: f64,
    /// Whether the window was steady from its start.
    pub steady: bool,
}
