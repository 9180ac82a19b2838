//! What a row says about the load and the window it was measured in.

use std::fmt::Write as _;

use super::warning;
use crate::figures::{grouped, ms, rate, shared, significant};
use crate::judge::edges::TimeOfTransfer;
use crate::record::{OpenLoop, StandStill, Verdict, VerdictCode, WindowEdges};
use crate::statistics::SteadyState;

pub(in crate::judge) fn null_server() -> Verdict {
    warning(
        VerdictCode::NullServer,
        "the null server answered: nothing was stored, this is what the generator and the \
         wire can do"
            .to_owned(),
        "hold it against a row of the same load; it is not a server's TPS",
    )
}

pub(in crate::judge) fn generator_bound(reasons: &[String], idle: bool) -> Verdict {
    warning(
        VerdictCode::GeneratorBound,
        format!(
            "the generator may be the limit, the server may do more: {}",
            reasons.join("; ")
        ),
        if idle {
            "do not quote this as the server's limit: its threads had time left and no \
             processor, so repeat when the machine is quieter"
        } else {
            "do not quote this as the server's limit: raise --threads, use --encoding binary, \
             or run the generator on other machines (run --shard)"
        },
    )
}

pub(in crate::judge) fn offered_not_achieved(open: &OpenLoop) -> Verdict {
    warning(
        VerdictCode::OfferedNotAchieved,
        format!(
            "{} of {} offered transfers per second were committed ({} late, {} skipped, \
             {} dropped)",
            rate(open.achieved_tps),
            rate(open.offered_tps),
            grouped(open.late),
            grouped(open.skipped),
            grouped(open.dropped)
        ),
        "the latency of an overloaded server grows with the length of the run: lower --rate, \
         or find what it keeps up with by sweep --find-knee",
    )
}

pub(in crate::judge) fn littles_law(in_flight: f64, product: f64) -> Verdict {
    warning(
        VerdictCode::LittlesLaw,
        format!(
            "{} transfers were in flight, answers per second times their mean service time \
             make {}",
            shared(in_flight),
            shared(product)
        ),
        "more was in flight at one end of the window than at the other, or time is counted \
         wrongly: measure longer with --duration",
    )
}

pub(in crate::judge) fn not_steady(steady: &SteadyState) -> Verdict {
    warning(
        VerdictCode::NotSteady,
        format!(
            "the first {:.1} s of the window ran at {:.0} % of the TPS of the rest: the \
             warm-up had not ended",
            steady.transient_seconds,
            steady.transient_ratio * 100.0
        ),
        "raise --warmup, or measure longer with --duration",
    )
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
pub(in crate::judge) fn held_back(edges: &WindowEdges, committed: u64) -> Verdict {
    warning(
        VerdictCode::HeldBack,
        format!(
            "{} of the {} transfers that the window counts ({:.0} %) began before it: \
             they had waited for {} ms on average when it opened, and were answered \
             {} ms later; those that began in it make {} TPS",
            grouped(edges.began_before),
            grouped(committed),
            edges.began_before as f64 / committed as f64 * 100.0,
            ms(edges.waited_before_ms),
            ms(edges.waited_within_ms),
            rate(edges.tps_begun_within)
        ),
        "do not quote this TPS: find out why answers were held back during the warm-up, \
         raise --warmup, and measure longer with --duration",
    )
}

/// `too_short` are its seconds, if they are too few of themselves; `cut_off` is what crossed
/// its ends, if it lost a notable share by that.
pub(in crate::judge) fn short_window(
    too_short: Option<f64>,
    cut_off: Option<&WindowEdges>,
) -> Verdict {
    let mut found = Vec::new();
    if let Some(seconds) = too_short {
        found.push(format!(
            "the window was {seconds:.3} s long, so that a few commits decide the TPS"
        ));
    }
    if let Some(edges) = cut_off {
        found.push(format!(
            "{} transfers began in the window and were answered after it: TPS is too low by \
             what was done for them in it, as much as {} transfers",
            edges.answered_after,
            rate(-edges.excess)
        ));
    }
    warning(
        VerdictCode::ShortWindow,
        found.join("; "),
        "measure longer with --duration or --transfers",
    )
}

/// Times that a load goes round while it warms up, and while it is measured.
const ROUNDS: [f64; 2] = [2.0, 10.0];

pub(in crate::judge) fn short_for_latency(time: &TimeOfTransfer) -> Verdict {
    let [warmup, window] = ROUNDS.map(|rounds| (rounds * time.typical).ceil());
    warning(
        VerdictCode::ShortForLatency,
        format!(
            "a transfer took {} s, the warm-up {} s and the window {} s: few transfers began and \
             ended in it",
            significant(time.typical),
            significant(time.warmup),
            significant(time.window)
        ),
        &format!("measure with --warmup {warmup} --duration {window} or longer"),
    )
}

pub(in crate::judge) fn stand_still(gap: &StandStill) -> Verdict {
    let mut message = format!(
        "nothing was committed for {:.1} s from {:.1} s on",
        gap.seconds, gap.from_seconds
    );
    if gap.gaps > 1 {
        let _ = write!(message, ", the longest of {} such gaps", gap.gaps);
    }
    let (whose, remedy) = if gap.generator {
        (
            ": the generator or the whole machine stalled, since its own timers did not \
             run either",
            "this is not the server's: find out what stopped or starved this process, and \
             measure again",
        )
    } else {
        (
            ": the server answered nothing, while the generator's own timers ran",
            "look at what the server and its disk did then: TPS and latency contain the gap",
        )
    };
    message.push_str(whose);
    warning(VerdictCode::StandStill, message, remedy)
}
