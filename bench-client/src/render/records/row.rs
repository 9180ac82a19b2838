//! One row: what was set, what was measured, and what is to be thought of it.

use std::collections::BTreeMap;

use crate::disk::{Baseline, Method, Pattern};
use crate::figures::{UNKNOWN, grouped, in_ms, in_us, known, ms, rate};
use crate::record::load_record::{Shown, Standing};
use crate::record::series::Interval;
use crate::record::{
    AppliedBy, Budget, Cpu, Device, Generator, Latency, OpenLoop, Prediction, Row, Spread, Verdict,
    VerdictCode,
};
use crate::render::document::{Document, Facts, Line, Tone};

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

/// Whether a row counts, and as what.
pub(in crate::render) fn verdict(shown: &Shown<'_>) -> Line {
    let tone = match shown.standing() {
        Standing::Invalid => Tone::Bad,
        Standing::NullServer | Standing::AtLeast => Tone::Warn,
        Standing::Plain => Tone::Plain,
    };
    Line::default().mark(tone, shown.verdict())
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

/// What the model says of a row: what to do next, or why it said nothing that holds.
pub(in crate::render) fn next_knob(whom: Option<&str>, model: &Prediction) -> Line {
    let whom = whom.map_or_else(String::new, |whom| format!(", {whom}"));
    match &model.remedy {
        Some(remedy) => format!("next knob{whom}: {remedy}.").into(),
        None => Line::default()
            .mark(Tone::Warn, "prediction failed")
            .plain(format!("{whom}: {}.", model.refuted.join("; "))),
    }
}

/// Transfers per commit in the mean, where the server tells.
pub(in crate::render) fn mean_batch(row: &Row) -> Option<String> {
    let server = row.server.as_ref()?;
    Some(format!("{:.1}", server.mean_batch))
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

fn says(row: &Row, code: VerdictCode) -> bool {
    row.verdicts.iter().any(|verdict| verdict.code == code)
}

/// One interval of the time series in one line.
#[must_use]
pub fn interval_line(interval: &Interval) -> String {
    let checkpoints = interval.checkpoints.zip(interval.checkpoint_ms);
    let parts = [
        Some(format!(
            "{:>7.1} s {:>10} TPS  p50 {}  p95 {}  p99 {}  in flight {:.0}",
            interval.start_s + interval.seconds,
            rate(interval.tps),
            in_ms(interval.p50_ms),
            in_ms(interval.p95_ms),
            in_ms(interval.p99_ms),
            interval.in_flight
        )),
        interval.mean_batch.map(|batch| format!("batch {batch:.1}")),
        interval
            .syncs_per_second
            .zip(interval.sync_us)
            .map(|(syncs, us)| format!("{} syncs/s of {us:.0} µs", rate(syncs))),
        checkpoints.map(|(count, time)| {
            let stalled = interval.checkpoint_stalled_ms.unwrap_or(time);
            format!("checkpoints {count} ({stalled:.1} of {time:.1} ms stalled)")
        }),
        interval
            .client_cpu
            .zip(interval.server_cpu)
            .map(|(client, server)| format!("cpu client {client:.2} server {server:.2}")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join("  ")
}

/// The knobs of a row in one line.
#[must_use]
pub fn describe_knobs(row: &Row) -> String {
    let config = &row.config;
    let name = config
        .name
        .as_ref()
        .map_or_else(String::new, |name| format!("{name}: "));
    let wait = row.batch_timeout_us.unwrap_or(0.0) / 1e3;
    let batch = match row.batch_size {
        None => "batch knobs not told".to_owned(),
        Some(size) if wait > 0.0 => format!("batch up to {}, {wait} ms to fill", grouped(size)),
        Some(size) => format!("batch up to {}, no wait", grouped(size)),
    };
    let pages = row.page_size.map_or_else(String::new, |bytes| {
        format!(", pages of {} bytes", grouped(u64::from(bytes)))
    });
    format!(
        "{name}{} ({}), durability {}{pages}, {batch}, {} workers × {} in flight, alpha {}, {} \
         accounts",
        config.connector,
        config.encoding,
        row.durability_and_apply(),
        config.load.concurrency,
        config.load.max_inflight_per_worker,
        config.workload.alpha,
        grouped(u64::from(config.workload.accounts)),
    )
}

/// One row by itself.
#[must_use]
pub fn document(row: &Row) -> Document {
    let mut document = Document::default();
    document.facts(facts(row));
    document
}

/// Everything about a row, from what was set to what is to be thought of it.
pub(in crate::render) fn facts(row: &Row) -> Facts {
    let mut facts = Facts::default();
    facts.add("row", describe_knobs(row));
    // Whose address is of interest: one that was not started for this row.
    let stranger = row.config.target.durability().is_none();
    facts.add_known(
        "server at",
        row.server_url.as_ref().filter(|_| stranger).map(|url| {
            let name = row.server_name.as_deref();
            format!("{url}: {}", name.unwrap_or("a server that tells no name"))
        }),
    );
    let repetition = row.repetition;
    facts.add_known(
        "run",
        repetition.map(|one| format!("{} of {}", one.number, one.of)),
    );
    facts.add_known("disk", row.sync_baseline.before.as_ref().and_then(disk));
    facts.add(
        "TPS",
        format!(
            "{}{}   over {:.2} s",
            rate(row.tps),
            bound(row),
            row.seconds
        ),
    );
    facts.add_known("offered", row.open_loop.as_ref().map(offered));
    let max = format!("   max {}", ms(row.latency_ms.max));
    facts.add(
        "latency",
        format!("{}{max} ms", percentiles(&row.latency_ms)),
    );
    match &row.service_ms {
        Some(service) => facts.add(
            "",
            format!(
                "from the intended start; from sending: {} ms",
                percentiles(service)
            ),
        ),
        None => facts.add("", closed_loop()),
    };
    facts.add_known("server", server(row));
    facts.add_known(
        "device",
        flushes(row).map(|(device, flushes)| {
            format!(
                "{} flushed {} times and wrote {} bytes over the whole run, for everybody",
                device.name,
                grouped(flushes),
                grouped(device.bytes_written)
            )
        }),
    );
    if row.seconds > 0.0 {
        facts.add_known("cpu", cpu(&row.cpu, row.seconds));
        let share = |seconds: f64| format!("{:.0} %", seconds / row.seconds * 100.0);
        facts.add_known(
            "stalls",
            row.stalls.as_ref().map(|stalls| {
                format!(
                    "of the window, something waited for a processor {}, for I/O {}, for memory {}",
                    share(stalls.cpu_some_s),
                    share(stalls.io_some_s),
                    share(stalls.memory_some_s)
                )
            }),
        );
    }
    facts.add_known("generator", row.generator.as_ref().map(generator));
    for (place, text) in row.budget.iter().flat_map(budget).enumerate() {
        facts.add(if place == 0 { "budget" } else { "" }, text);
    }
    if let Some(model) = &row.prediction {
        facts.add(
            "model",
            format!(
                "predicted {} TPS (error {}), p50 {} ms (error {}); limit: {}",
                rate(model.tps),
                error_of_tps(model, row),
                ms(model.p50_ms),
                error_of_p50(model, row),
                model.limit_in_words()
            ),
        );
        facts.add("", next_knob(None, model));
    }
    if row.rejected + row.failed + row.unknown > 0 {
        facts.add(
            "not done",
            format!(
                "rejected {}, failed {}, unknown {}",
                by_reason(row.rejected, &row.rejected_by_reason),
                by_reason(row.failed, &row.failed_by_reason),
                grouped(row.unknown)
            ),
        );
    }
    facts.add_known(
        "once",
        row.exactly_once.as_ref().map(|once| {
            format!(
                "every transfer with an id; of unknown outcome: {} resolved, {} stay unknown; \
                 sent again {} times",
                grouped(once.resolved),
                grouped(once.unknown),
                grouped(once.sent_again)
            )
        }),
    );
    facts.add("verified", verified(row));
    let tone = if row.valid { Tone::Plain } else { Tone::Bad };
    let word = if row.valid { "VALID" } else { "INVALID" };
    facts.add("verdict", Line::default().mark(tone, word));
    for verdict in &row.verdicts {
        facts.add("", verdict_on(None, verdict));
    }
    facts
}

fn percentiles(latency: &Latency) -> String {
    let [p50, p95, p99] = [latency.p50, latency.p95, latency.p99].map(|one| known(one, ms));
    format!("p50 {p50}   p95 {p95}   p99 {p99}")
}

fn by_reason(count: u64, reasons: &BTreeMap<String, u64>) -> String {
    let each = reasons
        .iter()
        .map(|(reason, count)| format!("{reason} {}", grouped(*count)));
    let each = each.collect::<Vec<_>>().join(", ");
    if each.is_empty() {
        grouped(count)
    } else {
        format!("{} ({each})", grouped(count))
    }
}

/// The syncs that SQLite makes here: fdatasync into a log that is used again.
fn disk(baseline: &Baseline) -> Option<String> {
    let entry = baseline.find(Method::Fdatasync, Pattern::Overwrite)?;
    Some(format!(
        "{} p50, {} p99 per write+fdatasync: {} per second one after another",
        in_us(entry.latency_us.p50),
        in_us(entry.latency_us.p99),
        rate(entry.syncs_per_second)
    ))
}

fn spread(what: &str, spread: Option<&Spread>) -> String {
    spread.map_or_else(String::new, |spread| {
        format!(
            "; {what} {} p50, {} p99",
            in_us(spread.p50),
            in_us(spread.p99)
        )
    })
}

/// A row that is no server's limit must not look like one.
fn bound(row: &Row) -> &'static str {
    if says(row, VerdictCode::NullServer) {
        " of the null server (nothing stored)"
    } else if says(row, VerdictCode::GeneratorBound) {
        " or more (GENERATOR-BOUND)"
    } else {
        ""
    }
}

fn offered(open: &OpenLoop) -> String {
    let limit = open.latency_limit_ms.map_or_else(String::new, |limit| {
        format!(
            ", over {} ms: late {}, skipped {}",
            ms(limit),
            grouped(open.late),
            grouped(open.skipped)
        )
    });
    format!(
        "{} per second, {} arrivals; achieved {} ({:.1} %); dropped {}{limit}{}",
        rate(open.offered_tps),
        open.arrival.as_str(),
        rate(open.achieved_tps),
        open.achieved_tps / open.offered_tps * 100.0,
        grouped(open.dropped),
        spread("schedule lag", open.schedule_lag_us.as_ref())
    )
}

fn server(row: &Row) -> Option<String> {
    let server = row.server.as_ref()?;
    Some(format!(
        "{}{} commits that wrote, {} syncs in them, {:.1} transfers per commit{}",
        by_its_own_account(row),
        grouped(server.commits_that_wrote),
        grouped(server.commit_syncs),
        server.mean_batch,
        spread("sync", server.sync_us.as_ref())
    ))
}

/// The device's flushes, which are what nobody but the kernel counts.
fn flushes(row: &Row) -> Option<(&Device, u64)> {
    let device = row.device.as_ref()?;
    Some((device, device.flushes?))
}

/// How the server's counters are to be read: syncs that no device was seen to carry out are what
/// the server says, and no more.
fn by_its_own_account(row: &Row) -> &'static str {
    match flushes(row) {
        Some(_) => "",
        None => "by its own account: ",
    }
}

fn cpu(cpu: &Cpu, window_s: f64) -> Option<String> {
    let cores = |seconds: f64| format!("{:.2} cores", seconds / window_s);
    let with = |what: &str, seconds: Option<f64>| {
        seconds.map_or_else(String::new, |seconds| {
            format!(", {what} {}", cores(seconds))
        })
    };
    let throttled = cpu.server_throttled.or(cpu.client_throttled);
    let throttled = throttled.filter(|one| one.throttled_periods > 0);
    Some(format!(
        "client {}, server {}{}{}",
        cores(cpu.client_s?),
        cores(cpu.server_s?),
        with("taken by the hypervisor", cpu.steal_s),
        with(
            "kept from running by a quota",
            throttled.map(|one| one.seconds)
        )
    ))
}

fn generator(generator: &Generator) -> String {
    let threads = generator.thread_cpu.len();
    let busy = generator.thread_cpu.iter().copied().fold(0.0, f64::max);
    let ceiling = generator.ceiling_tps.map_or_else(String::new, |tps| {
        format!("; ceiling without a database {} TPS", rate(tps))
    });
    let refuted = generator.ceiling_refuted.map_or_else(String::new, |tps| {
        format!(
            "; ceiling not known: without a database {} TPS, fewer than here",
            rate(tps)
        )
    });
    format!(
        "{threads} client thread{}, the busiest {:.0} % busy{}{ceiling}{refuted}",
        if threads == 1 { "" } else { "s" },
        busy * 100.0,
        spread("event loop late by", generator.event_loop_lag_us.as_ref())
    )
}

fn budget(budget: &Budget) -> Vec<String> {
    let stages = budget.stages.iter();
    let stages = stages.map(|time| format!("{} {:.0}", time.stage.in_words(), time.mean_us));
    let stages = stages.collect::<Vec<_>>().join(" + ");
    let mut lines = Vec::new();
    if !stages.is_empty() {
        lines.push(format!("of {:.0} µs mean: {stages}", budget.mean_us));
    }
    lines.extend(budget.second.as_ref().map(|second| {
        format!(
            "of each second of the writer: {:.0} ms asleep in the sync, {:.0} ms applying, {:.0} ms \
             committing, {:.0} ms answering, {:.0} ms in checkpoints, {:.0} ms idle",
            second.sync_ms,
            second.apply_ms,
            second.commit_write_ms,
            second.answer_ms,
            second.checkpoint_ms,
            second.idle_ms
        )
    }));
    lines.extend(
        budget
            .withheld
            .iter()
            .map(|what| format!("withheld, {what}")),
    );
    lines
}

fn check(label: &str, verdict: Option<bool>) -> String {
    match verdict {
        Some(true) => format!("{label} yes"),
        Some(false) => format!("{label} NO"),
        None => format!("{label} not checked"),
    }
}

fn verified(row: &Row) -> String {
    let verify = &row.verify;
    let changed = match verify.changed {
        // Nothing speaks against it: acknowledged transfers took the money back as well.
        Some(false) if !says(row, VerdictCode::NothingChanged) => {
            "balances are back where they were".to_owned()
        }
        changed => check("balances changed", changed),
    };
    let unknown = match verify.unknown {
        0 => String::new(),
        unknown => format!(", unknown {}", grouped(unknown)),
    };
    let accounts = u64::from(row.config.workload.accounts);
    let sampled = if verify.sampled_accounts == accounts {
        format!("all {} balances", grouped(accounts))
    } else {
        format!("{} sampled balances", grouped(verify.sampled_accounts))
    };
    let share = verify.checked_share.filter(|share| *share < 1.0);
    let share = share.map_or_else(String::new, |share| {
        format!(" ({:.1} % of the money moved)", share * 100.0)
    });
    format!(
        "{}, {changed}, acknowledged {}, applied {}{}{unknown}, {} of {sampled} right{share}",
        check("money conserved", verify.conserved),
        grouped(verify.acknowledged),
        verify
            .applied
            .map_or_else(|| "not told".to_owned(), grouped),
        verify.applied_by.map_or("", AppliedBy::remark),
        grouped(verify.sampled_accounts - verify.sample_mismatches),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Only the device's flushes vouch for the server's syncs.
    #[test]
    fn syncs_that_only_the_server_counted_are_labelled() {
        let mut row = crate::record::fixtures::row();
        row.device = Some(Device {
            name: "vda".to_owned(),
            writes: 10,
            bytes_written: 40_960,
            flushes: Some(10),
        });
        assert_eq!(by_its_own_account(&row), "");
        row.device = row.device.map(|device| Device {
            flushes: None,
            ..device
        });
        assert_eq!(by_its_own_account(&row), "by its own account: ");
        row.device = None;
        assert_eq!(by_its_own_account(&row), "by its own account: ");
    }
}
