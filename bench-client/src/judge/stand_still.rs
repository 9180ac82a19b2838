//! A gap in the window: nothing was committed, although transfers were in flight.

use std::time::Duration;

use crate::observation::Ticks;
use crate::record::StandStill;

/// A gap is notable from here on, and from a tenth of the window on if that is shorter.
const GAP_MIN: Duration = Duration::from_secs(1);
/// But not below this, which is what a slow disk makes.
const GAP_MIN_OF_SHORT_WINDOW: Duration = Duration::from_millis(500);
/// A server that commits in long batches has gaps as a rule: a notable one is longer than this
/// many of its usual ones.
const USUAL_GAPS: usize = 3;

/// Finds it. `stalled` is the time in which the event loops of all client threads stood still,
/// since the window opened; it may begin before 0 and is cut off there.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "ticks of a window are few")]
pub(super) fn stand_still(
    ticks: &Ticks,
    stalled: Option<(Duration, Duration)>,
) -> Option<StandStill> {
    let tick = ticks.seconds();
    if tick <= 0.0 {
        return None;
    }
    let window = tick * ticks.committed.len() as f64;
    let least = (window / 10.0).clamp(GAP_MIN_OF_SHORT_WINDOW.as_secs_f64(), GAP_MIN.as_secs_f64());
    let least = least.max((USUAL_GAPS * usual_distance(ticks)?) as f64 * tick);
    let notable: Vec<(usize, usize)> = gaps(ticks)
        .filter(|(_, length)| *length as f64 * tick >= least)
        .collect();
    let (first, length) = notable.iter().copied().max_by_key(|(_, length)| *length)?;
    let (from, seconds) = (first as f64 * tick, length as f64 * tick);
    let overlap = stalled.map_or(0.0, |(begin, end)| {
        end.as_secs_f64().min(from + seconds) - begin.as_secs_f64().max(from)
    });
    Some(StandStill {
        from_seconds: from,
        seconds,
        generator: overlap > seconds / 2.0,
        gaps: u32::try_from(notable.len()).unwrap_or(u32::MAX),
    })
}

/// Runs of ticks without a committed transfer, with transfers in flight at the end of each: where
/// they begin, and how many ticks they have.
fn gaps(ticks: &Ticks) -> impl Iterator<Item = (usize, usize)> {
    let still = |at: usize| {
        ticks.committed[at] == 0 && ticks.inflight.get(at).is_some_and(|inflight| *inflight > 0)
    };
    let mut from = 0;
    let count = ticks.committed.len();
    std::iter::from_fn(move || {
        let first = (from..count).find(|at| still(*at))?;
        let end = (first..count).find(|at| !still(*at)).unwrap_or(count);
        from = end;
        Some((first, end - first))
    })
}

/// From one tick with committed transfers to the next: the median. `None` when there are not two
/// of them, which is no window that a gap could be seen in.
fn usual_distance(ticks: &Ticks) -> Option<usize> {
    let busy = (0..ticks.committed.len()).filter(|at| ticks.committed[*at] > 0);
    let busy: Vec<usize> = busy.collect();
    let mut distances: Vec<usize> = busy.windows(2).map(|pair| pair[1] - pair[0]).collect();
    distances.sort_unstable();
    distances.get(distances.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK_NS: u64 = 100_000_000;

    fn ticks(committed: Vec<u64>, inflight: u64) -> Ticks {
        Ticks {
            length_ns: TICK_NS,
            inflight: vec![inflight; committed.len()],
            committed,
        }
    }

    /// 10 s, with nothing from 4.1 s to 7.1 s.
    fn window(inflight: u64) -> Ticks {
        let busy = |at: u32| u64::from(!(41..71).contains(&at)) * 500;
        ticks((0..100).map(busy).collect(), inflight)
    }

    #[test]
    fn three_seconds_without_a_commit_are_found() {
        let found = stand_still(&window(800), None).expect("it is there");
        assert!((found.from_seconds - 4.1).abs() < 1e-9, "{found:?}");
        assert!((found.seconds - 3.0).abs() < 1e-9, "{found:?}");
        assert!(!found.generator && found.gaps == 1, "{found:?}");
    }

    #[test]
    fn it_is_the_generators_if_its_timers_stood_still_as_well() {
        let stalled = |from, to| {
            let (from, to) = (Duration::from_millis(from), Duration::from_millis(to));
            stand_still(&window(800), Some((from, to))).expect("it is there")
        };
        assert!(stalled(4_080, 7_090).generator);
        assert!(!stalled(4_000, 4_300).generator, "a hiccup at its begin");
        assert!(!stalled(8_000, 9_990).generator, "another time");
    }

    #[test]
    fn what_nothing_was_in_flight_for_is_no_gap() {
        assert_eq!(stand_still(&window(0), None), None);
    }

    #[test]
    fn the_pace_of_long_batches_is_no_stand_still() {
        let beat = |at: u32| u64::from(at.is_multiple_of(15)) * 800;
        let paced = ticks((0..100).map(beat).collect(), 800);
        assert_eq!(stand_still(&paced, None), None);
        let mut stopped = paced;
        stopped.committed[30..75].fill(0);
        let found = stand_still(&stopped, None).expect("it is there");
        assert!((found.seconds - 5.9).abs() < 1e-9, "{found:?}");
    }

    #[test]
    fn a_short_window_has_shorter_gaps() {
        let mut committed = vec![9; 20];
        committed[3..9].fill(0);
        let found = stand_still(&ticks(committed.clone(), 9), None).expect("it is there");
        assert!((found.seconds - 0.6).abs() < 1e-9, "{found:?}");
        committed[5] = 1;
        assert_eq!(stand_still(&ticks(committed, 9), None), None);
        assert_eq!(stand_still(&ticks(vec![0; 50], 9), None), None, "no window");
    }

    #[test]
    fn every_notable_gap_is_counted_and_the_longest_told() {
        let mut both = window(800);
        both.committed[80..95].fill(0);
        let found = stand_still(&both, None).expect("it is there");
        assert_eq!(found.gaps, 2);
        assert!((found.seconds - 3.0).abs() < 1e-9, "{found:?}");
    }
}
