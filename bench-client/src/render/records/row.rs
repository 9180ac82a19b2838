//! One row: what was set, what was measured, and what is to be thought of it.

use std::collections::BTreeMap;

use super::words::{
    audited, closed_loop, error_of_p50, error_of_tps, joined, load_machines, next,
    prediction_failed, verdict_on,
};
use crate::disk::{Baseline, Method, Pattern};
use crate::figures::{grouped, in_ms, in_us, known, ms, rate};
use crate::record::series::Interval;
use crate::record::{
    AppliedBy, Budget, Cpu, Device, ExactlyOnce, Generator, Latency, OpenLoop, Prediction, Row,
    Spread, Stalls, VerdictCode,
};
use crate::render::charts::budget::SECOND;
use crate::render::document::{Document, Facts, Line, Tone};

/// One interval of the time series in one line.
#[must_use]
pub fn interval_line(interval: &Interval) -> String {
    let start = format!(
        "{:>7.1} s {:>10} TPS  p50 {}  p95 {}  p99 {}  in flight {:.0}",
        interval.start_s + interval.seconds,
        rate(interval.tps),
        in_ms(interval.p50_ms),
        in_ms(interval.p95_ms),
        in_ms(interval.p99_ms),
        interval.in_flight
    );
    let syncs = interval.syncs_per_second.zip(interval.sync_us);
    let checkpoints = interval.checkpoints.zip(interval.checkpoint_ms);
    let cpu = interval.client_cpu.zip(interval.server_cpu);
    let parts = [
        Some(start),
        interval
            .mean_batch
            .map(|batch| format!("{batch:.1} per commit")),
        syncs.map(|(syncs, us)| format!("{} syncs/s of {}", rate(syncs), in_us(Some(us)))),
        checkpoints.map(|(count, time)| {
            let stalled = interval.checkpoint_stalled_ms.unwrap_or(time);
            format!("checkpoints {count} ({stalled:.1} of {time:.1} ms stalled)")
        }),
        cpu.map(|(client, server)| format!("cpu client {client:.2} server {server:.2}")),
    ];
    joined("  ", parts)
}

/// The knobs of a row in one line.
#[must_use]
pub fn describe_knobs(row: &Row) -> String {
    let config = &row.config;
    let (load, workload) = (&config.load, &config.workload);
    let (workers, each) = (load.concurrency, load.max_inflight_per_worker);
    let wait = row.batch_timeout_us.filter(|wait| *wait > 0.0);
    let wait = wait.map_or("no wait".to_owned(), |us| {
        format!("{} ms to fill", us / 1e3)
    });
    let batch = row
        .batch_size
        .map(|size| format!("batch up to {}, {wait}", grouped(size)));
    let pages = row.page_size.map(|bytes| grouped(u64::from(bytes)));
    let confirmed = config.confirmed_reads.map_or_else(String::new, |it| {
        format!(", confirmed reads {}", it.as_str())
    });
    let parts = [
        Some(format!(
            "{} ({}{confirmed})",
            config.subject(),
            config.encoding
        )),
        Some(format!("durability {}", row.durability_and_apply())),
        pages.map(|bytes| format!("pages of {bytes} bytes")),
        batch.or_else(|| Some("batch knobs not reported".to_owned())),
        Some(format!("{workers} workers × {each} in flight")),
        Some(format!("alpha {}", workload.alpha)),
        Some(format!(
            "{} accounts",
            grouped(u64::from(workload.accounts))
        )),
    ];
    joined(": ", [config.name.clone(), Some(joined(", ", parts))])
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
            format!(
                "{url}: {}",
                name.unwrap_or("a server that does not give its name")
            )
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
    facts.add_known("load", load_machines(row));
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
    facts.add_known("device", device(row));
    if row.seconds > 0.0 {
        facts.add_known("cpu", cpu(&row.cpu, row.seconds));
        facts.add_known(
            "stalls",
            row.stalls
                .as_ref()
                .map(|stalls| stalled(stalls, row.seconds)),
        );
    }
    facts.add_known("generator", row.generator.as_ref().map(generator));
    for (place, text) in row.budget.iter().flat_map(budget).enumerate() {
        facts.add(if place == 0 { "budget" } else { "" }, text);
    }
    if let Some(model) = &row.prediction {
        facts.add("model", fitted(model, row));
        facts.add_known("", prediction_failed(None, model));
    }
    facts.add_known("next", next(row));
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
    facts.add_known("once", row.exactly_once.as_ref().map(once));
    facts.add("verified", verified(row));
    facts.add_known("audited", audited(row));
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

fn spread(what: &str, spread: Option<&Spread>) -> Option<String> {
    let spread = spread?;
    let (p50, p99) = (in_us(spread.p50), in_us(spread.p99));
    Some(format!("{what} {p50} p50, {p99} p99"))
}

/// A row that is no server's limit must not look like one.
fn bound(row: &Row) -> &'static str {
    if row.says(&[VerdictCode::NullServer]) {
        " of the null server (nothing stored)"
    } else if row.says(&[VerdictCode::GeneratorBound]) {
        " or more (GENERATOR-BOUND)"
    } else {
        ""
    }
}

