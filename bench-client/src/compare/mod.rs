//! What a comparison needs besides its statistics: how sides are written, in which order they
//! are measured and for how long, what makes them alike, and where baselines are kept.

mod baseline;
mod conditions;
mod schedule;
mod side;

pub use baseline::{BASELINES, Baseline, BaselineError, named_path};
pub use conditions::Conditions;
pub use schedule::{LEAST_ROUNDS, Schedule, base_first, round_seed};
pub use side::{SideError, SideText};
