//! What is said of rows in several places.

use std::time::Duration;

use crate::figures::{UNKNOWN, grouped, in_ms, known, rate, shared};
use crate::record::load_record::{Shown, Standing};
use crate::record::{Prediction, Row, Verdict, VerdictCode};
use crate::render::document::{Line, Tone};

/// What is known of several things, with something between.
pub(in crate::render) fn joined<const N: usize>(
    between: &str,
    parts: [Option<String>; N],
) -> String {
    parts
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(between)
}

/// A command as a shell reads it.
pub(in crate::render) fn shell_line(words: &[String]) -> String {
    // Nothing but a zero byte cannot be quoted, and no argument has one.
    shlex::try_join(words.iter().map(String::as_str)).unwrap_or_else(|_| words.join(" "))
}

/// What the last audit of the row's server with its knobs found, and when.
pub(in crate::render) fn audited(row: &Row) -> Option<String> {
    let audit = row.audit.as_ref()?;
    Some(format!("{}, at {}", audit.verdict.as_str(), audit.at))
}

/// The machines that put on the load, where it were several, and how well they did it together.
pub(in crate::render) fn load_machines(row: &Row) -> Option<String> {
    let (shards, first) = (&row.shards, row.shards.first()?);
    let committed = || shards.iter().map(|shard| shard.committed);
    let (least, most) = committed().min().zip(committed().max())?;
    let apart = shards.iter().map(|shard| shard.opened_after_us).max()?;
    let apart = Duration::from_micros(apart).as_secs_f64() * 1e3;
    let own = first.clock.map_or(" by their own clocks", |_| "");
    Some(format!(
        "{} machines · {} to {} transfers each · windows {} apart{own}",
        shards.len(),
        grouped(least),
        grouped(most),
        in_ms(Some(apart)),
    ))
}

/// What a closed loop's latency does not show.
pub const CLOSED_LOOP: &str = "closed loop: counted from sending; what would have waited while \
the server stood still is not shown, --rate shows it";

/// The same, with its flag as one.
pub(in crate::render) fn closed_loop() -> Line {
    let flag = "--rate";
    let (before, after) = CLOSED_LOOP.split_once(flag).unwrap_or((CLOSED_LOOP, ""));
    Line::from(before).code(flag).plain(after)
}

/// A row's TPS, never to be mistaken for what it is not.
pub(in crate::render) fn tps(shown: &Shown<'_>) -> Line {
    let figure = rate(shown.row.tps);
    let line = Line::default();
    match shown.standing() {
        Standing::Invalid => line.mark(Tone::Bad, "INVALID").plain(" ").void(figure),
        Standing::NullServer => line
            .mark(Tone::Warn, "null server")
            .plain(format!(" {figure}")),
        Standing::AtLeast => line
            .mark(Tone::Warn, "at least")
            .plain(format!(" {figure}")),
        Standing::Plain => line.strong(figure),
    }
}

/// The TPS of a row whose standing is told elsewhere.
pub(in crate::render) fn tps_of(row: &Row) -> Line {
    let figure = rate(row.tps);
    if row.valid {
        figure.into()
    } else {
        Line::default().void(figure)
    }
}

/// Whether a row counts, and as what: `valid, not shown to be durable`.
pub(in crate::render) fn verdict(shown: &Shown<'_>) -> Line {
    marked(shown.row.verdict())
}

/// A verdict, marked unless there is nothing to heed.
pub(in crate::render) fn marked(verdict: String) -> Line {
    let tone = if verdict.starts_with("INVALID") {
        Tone::Bad
    } else if verdict == "valid" {
        Tone::Plain
    } else {
        Tone::Warn
    };
    Line::default().mark(tone, verdict)
}

/// Something that was found, with whom it is about and what to do.
pub(in crate::render) fn said(
    invalidates: bool,
    whom: Option<&str>,
    message: &str,
    remedy: &str,
) -> Line {
    let mark = if invalidates {
        Line::default().mark(Tone::Bad, "INVALID")
    } else {
        Line::default().mark(Tone::Warn, "warning")
    };
    let whom = whom.map_or_else(String::new, |whom| format!(", {whom}"));
    mark.plain(format!("{whom}: {message}. Remedy: {remedy}."))
}

