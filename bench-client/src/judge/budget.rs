//! Where the time of a transfer goes, and where the time of a second goes.

use std::time::Duration;

use busload_wire::control::{Distribution, Stats};

use crate::figures::in_us;
use crate::record::{Budget, SecondBudget, Spread, Stage, StageTime, between};

/// What the budget is made of.
#[derive(Debug)]
pub(super) struct BudgetEvidence<'a> {
    /// Mean latency of the transfers answered in the window, in microseconds.
    pub(super) mean_us: f64,
    /// The part of it before they were sent, likewise.
    pub(super) queue_us: f64,
    /// Mean time on the wire with the null server at the same load, in microseconds.
    pub(super) wire_us: Option<f64>,
    /// The server's counters when the window opened.
    pub(super) before: &'a Stats,
    /// The same when it closed.
    pub(super) after: &'a Stats,
    /// Time between the two.
    pub(super) between: Duration,
}

/// Microseconds in which a stage is written down, in the nanoseconds in which it is counted.
const US: f64 = 1e3;

/// Stages that together are longer than the mean latency by more than this share of it are
/// wrong: transfers cross both ends of the window, and client and server read their clocks at
/// different moments.
const OVERLAP_MAX: f64 = 0.1;
/// The same for the parts of a second of the writer, of whose batches one crosses each end.
const SECOND_OVERLAP_MAX: f64 = 0.05;

/// What transfers spent in a stage between two readings.
struct Spent {
    mean_us: f64,
    spread: Option<Spread>,
}

#[expect(clippy::cast_precision_loss, reason = "nanoseconds far below 2^52")]
fn spent(before: &Distribution, after: &Distribution) -> Option<Spent> {
    let count = after.count.checked_sub(before.count).filter(|n| *n > 0)?;
    let sum = after.sum.saturating_sub(before.sum);
    Some(Spent {
        mean_us: sum as f64 / count as f64 / US,
        spread: between(after, before, US),
    })
}

/// The server's own stages of a transfer, as far as it tells them.
fn server_stages(before: &Stats, after: &Stats) -> Vec<(Stage, Spent)> {
    let (from, to) = (&before.transfer_stages, &after.transfer_stages);
    [
        (Stage::Read, spent(&from.read_ns, &to.read_ns)),
        (
            Stage::Wait,
            spent(&before.stages.wait_ns, &after.stages.wait_ns),
        ),
        (Stage::Apply, spent(&from.apply_ns, &to.apply_ns)),
        (
            Stage::CommitWrite,
            spent(&from.commit_write_ns, &to.commit_write_ns),
        ),
        (Stage::Sync, spent(&from.sync_ns, &to.sync_ns)),
        (Stage::Answer, spent(&from.reply_ns, &to.reply_ns)),
    ]
    .into_iter()
    .filter_map(|(stage, spent)| Some((stage, spent?)))
    .collect()
}

/// Mean time of a transfer outside of client queue and server, in microseconds: with the null
/// server, the wire. `None` for a server that does not tell its stages.
#[must_use]
pub(super) fn outside_us(
    mean_us: f64,
    queue_us: f64,
    before: &Stats,
    after: &Stats,
) -> Option<f64> {
    let stages = server_stages(before, after);
    let inside: f64 = stages.iter().map(|(_, spent)| spent.mean_us).sum();
    (!stages.is_empty()).then_some(mean_us - queue_us - inside)
}

