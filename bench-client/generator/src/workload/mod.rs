//! What the workers ask the servers to do: seeded, skewed transfers between accounts.
//!
//! A run with the same `--seed`, `--accounts`, `--alpha` and number of workers draws the same
//! transfers on any machine. Three things make that so:
//!
//! - the generator has a name ([`rand_xoshiro::Xoshiro256PlusPlus`]) where `SmallRng` and
//!   `StdRng` may change with a release or a platform;
//! - weights come from the pure Rust [`libm::pow`], made of IEEE 754 additions and
//!   multiplications only, where [`f64::powf`] calls whatever `pow` the platform has and is
//!   documented as not bit-identical between platforms;
//! - from the quantised weights on, all arithmetic is on integers.
//!
//! Golden values in the tests hold this down across upgrades of either crate.
//!
//! Nothing here knows of clocks, sockets or amounts.

mod transfers;
mod zipf;

pub use transfers::{AccountPair, TransferSource, worker_seed};
pub use zipf::{ACCOUNT_COUNT_MAX, ACCOUNT_COUNT_MIN, Zipf, ZipfError};
