//! What this machine says of itself: environment, processes, control groups, devices.

pub mod cgroup;
pub mod device;
pub mod environment;
pub mod listener;
pub mod preload;
pub mod pressure;
pub mod process;
pub mod spin;
