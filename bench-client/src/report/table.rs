//! Rows as people read them on a terminal.

use std::fmt::Write as _;
use std::path::Path;

use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{Cell, CellAlignment, Table};

use crate::disk::{Baseline, Method, Pattern};
use crate::figures::{UNKNOWN, grouped, in_ms, in_us, known, ms, rate};
use crate::judge::model::error;
use crate::record::series::Interval;
use crate::record::{AppliedBy, Budget, Device, Generator, OpenLoop, Prediction, Row, VerdictCode};

/// The syncs that SQLite makes here: fdatasync into a log that is used again.
fn sync_line(baseline: &Baseline) -> Option<String> {
    let entry = baseline.find(Method::Fdatasync, Pattern::Overwrite)?;
    Some(format!(
        "{} p50, {} p99 per write+fdatasync: {} per second one after another",
        in_us(entry.latency_us.p50),
        in_us(entry.latency_us.p99),
        rate(entry.syncs_per_second)
    ))
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
    let applied = verify
        .applied
        .map_or_else(|| "not told".to_owned(), grouped);
    let changed = match verify.changed {
        // Nothing speaks against it: acknowledged transfers took the money back as well.
        Some(false) if !says(row, VerdictCode::NothingChanged) => {
            "balances are back where they were".to_owned()
        }
        changed => check("balances changed", changed),
    };
    let mut line = format!(
        "{}, {changed}, acknowledged {}, applied {applied}{}",
        check("money conserved", verify.conserved),
        grouped(verify.acknowledged),
        verify.applied_by.map_or("", AppliedBy::remark),
    );
    if verify.unknown > 0 {
        let _ = write!(line, ", unknown {}", grouped(verify.unknown));
    }
    let right = verify.sampled_accounts - verify.sample_mismatches;
    let _ = if verify.sampled_accounts == u64::from(row.config.workload.accounts) {
        write!(
            line,
            ", {} of all {} balances right",
            grouped(right),
            grouped(u64::from(row.config.workload.accounts))
        )
    } else {
        write!(
            line,
            ", {} of {} sampled balances right",
            grouped(right),
            grouped(verify.sampled_accounts)
        )
    };
    if let Some(share) = verify.checked_share.filter(|share| *share < 1.0) {
        let _ = write!(line, " ({:.1} % of the money moved)", share * 100.0);
    }
    line
}

/// What a closed loop's latency does not show.
pub const CLOSED_LOOP: &str = "closed loop: counted from sending; what would have waited while \
the server stood still is not shown, --rate shows it";

fn says(row: &Row, code: VerdictCode) -> bool {
    row.verdicts.iter().any(|verdict| verdict.code == code)
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

/// The same in a table.
fn limited_by(row: &Row) -> &'static str {
    if says(row, VerdictCode::NullServer) {
        ", NULL SERVER"
    } else if says(row, VerdictCode::GeneratorBound) {
        ", GENERATOR-BOUND"
    } else {
        ""
    }
}

fn offered(open: &OpenLoop) -> String {
    let mut text = format!(
        "{} per second, {} arrivals; achieved {} ({:.1} %); dropped {}",
        rate(open.offered_tps),
        open.arrival.as_str(),
        rate(open.achieved_tps),
        open.achieved_tps / open.offered_tps * 100.0,
        grouped(open.dropped),
    );
    if let Some(limit) = open.latency_limit_ms {
        let _ = write!(
            text,
            ", over {} ms: late {}, skipped {}",
            ms(limit),
            grouped(open.late),
            grouped(open.skipped)
        );
    }
    if let Some(lag) = &open.schedule_lag_us {
        let _ = write!(
            text,
            "; schedule lag {} p50, {} p99",
            in_us(lag.p50),
            in_us(lag.p99)
        );
    }
    text
}

fn described_generator(generator: &Generator) -> String {
    let busy = generator.thread_cpu.iter().copied().fold(0.0, f64::max);
    let mut text = format!(
        "{} client thread{}, the busiest {:.0} % busy",
        generator.thread_cpu.len(),
        if generator.thread_cpu.len() == 1 {
            ""
        } else {
            "s"
        },
        busy * 100.0
    );
    if let Some(lag) = &generator.event_loop_lag_us {
        let _ = write!(
            text,
            "; event loop late by {} p50, {} p99",
            in_us(lag.p50),
            in_us(lag.p99)
        );
    }
    if let Some(ceiling) = generator.ceiling_tps {
        let _ = write!(text, "; ceiling without a database {} TPS", rate(ceiling));
    }
    if let Some(reached) = generator.ceiling_refuted {
        let _ = write!(
            text,
            "; ceiling not known: without a database {} TPS, fewer than here",
            rate(reached)
        );
    }
    text
}