/// A verdict of a row, or of several.
pub(in crate::render) fn verdict_on(whom: Option<&str>, verdict: &Verdict) -> Line {
    said(verdict.invalidates, whom, &verdict.message, &verdict.remedy)
}

/// What to do next: against what makes a row invalid, else against the generator where that may
/// be the limit, else what the model says.
pub(in crate::render) fn next(row: &Row) -> Option<&str> {
    let mut verdicts = row.verdicts.iter();
    let invalid = verdicts.clone().find(|verdict| verdict.invalidates);
    let bound = || verdicts.find(|verdict| verdict.code == VerdictCode::GeneratorBound);
    let of_model = || row.prediction.as_ref()?.remedy.as_deref();
    invalid
        .or_else(bound)
        .map(|verdict| verdict.remedy.as_str())
        .or_else(of_model)
}

/// What the model makes of a row's own costs, above a column: it shows whether they account for
/// the row, and foresees nothing.
pub(in crate::render) const FITTED: &str = "fitted TPS";

/// Why what the model makes of a row does not hold, if it does not.
pub(in crate::render) fn prediction_failed(whom: Option<&str>, model: &Prediction) -> Option<Line> {
    let whom = whom.map_or_else(String::new, |whom| format!(", {whom}"));
    let refuted = model.refuted.join("; ");
    let line = Line::default().mark(Tone::Warn, "the model does not fit");
    (!refuted.is_empty()).then(|| line.plain(format!("{whom}: {refuted}.")))
}

/// Transfers per commit in the mean, where the server tells.
pub(in crate::render) fn mean_batch(row: &Row) -> Option<String> {
    let server = row.server.as_ref()?;
    Some(shared(server.mean_batch))
}

/// `+7 %` for a prediction that is 7 % above what was measured.
fn error(predicted: f64, measured: f64) -> String {
    known(Prediction::error(predicted, measured), |error| {
        // Not minus zero.
        format!("{:+.0} %", (error * 100.0).round() + 0.0)
    })
}

/// How far the predicted TPS are off.
pub(in crate::render) fn error_of_tps(model: &Prediction, row: &Row) -> String {
    error(model.tps, row.tps)
}

/// How far the predicted median latency is off.
pub(in crate::render) fn error_of_p50(model: &Prediction, row: &Row) -> String {
    let measured = row.latency_ms.p50;
    measured.map_or_else(|| UNKNOWN.to_owned(), |p50| error(model.p50_ms, p50))
}

/// What a batch may hold and how long it may wait.
pub(in crate::render) fn batch_knobs(row: &Row) -> Option<String> {
    let wait = row.batch_timeout_us.filter(|wait| *wait > 0.0);
    let wait = wait.map_or_else(String::new, |wait| format!(" / {} ms", wait / 1e3));
    Some(format!("{}{wait}", grouped(row.batch_size?)))
}

/// Workers, and transfers in flight of each.
pub(in crate::render) fn in_flight(row: &Row) -> String {
    let load = &row.config.load;
    format!("{}×{}", load.concurrency, load.max_inflight_per_worker)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::fixtures;
    use crate::render::document::Span;

    #[test]
    fn a_verdict_has_what_speaks_against_a_row() {
        use VerdictCode::{GeneratorBound, NotDurable, NullServer, SyncMethodsApart, Unstable};

        let with = |codes: &[VerdictCode], interrupted| {
            let mut row = fixtures::row();
            row.interrupted = interrupted;
            row.verdicts = codes
                .iter()
                .map(|code| Verdict {
                    code: *code,
                    invalidates: false,
                    message: String::new(),
                    remedy: String::new(),
                })
                .collect();
            row.verdict()
        };
        assert_eq!(with(&[Unstable], false), "valid");
        assert_eq!(
            with(&[SyncMethodsApart], true),
            "valid, not shown to be durable, interrupted"
        );
        assert_eq!(
            with(&[NotDurable, GeneratorBound], false),
            "valid, generator-bound, not durable"
        );
        assert_eq!(
            with(&[NullServer, NotDurable], false),
            "null server: nothing stored"
        );
        let tone = |text: &str| match marked(text.to_owned()).0.as_slice() {
            [Span::Mark(tone, _)] => *tone,
            _ => Tone::Plain,
        };
        assert_eq!(
            ["valid", "valid, interrupted", "INVALID: fake"].map(tone),
            [Tone::Plain, Tone::Warn, Tone::Bad]
        );
    }
}