/// Makes up the budget; `None` when the server tells no stages or did nothing.
#[must_use]
pub(super) fn budget(evidence: &BudgetEvidence<'_>) -> Option<Budget> {
    let BudgetEvidence {
        mean_us,
        queue_us,
        wire_us,
        before,
        after,
        between,
    } = *evidence;
    let outside = outside_us(mean_us, queue_us, before, after)?;
    let tolerated_us = OVERLAP_MAX * mean_us;
    let mut withheld = Vec::new();
    let fits = |wire: &f64| *wire >= 0.0 && *wire <= outside + tolerated_us;
    if let Some(wire) = wire_us.filter(|wire| !fits(wire)) {
        withheld.push(format!(
            "the time on the wire: {} with the null server, and {} here for everything outside \
             the server",
            in_us(Some(wire)),
            in_us(Some(outside))
        ));
    }
    let wire_us = wire_us.filter(fits);
    let second = second(before, after, between)?;
    let busy_ms = 1_000.0 - second.idle_ms;
    let second = (second.idle_ms >= -1_000.0 * SECOND_OVERLAP_MAX).then_some(second);
    if second.is_none() {
        withheld.push(format!(
            "a second of the writer: its parts make {busy_ms:.0} ms"
        ));
    }
    if outside < -tolerated_us {
        withheld.push(format!(
            "the stages: together they are {} longer than the mean latency",
            in_us(Some(-outside))
        ));
        return Some(Budget {
            mean_us,
            stages: Vec::new(),
            second,
            withheld,
        });
    }
    let only_mean = |stage, mean_us| StageTime {
        stage,
        mean_us,
        p50_us: None,
        p99_us: None,
    };
    let mut stages = vec![only_mean(Stage::ClientQueue, queue_us)];
    stages.extend(wire_us.map(|wire| only_mean(Stage::Wire, wire)));
    stages.extend(
        server_stages(before, after)
            .into_iter()
            .map(|(stage, spent)| StageTime {
                stage,
                mean_us: spent.mean_us,
                p50_us: spent.spread.and_then(|spread| spread.p50),
                p99_us: spent.spread.and_then(|spread| spread.p99),
            }),
    );
    stages.push(only_mean(
        Stage::Unexplained,
        outside - wire_us.unwrap_or(0.0),
    ));
    debug_assert!(
        is_whole(stages.iter().map(|time| time.mean_us), mean_us),
        "the stages are the mean latency: {stages:?}"
    );
    Some(Budget {
        mean_us,
        stages,
        second,
        withheld,
    })
}

/// The parts sum up to the whole, but for rounding.
fn is_whole(parts: impl Iterator<Item = f64>, whole: f64) -> bool {
    let (sum, size) = parts.fold((0.0, whole.abs()), |(sum, size), part| {
        (sum + part, size + part.abs())
    });
    (sum - whole).abs() <= 1e-9 * size
}

