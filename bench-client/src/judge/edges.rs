//! What the window counts that did not happen in it.

use crate::observation::Edges;
use crate::record::WindowEdges;

/// From this share of the committed transfers on, what is counted and took place elsewhere is
/// told of.
const EXCESS_SHARE: f64 = 0.1;

/// What crossed the ends of a window of this length in which so many transfers were committed. A `counted`
/// window submits no more than it counts, so nothing crosses its closing: taken for the loss
/// there is then half of what crossed the opening, as a steady load has it.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
pub(super) fn window_edges(
    edges: &Edges,
    committed: u64,
    seconds: f64,
    counted: bool,
) -> Option<WindowEdges> {
    if committed == 0 || seconds <= 0.0 {
        return None;
    }
    debug_assert!(edges.began_before <= committed);
    let mean_ms = |sum_ns: u128| match edges.began_before {
        0 => 0.0,
        count => sum_ns as f64 / count as f64 / 1e6,
    };
    let lost = if counted {
        edges.began_before as f64 / 2.0
    } else {
        edges.shares_within
    };
    Some(WindowEdges {
        began_before: edges.began_before,
        waited_before_ms: mean_ms(edges.before_ns),
        waited_within_ms: mean_ms(edges.within_ns),
        tps_begun_within: committed.saturating_sub(edges.began_before) as f64 / seconds,
        answered_after: edges.answered_after,
        excess: edges.shares_before - lost,
    })
}

/// Whether answers of before the window make a notable share of what it counts. `unsent` of
/// an open loop were due in it and found no room: what an overloaded server carries over
/// from before, it owes at the end again.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
pub(super) fn is_held_back(edges: &WindowEdges, committed: u64, unsent: u64) -> bool {
    edges.excess - unsent as f64 > EXCESS_SHARE * committed as f64
}

/// Whether a notable share of what took place in the window was answered only after it.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
pub(super) fn is_cut_off(edges: &WindowEdges, committed: u64) -> bool {
    -edges.excess > EXCESS_SHARE * committed as f64
}

/// How long a transfer takes, against how long was measured; all in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct TimeOfTransfer {
    /// The median from sending to the answer, of few transfers the mean.
    pub(super) typical: f64,
    pub(super) warmup: f64,
    pub(super) window: f64,
}

impl TimeOfTransfer {
    /// Whether the window sees no transfer from its beginning to its end, or a load that has not
    /// gone round once when it opens. A tenth of the window or less is no matter.
    pub(super) fn outlasts(&self) -> bool {
        let is_notable = self.typical > EXCESS_SHARE * self.window;
        self.typical > self.window || self.typical > self.warmup && is_notable
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1,000 committed in 10 s, of which so many began before the window.
    fn window(began_before: u64, shares_before: f64, shares_within: f64) -> WindowEdges {
        let edges = Edges {
            began_before,
            before_ns: u128::from(began_before) * 2_000_000,
            within_ns: u128::from(began_before) * 1_000_000,
            shares_before,
            answered_after: 7,
            shares_within,
        };
        window_edges(&edges, 1_000, 10.0, false).expect("transfers were committed")
    }

    #[test]
    fn what_a_steady_load_carries_over_is_no_excess() {
        // However much is in flight: each transfer is half done at either end.
        let steady = window(800, 400.0, 400.0);
        assert!(!is_held_back(&steady, 1_000, 0) && !is_cut_off(&steady, 1_000));
        assert!((steady.tps_begun_within - 20.0).abs() < 1e-9);
        assert!((steady.waited_before_ms - 2.0).abs() < 1e-9);
        assert!((steady.waited_within_ms - 1.0).abs() < 1e-9);
    }

    #[test]
    fn answers_held_back_and_answers_cut_off_are_told_from_the_tenth_on() {
        assert!(!is_held_back(&window(200, 199.0, 100.0), 1_000, 0));
        assert!(is_held_back(&window(200, 199.0, 90.0), 1_000, 0));
        assert!(
            !is_held_back(&window(200, 199.0, 90.0), 1_000, 20),
            "overload"
        );
        assert!(is_cut_off(&window(200, 50.0, 160.0), 1_000));
        assert!(!is_cut_off(&window(200, 50.0, 140.0), 1_000));
    }

    #[test]
    fn a_transfer_outlasts_the_window_or_the_warm_up() {
        let outlasts = |typical, warmup, window| {
            TimeOfTransfer {
                typical,
                warmup,
                window,
            }
            .outlasts()
        };
        assert!(outlasts(2.0, 5.0, 1.0), "the window");
        assert!(outlasts(2.0, 1.0, 10.0), "the warm-up");
        assert!(!outlasts(2.0, 4.0, 10.0));
        assert!(!outlasts(0.005, 0.0, 10.0), "a moment of the window");
    }

    #[test]
    fn a_counted_window_has_no_closing_to_lose_at() {
        let edges = Edges {
            began_before: 800,
            shares_before: 400.0,
            ..Edges::default()
        };
        let counted = |edges: &Edges| window_edges(edges, 1_000, 1.0, true).expect("a window");
        assert!(!is_held_back(&counted(&edges), 1_000, 0));
        let held = Edges {
            shares_before: 790.0,
            ..edges
        };
        assert!(is_held_back(&counted(&held), 1_000, 0));
        assert_eq!(window_edges(&held, 0, 1.0, true), None);
    }
}
