//! In which order the two sides are measured, and when there is enough.

use std::time::Duration;

use crate::judge::compare::ROUNDS_MAX;
use crate::record::comparison::Stopped;

/// Rounds that are measured even when the time is over, unless a person set the limit: fewer
/// cannot reach the confidence of a verdict ([`Level::rounds_min`](crate::statistics::Level::rounds_min)).
pub const LEAST_ROUNDS: u32 = 10;

/// Whether the base is measured first in the round of this number, from 0. Rounds alternate
/// (A B, B A, A B, …), so that what drifts steadily is in favour of each side in turn.
#[must_use]
pub const fn base_first(round: u32) -> bool {
    round.is_multiple_of(2)
}

/// The seed of both runs of a round: the same for both, another one in each round.
#[must_use]
pub const fn round_seed(seed: u64, round: u32) -> u64 {
    seed.wrapping_add(round as u64)
}

/// When to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// After so many rounds.
    pub rounds: Option<u32>,
    /// Before the round that would end later than this.
    pub limit: Option<Duration>,
    /// Rounds that the limit does not cut off.
    pub least: u32,
}

impl Schedule {
    /// Why no further round is measured, if so: `done` rounds took `elapsed`, and `precise` is
    /// whether the asked precision is reached.
    #[must_use]
    pub fn stop(&self, done: u32, elapsed: Duration, precise: bool) -> Option<Stopped> {
        if done >= self.rounds.unwrap_or(ROUNDS_MAX) {
            return Some(Stopped::Rounds);
        }
        if precise {
            return Some(Stopped::Precision);
        }
        let limit = self.limit.filter(|_| done >= self.least.max(1))?;
        let with_another = elapsed + elapsed / done.max(1);
        (with_another > limit).then_some(Stopped::TimeLimit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::Level;

    #[test]
    fn rounds_turn_around() {
        let order: Vec<bool> = (0..4).map(base_first).collect();
        assert_eq!(order, [true, false, true, false]);
        assert_eq!(round_seed(7, 0), 7);
        assert_eq!(round_seed(u64::MAX, 2), 1);
    }

    #[test]
    fn the_least_number_allows_a_verdict() {
        assert_eq!(LEAST_ROUNDS, Level::METRICS.rounds_min());
    }

    #[test]
    fn a_number_of_rounds_is_exact() {
        let schedule = Schedule {
            rounds: Some(3),
            limit: None,
            least: 1,
        };
        assert_eq!(schedule.stop(2, Duration::from_hours(9), false), None);
        assert_eq!(
            schedule.stop(3, Duration::ZERO, false),
            Some(Stopped::Rounds)
        );
        let endless = Schedule {
            rounds: None,
            ..schedule
        };
        assert_eq!(
            endless.stop(ROUNDS_MAX, Duration::ZERO, false),
            Some(Stopped::Rounds)
        );
    }

    #[test]
    fn the_time_is_not_overrun_by_a_round_that_can_be_foreseen() {
        let schedule = Schedule {
            rounds: None,
            limit: Some(Duration::from_secs(100)),
            least: 1,
        };
        assert_eq!(schedule.stop(0, Duration::from_secs(500), false), None);
        assert_eq!(schedule.stop(9, Duration::from_secs(90), false), None);
        assert_eq!(
            schedule.stop(9, Duration::from_secs(91), false),
            Some(Stopped::TimeLimit)
        );
        let patient = Schedule {
            least: LEAST_ROUNDS,
            ..schedule
        };
        assert_eq!(patient.stop(9, Duration::from_secs(91), false), None);
        assert_eq!(
            patient.stop(10, Duration::from_secs(101), false),
            Some(Stopped::TimeLimit)
        );
        assert_eq!(
            patient.stop(1, Duration::ZERO, true),
            Some(Stopped::Precision)
        );
    }
}
