//! Sweeps over one or two knobs, and the search for the knee: what to measure next, apart from
//! measuring it.

mod knee;
mod resume;

pub use knee::{ACHIEVED_SHARE_MIN, KneeSearch, Next, Trial};
pub use resume::{Recorded, ResumeError, environment_differences, open, settings};