fn described_budget(budget: &Budget) -> Vec<String> {
    let stages: Vec<_> = budget
        .stages
        .iter()
        .map(|time| format!("{} {:.0}", time.stage.in_words(), time.mean_us))
        .collect();
    let mut lines = Vec::new();
    if !stages.is_empty() {
        lines.push(format!(
            "of {:.0} us mean: {}",
            budget.mean_us,
            stages.join(" + ")
        ));
    }
    if let Some(second) = &budget.second {
        lines.push(format!(
            "of each second of the writer: {:.0} ms asleep in the sync, {:.0} ms applying, {:.0} ms \
             committing, {:.0} ms answering, {:.0} ms in checkpoints, {:.0} ms idle",
            second.sync_ms,
            second.apply_ms,
            second.commit_write_ms,
            second.answer_ms,
            second.checkpoint_ms,
            second.idle_ms
        ));
    }
    lines.extend(
        budget
            .withheld
            .iter()
            .map(|what| format!("withheld, {what}")),
    );
    lines
}

/// How far a prediction is off: `+7 %` for one that is 7 % above what was measured.
#[must_use]
pub fn prediction_error(predicted: f64, measured: f64) -> String {
    known(error(predicted, measured), |error| {
        // Not minus zero.
        format!("{:+.0} %", (error * 100.0).round() + 0.0)
    })
}

fn described_prediction(prediction: &Prediction, row: &Row) -> String {
    let p50_error = row.latency_ms.p50.map_or_else(
        || UNKNOWN.to_owned(),
        |measured| prediction_error(prediction.p50_ms, measured),
    );
    format!(
        "predicted {} TPS (error {}), p50 {} ms (error {p50_error}); limit: {}",
        rate(prediction.tps),
        prediction_error(prediction.tps, row.tps),
        ms(prediction.p50_ms),
        prediction.limit_in_words()
    )
}

/// One interval of the time series in one line.
#[must_use]
pub fn interval_line(interval: &Interval) -> String {
    let mut text = format!(
        "{:>7.1} s {:>10} TPS  p50 {}  p95 {}  p99 {}  in flight {:.0}",
        interval.start_s + interval.seconds,
        rate(interval.tps),
        in_ms(interval.p50_ms),
        in_ms(interval.p95_ms),
        in_ms(interval.p99_ms),
        interval.in_flight
    );
    if let Some(batch) = interval.mean_batch {
        let _ = write!(text, "  batch {batch:.1}");
    }
    if let (Some(syncs), Some(us)) = (interval.syncs_per_second, interval.sync_us) {
        let _ = write!(text, "  {} syncs/s of {us:.0} us", rate(syncs));
    }
    if let (Some(count), Some(time)) = (interval.checkpoints, interval.checkpoint_ms) {
        let stalled = interval.checkpoint_stalled_ms.unwrap_or(time);
        let _ = write!(
            text,
            "  checkpoints {count} ({stalled:.1} of {time:.1} ms stalled)"
        );
    }
    if let (Some(client), Some(server)) = (interval.client_cpu, interval.server_cpu) {
        let _ = write!(text, "  cpu client {client:.2} server {server:.2}");
    }
    text
}

/// The knobs of a row in one line.
#[must_use]
pub fn describe_knobs(row: &Row) -> String {
    let batch = row.batch_size.map_or_else(
        || "batch knobs not told".to_owned(),
        |size| {
            let timeout = row.batch_timeout_us.unwrap_or(0.0) / 1e3;
            let wait = if timeout > 0.0 {
                format!("{timeout} ms to fill")
            } else {
                "no wait".to_owned()
            };
            format!("batch up to {}, {wait}", grouped(size))
        },
    );
    let pages = row.page_size.map_or_else(String::new, |bytes| {
        format!(", pages of {} bytes", grouped(u64::from(bytes)))
    });
    format!(
        "{}{} ({}), durability {}{pages}, {batch}, {} workers x {} in flight, alpha {}, {} accounts",
        row.config
            .name
            .as_ref()
            .map_or_else(String::new, |name| format!("{name}: ")),
        row.config.connector,
        row.config.encoding,
        row.durability_and_apply(),
        row.config.load.concurrency,
        row.config.load.max_inflight_per_worker,
        row.config.workload.alpha,
        grouped(u64::from(row.config.workload.accounts)),
    )
}

