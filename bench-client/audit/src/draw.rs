//! Everything random in an audit, from one seed.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng as _, SeedableRng as _};

use crate::workload::worker_seed;

/// A stream of random numbers that a seed and a name fix: a seed replays the plan of a run.
#[derive(Debug, Clone)]
pub struct Draw(Xoshiro256PlusPlus);

impl Draw {
    /// The stream number `stream` of a run. Streams do not depend on each other, nor on how
    /// many there are or how much is drawn from them.
    #[must_use]
    pub fn new(seed: u64, stream: u32) -> Self {
        Self(Xoshiro256PlusPlus::seed_from_u64(worker_seed(seed, stream)))
    }

    /// A number from `lowest` to `highest`, both included; `lowest` when they are the wrong way
    /// round. The error of the modulo, below `highest` ÷ 2^64, does not matter for choosing
    /// moments and amounts.
    pub fn within(&mut self, lowest: u64, highest: u64) -> u64 {
        let span = highest.saturating_sub(lowest).saturating_add(1);
        lowest + self.0.next_u64() % span
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_replays_and_bounds_hold() {
        let draw = |seed, stream| {
            let mut draw = Draw::new(seed, stream);
            [(); 64].map(|()| draw.within(3, 1000))
        };
        assert_eq!(draw(1, 2), draw(1, 2));
        assert_ne!(draw(1, 2), draw(1, 3));
        assert_ne!(draw(1, 2), draw(2, 2));
        assert!(draw(7, 7).iter().all(|n| (3..=1000).contains(n)));
        assert_eq!(Draw::new(1, 1).within(5, 5), 5);
    }
}
