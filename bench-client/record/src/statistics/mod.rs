//! What repeated and successive measurements allow to conclude.

mod estimate;
mod level;
mod percentile;
mod power;
mod rank_sum;
mod ratio;
mod signed_rank;
#[cfg(any(test, feature = "fixtures"))]
pub mod simulation;
mod steady_state;
mod tail;

pub use estimate::{
    CONFIDENCE, Estimate, HALF_WIDTH_MAX, RUNS_MAX, RUNS_MIN, VARIATION_MAX, deviation,
};
pub use level::{FAMILY_ERROR, Level};
pub use percentile::{Percentile, SPEED_SAMPLES_MIN};
pub use power::{rounds_for, smallest_effect};
pub use ratio::Ratio;
pub use ratio::log_ratios;
pub use steady_state::{SteadyState, TICKS_MIN};