/// What the writer did in a second.
#[expect(clippy::cast_precision_loss, reason = "nanoseconds far below 2^52")]
fn second(before: &Stats, after: &Stats, between: Duration) -> Option<SecondBudget> {
    let seconds = between.as_secs_f64();
    if seconds <= 0.0 {
        return None;
    }
    let per_second = |ns: u64| ns as f64 / 1e6 / seconds;
    let sum = |of: fn(&Stats) -> u64| of(after).saturating_sub(of(before));
    let sync = sum(|stats| stats.stages.sync_ns.sum);
    let sync_ms = per_second(sync);
    let commit_write_ms = per_second(sum(|stats| stats.stages.commit_ns.sum).saturating_sub(sync));
    let apply_ms = per_second(sum(|stats| stats.stages.apply_ns.sum));
    let answer_ms = per_second(sum(|stats| stats.stages.answer_ns.sum));
    let checkpoint_ms = per_second(sum(|stats| stats.checkpoints.stalled_ns()));
    let busy = sync_ms + commit_write_ms + apply_ms + answer_ms + checkpoint_ms;
    let idle_ms = 1_000.0 - busy;
    debug_assert!(is_whole([busy, idle_ms].into_iter(), 1_000.0));
    Some(SecondBudget {
        sync_ms,
        commit_write_ms,
        apply_ms,
        answer_ms,
        checkpoint_ms,
        idle_ms,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts and sums only: means need no histogram.
    fn distribution(count: u64, sum: u64) -> Distribution {
        Distribution {
            count,
            sum,
            histogram: String::new(),
        }
    }

    fn stats(times: u64) -> Stats {
        let mut stats = Stats::default();
        // 100 transfers in 10 batches per unit of time.
        stats.stages.wait_ns = distribution(100 * times, 100 * times * 40_000);
        stats.stages.apply_ns = distribution(10 * times, 10 * times * 5_000);
        stats.stages.commit_ns = distribution(10 * times, 10 * times * 90_000);
        stats.stages.sync_ns = distribution(10 * times, 10 * times * 80_000);
        stats.stages.answer_ns = distribution(10 * times, 10 * times * 1_000);
        let per_transfer = |ns| distribution(100 * times, 100 * times * ns);
        stats.transfer_stages.read_ns = per_transfer(3_000);
        stats.transfer_stages.apply_ns = per_transfer(5_000);
        stats.transfer_stages.commit_write_ns = per_transfer(10_000);
        stats.transfer_stages.sync_ns = per_transfer(80_000);
        stats.transfer_stages.reply_ns = per_transfer(7_000);
        stats
    }

    fn evidence<'a>(
        wire_us: Option<f64>,
        before: &'a Stats,
        after: &'a Stats,
    ) -> BudgetEvidence<'a> {
        BudgetEvidence {
            mean_us: 200.0,
            queue_us: 12.0,
            wire_us,
            before,
            after,
            between: Duration::from_millis(10),
        }
    }

    #[test]
    fn the_stages_add_up_to_the_mean_latency() {
        let (before, after) = (stats(3), stats(8));
        for wire_us in [None, Some(30.0), Some(55.0)] {
            let budget = budget(&evidence(wire_us, &before, &after)).unwrap();
            let sum: f64 = budget.stages.iter().map(|stage| stage.mean_us).sum();
            assert!((sum - 200.0).abs() < 1e-9, "{budget:?}");
            let of = |stage| {
                let found = budget.stages.iter().find(|time| time.stage == stage);
                found.map(|time| time.mean_us)
            };
            assert_eq!(of(Stage::Wait), Some(40.0));
            assert_eq!(of(Stage::Sync), Some(80.0));
            assert_eq!(of(Stage::Wire), wire_us);
            // 200 - 12 - (3 + 40 + 5 + 10 + 80 + 7) = 43
            let left = of(Stage::Unexplained).unwrap();
            assert!((left - (43.0 - wire_us.unwrap_or(0.0))).abs() < 1e-9);
        }
    }

    #[test]
    fn a_second_of_the_writer_has_a_thousand_milliseconds() {
        let (before, after) = (stats(3), stats(8));
        let second = budget(&evidence(None, &before, &after)).unwrap().second;
        let second = second.unwrap();
        // 50 batches of 80 us in 10 ms are 400 ms in a second.
        assert!((second.sync_ms - 400.0).abs() < 1e-9, "{second:?}");
        assert!((second.commit_write_ms - 50.0).abs() < 1e-9, "{second:?}");
        let sum = second.sync_ms
            + second.commit_write_ms
            + second.apply_ms
            + second.answer_ms
            + second.checkpoint_ms
            + second.idle_ms;
        assert!((sum - 1_000.0).abs() < 1e-9, "{second:?}");
    }

    #[test]
    fn a_wire_that_cannot_be_is_withheld() {
        let (before, after) = (stats(3), stats(8));
        // 43 us are outside of the server and the client's queue.
        for wire in [500.0, 64.0, -545_996.0, -0.1] {
            let budget = budget(&evidence(Some(wire), &before, &after)).unwrap();
            assert!(budget.stages.iter().all(|time| time.stage != Stage::Wire));
            let left = budget.stages.last().unwrap();
            assert_eq!(left.stage, Stage::Unexplained);
            assert!((left.mean_us - 43.0).abs() < 1e-9, "{budget:?}");
            assert_eq!(budget.withheld.len(), 1, "{budget:?}");
            assert!(
                budget.withheld[0].contains("and 43.0 µs here"),
                "{budget:?}"
            );
        }
    }

    #[test]
    fn stages_longer_than_the_latency_are_withheld() {
        let (before, after) = (stats(3), stats(8));
        let short = BudgetEvidence {
            // 145 us in the server.
            mean_us: 100.0,
            ..evidence(None, &before, &after)
        };
        let found = budget(&short).unwrap();
        assert_eq!(found.stages, []);
        assert_eq!(
            found.withheld,
            ["the stages: together they are 57.0 µs longer than the mean latency"]
        );
        assert!(found.second.is_some());
        // 50 batches of 96 us in 4 ms make 1,200 ms of a second.
        let fast = BudgetEvidence {
            between: Duration::from_millis(4),
            ..evidence(None, &before, &after)
        };
        let found = budget(&fast).unwrap();
        assert_eq!(found.second, None);
        assert_eq!(
            found.withheld,
            ["a second of the writer: its parts make 1200 ms"]
        );
        assert!(!found.stages.is_empty());
    }

    #[test]
    fn a_server_that_tells_nothing_has_no_budget() {
        let empty = Stats::default();
        assert_eq!(budget(&evidence(Some(1.0), &empty, &empty)), None);
    }
}