fn offered(open: &OpenLoop) -> String {
    let (asked, achieved) = (rate(open.offered_tps), rate(open.achieved_tps));
    let share = open.achieved_tps / open.offered_tps * 100.0;
    let (late, skipped) = (grouped(open.late), grouped(open.skipped));
    let limit = open.latency_limit_ms.map(ms);
    let parts = [
        Some(format!(
            "{asked} per second, {} arrivals",
            open.arrival.as_str()
        )),
        Some(format!(
            "{share:.1} % of it committed, {achieved} per second"
        )),
        Some(format!("dropped {}", grouped(open.dropped))),
        limit.map(|limit| format!("over {limit} ms: late {late}, skipped {skipped}")),
        spread("schedule lag", open.schedule_lag_us.as_ref()),
    ];
    joined("; ", parts)
}

fn server(row: &Row) -> Option<String> {
    let server = row.server.as_ref()?;
    let syncs = server.commit_syncs.map(grouped);
    let commits = format!(
        "{}{} commits that wrote, {} syncs in them, {:.1} transfers per commit",
        by_its_own_account(row),
        grouped(server.commits_that_wrote),
        syncs.as_deref().unwrap_or("an unknown number of"),
        server.mean_batch,
    );
    let sync = spread("sync", server.sync_us.as_ref());
    Some(joined("; ", [Some(commits), sync]))
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

fn device(row: &Row) -> Option<String> {
    let (device, flushes) = flushes(row)?;
    let (name, flushes, bytes) = (
        &device.name,
        grouped(flushes),
        grouped(device.bytes_written),
    );
    Some(format!(
        "{name} flushed {flushes} times and wrote {bytes} bytes over the whole run, for everybody"
    ))
}

fn stalled(stalls: &Stalls, window_s: f64) -> String {
    let [cpu, io, memory] = [stalls.cpu_some_s, stalls.io_some_s, stalls.memory_some_s]
        .map(|seconds| format!("{:.0} %", seconds / window_s * 100.0));
    format!(
        "of the window, something waited for a processor {cpu}, for I/O {io}, for memory {memory}"
    )
}

fn fitted(model: &Prediction, row: &Row) -> String {
    format!(
        "fitted to this row's own costs, no forecast: {} TPS (error {}), p50 {} ms (error {}); \
         limit: {}",
        rate(model.tps),
        error_of_tps(model, row),
        ms(model.p50_ms),
        error_of_p50(model, row),
        model.limit_in_words()
    )
}

fn once(once: &ExactlyOnce) -> String {
    let [resolved, unknown, again] = [once.resolved, once.unknown, once.sent_again].map(grouped);
    format!(
        "every transfer with an id; of unknown outcome: {resolved} resolved, {unknown} stay \
         unknown; sent again {again} times"
    )
}

fn cpu(cpu: &Cpu, window_s: f64) -> Option<String> {
    let cores = |what: &str, seconds: f64| format!("{what} {:.2} cores", seconds / window_s);
    let throttled = cpu.server_throttled.or(cpu.client_throttled);
    let throttled = throttled.filter(|one| one.throttled_periods > 0);
    let parts = [
        Some(cores("client", cpu.client_s?)),
        Some(cores("server", cpu.server_s?)),
        cpu.steal_s
            .map(|stolen| cores("stolen by the hypervisor", stolen)),
        throttled.map(|one| cores("kept from running by a quota", one.seconds)),
    ];
    Some(joined(", ", parts))
}

fn generator(generator: &Generator) -> String {
    let threads = generator.thread_cpu.len();
    let busy = generator.thread_cpu.iter().copied().fold(0.0, f64::max) * 100.0;
    let s = if threads == 1 { "" } else { "s" };
    let [ceiling, refuted] =
        [generator.ceiling_tps, generator.ceiling_refuted].map(|tps| tps.map(rate));
    let parts = [
        Some(format!(
            "{threads} client thread{s}, the busiest {busy:.0} % busy"
        )),
        spread("event loop late by", generator.event_loop_lag_us.as_ref()),
        ceiling.map(|tps| format!("ceiling without a database {tps} TPS")),
        refuted
            .map(|tps| format!("ceiling not known: without a database {tps} TPS, fewer than here")),
    ];
    joined("; ", parts)
}

fn budget(budget: &Budget) -> Vec<String> {
    let stages = budget.stages.iter();
    let stages =
        stages.map(|time| format!("{} {}", time.stage.in_words(), in_us(Some(time.mean_us))));
    let stages = stages.collect::<Vec<_>>().join(" + ");
    let mut lines = Vec::new();
    if !stages.is_empty() {
        lines.push(format!("of {} mean: {stages}", in_us(Some(budget.mean_us))));
    }
    lines.extend(budget.second.as_ref().map(|second| {
        let parts = SECOND.map(|(_, what, part)| format!("{:.0} ms {what}", part(second)));
        format!("of each second of the writer: {}", parts.join(", "))
    }));
    lines.extend(
        budget
            .withheld
            .iter()
            .map(|what| format!("withheld, {what}")),
    );
    lines
}

fn verified(row: &Row) -> String {
    let verify = &row.verify;
    let changed = match verify.changed {
        // Nothing speaks against it: acknowledged transfers took the money back as well.
        Some(false) if !row.says(&[VerdictCode::NothingChanged]) => {
            "balances are back where they were".to_owned()
        }
        Some(true) => "balances changed".to_owned(),
        Some(false) => "balances did NOT change".to_owned(),
        None => "changes not checked".to_owned(),
    };
    let conserved = match verify.conserved {
        Some(true) => "money conserved",
        Some(false) => "money NOT conserved",
        None => "sum of balances not checked",
    };
    let right = grouped(verify.sampled_accounts - verify.sample_mismatches);
    let (accounts, sampled) = (
        u64::from(row.config.workload.accounts),
        verify.sampled_accounts,
    );
    let balances = if sampled == accounts {
        format!("{right} of all {} balances right", grouped(accounts))
    } else {
        format!("{right} of {} sampled balances right", grouped(sampled))
    };
    let share = verify.checked_share.filter(|share| *share < 1.0);
    let share = share.map(|share| format!("({:.1} % of the money moved)", share * 100.0));
    let applied = verify.applied.map_or("not reported".to_owned(), grouped);
    let by = verify.applied_by.map_or("", AppliedBy::remark);
    let parts = [
        Some(conserved.to_owned()),
        Some(changed),
        Some(format!("acknowledged {}", grouped(verify.acknowledged))),
        Some(format!("applied {applied}{by}")),
        (verify.unknown > 0).then(|| format!("unknown {}", grouped(verify.unknown))),
        Some(joined(" ", [Some(balances), share])),
    ];
    joined(", ", parts)
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