/// One row, line by line.
#[must_use]
#[expect(clippy::too_many_lines, reason = "one line of output after another")]
pub fn describe(row: &Row) -> String {
    let mut lines = Vec::new();
    let mut line = |label: &str, text: String| lines.push(format!("{label:<10} {text}"));
    line("row", describe_knobs(row));
    // Whose address is of interest: one that was not started for this row.
    if let Some(url) = row
        .server_url
        .as_ref()
        .filter(|_| row.config.target.durability().is_none())
    {
        let name = row
            .server_name
            .as_deref()
            .unwrap_or("a server that tells no name");
        line("server at", format!("{url}: {name}"));
    }
    if let Some(repetition) = row.repetition {
        line("run", format!("{} of {}", repetition.number, repetition.of));
    }
    if let Some(text) = row.sync_baseline.before.as_ref().and_then(sync_line) {
        line("disk", text);
    }
    line(
        "TPS",
        format!(
            "{}{}   over {:.2} s",
            rate(row.tps),
            bound(row),
            row.seconds
        ),
    );
    if let Some(open) = &row.open_loop {
        line("offered", offered(open));
    }
    let latency = &row.latency_ms;
    line(
        "latency",
        format!(
            "p50 {}   p95 {}   p99 {}   max {} ms",
            in_ms(latency.p50),
            in_ms(latency.p95),
            in_ms(latency.p99),
            ms(latency.max)
        ),
    );
    match &row.service_ms {
        Some(service) => line(
            "",
            format!(
                "from the intended start; from sending: p50 {}   p95 {}   p99 {}",
                in_ms(service.p50),
                in_ms(service.p95),
                in_ms(service.p99)
            ),
        ),
        None => line("", CLOSED_LOOP.to_owned()),
    }
    if let Some(server) = &row.server {
        let mut text = format!(
            "{}{} commits that wrote, {} syncs in them, {:.1} transfers per commit",
            by_its_own_account(row),
            grouped(server.commits_that_wrote),
            grouped(server.commit_syncs),
            server.mean_batch
        );
        if let Some(sync) = &server.sync_us {
            let _ = write!(
                text,
                "; sync {} p50, {} p99",
                in_us(sync.p50),
                in_us(sync.p99)
            );
        }
        line("server", text);
    }
    if let Some((device, flushes)) = flushes(row) {
        line(
            "device",
            format!(
                "{} flushed {} times and wrote {} bytes over the whole run, for everybody",
                device.name,
                grouped(flushes),
                grouped(device.bytes_written)
            ),
        );
    }
    if let (Some(client), Some(server)) = (row.cpu.client_s, row.cpu.server_s)
        && row.seconds > 0.0
    {
        let cores = |seconds: f64| format!("{:.2} cores", seconds / row.seconds);
        let stolen = row.cpu.steal_s.map_or_else(String::new, |steal| {
            format!(", taken by the hypervisor {}", cores(steal))
        });
        let throttled = row.cpu.server_throttled.or(row.cpu.client_throttled);
        let throttled = throttled.filter(|one| one.throttled_periods > 0);
        let throttled = throttled.map_or_else(String::new, |one| {
            format!(", kept from running by a quota {}", cores(one.seconds))
        });
        line(
            "cpu",
            format!(
                "client {}, server {}{stolen}{throttled}",
                cores(client),
                cores(server)
            ),
        );
    }
    if let Some(stalls) = &row.stalls
        && row.seconds > 0.0
    {
        let share = |seconds: f64| format!("{:.0} %", seconds / row.seconds * 100.0);
        line(
            "stalls",
            format!(
                "of the window, something waited for a processor {}, for I/O {}, for memory {}",
                share(stalls.cpu_some_s),
                share(stalls.io_some_s),
                share(stalls.memory_some_s)
            ),
        );
    }
    if let Some(generator) = &row.generator {
        line("generator", described_generator(generator));
    }
    if let Some(budget) = &row.budget {
        for (place, text) in described_budget(budget).into_iter().enumerate() {
            line(if place == 0 { "budget" } else { "" }, text);
        }
    }
    if let Some(prediction) = &row.prediction {
        line("model", described_prediction(prediction, row));
        for why in &prediction.refuted {
            line("", format!("refuted: {why}"));
        }
        if let Some(remedy) = &prediction.remedy {
            line("", remedy.clone());
        }
    }
    let not_committed = row.rejected + row.failed + row.unknown;
    if not_committed > 0 {
        line(
            "not done",
            format!(
                "rejected {:?}, failed {:?}, unknown {}",
                row.rejected_by_reason, row.failed_by_reason, row.unknown
            ),
        );
    }
    if let Some(once) = &row.exactly_once {
        line(
            "once",
            format!(
                "every transfer with an id; of unknown outcome: {} resolved, {} stay unknown; \
                 sent again {} times",
                grouped(once.resolved),
                grouped(once.unknown),
                grouped(once.sent_again)
            ),
        );
    }
    line("verified", verified(row));
    if let Some(audit) = &row.audit {
        line(
            "audited",
            format!("{}, at {}", audit.verdict.as_str(), audit.at),
        );
    }
    line(
        "verdict",
        if row.valid {
            "VALID".to_owned()
        } else {
            "INVALID".to_owned()
        },
    );
    for verdict in &row.verdicts {
        let kind = if verdict.invalidates {
            "INVALID"
        } else {
            "warning"
        };
        line("", format!("{kind}: {}", verdict.message));
        line("", format!("         {}", verdict.remedy));
    }
    lines.join("\n")
}

