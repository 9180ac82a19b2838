//! What repeated and successive measurements allow to conclude.

mod estimate;
mod steady_state;

pub use estimate::{CONFIDENCE, Estimate, HALF_WIDTH_MAX, RUNS_MAX, RUNS_MIN, VARIATION_MAX};
pub use steady_state::{SteadyState, TICKS_MIN};