/// The device's flushes, which are what nobody but the kernel counts.
fn flushes(row: &Row) -> Option<(&Device, u64)> {
    let device = row.device.as_ref()?;
    Some((device, device.flushes?))
}

/// How the server's counters are to be read: syncs that no device was seen to carry out are what
/// the server says, and no more.
#[must_use]
pub fn by_its_own_account(row: &Row) -> &'static str {
    match flushes(row) {
        Some(_) => "",
        None => "by its own account: ",
    }
}

/// All rows, one line each.
#[must_use]
pub fn summary(rows: &[Row]) -> String {
    let mut table = Table::new();
    table.load_preset(UTF8_HORIZONTAL_ONLY);
    table.set_header([
        "connector",
        "durability",
        "batch",
        "in flight",
        "alpha",
        "TPS",
        "predicted",
        "p50 ms",
        "p99 ms",
        "mean batch",
        "limit",
        "verdict",
    ]);
    let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
    for row in rows {
        let mean_batch = row
            .server
            .as_ref()
            .map_or_else(String::new, |s| format!("{:.1}", s.mean_batch));
        let predicted = |of: &dyn Fn(&Prediction) -> String| {
            row.prediction.as_ref().map_or_else(String::new, of)
        };
        table.add_row([
            Cell::new(format!("{} {}", row.config.connector, row.config.encoding)),
            Cell::new(row.durability_and_apply()),
            right(row.batch_size.map_or_else(String::new, grouped)),
            right(format!(
                "{}x{}",
                row.config.load.concurrency, row.config.load.max_inflight_per_worker
            )),
            right(row.config.workload.alpha.to_string()),
            right(rate(row.tps)),
            right(predicted(&|prediction| rate(prediction.tps))),
            right(known(row.latency_ms.p50, ms)),
            right(known(row.latency_ms.p99, ms)),
            right(mean_batch),
            Cell::new(predicted(&|prediction| {
                prediction.limit_in_words().to_owned()
            })),
            Cell::new(if row.valid {
                format!("valid{}", limited_by(row))
            } else {
                "INVALID".to_owned()
            }),
        ]);
    }
    table.to_string()
}

/// Where the record is.
#[must_use]
pub fn record_line(path: &Path) -> String {
    format!("{:<10} {}", "record", path.display())
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

    #[test]
    fn thousands_are_separated() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1000), "1,000");
        assert_eq!(grouped(1_234_567), "1,234,567");
    }
}
