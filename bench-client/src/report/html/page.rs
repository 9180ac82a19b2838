//! The page around the charts. All text is escaped by the templates.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::chart::Chart;
use super::compare::{self, Section};
use crate::figures::{grouped, known, ms, rate};
use crate::record::load_record::{AnyRecord, Report, Shown, Standing};
use crate::record::{Generator, Prediction};
use crate::report::markdown::batch_knobs;
use crate::report::table::CLOSED_LOOP;

const STYLE: &str = include_str!("style.css");

/// Everything.
pub(super) fn page(
    report: &Report,
    rows: &[Shown<'_>],
    comparisons: &[Section<'_>],
    charts: &[Chart],
) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                // Nothing is fetched, not even an icon.
                link rel="icon" href="data:,";
                title { "Durable transfers per second" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { "Durable transfers per second" }
                (at_a_glance(report, rows))
                @for comparison in comparisons { (compare::show(comparison)) }
                h2 { "Rows" }
                (row_table(rows))
                @if rows.iter().any(|shown| shown.row.open_loop.is_none()) {
                    (closed_loop())
                }
                @if !charts.is_empty() {
                    h2 { "Charts" }
                    div class="charts" { @for chart in charts { (figure(chart)) } }
                }
                (verdicts(rows))
                (repetitions(report, rows))
                (generators(rows))
                h2 { "Where and how it was measured" }
                @for record in &report.records { (environment(record)) }
            }
        }
    }
}

/// The sentence, with its flag as a whole.
fn closed_loop() -> Markup {
    let (before, after) = CLOSED_LOOP
        .split_once("--rate")
        .unwrap_or((CLOSED_LOOP, ""));
    html! { p { (before) span class="flag" { "--rate" } (after) } }
}

fn at_a_glance(report: &Report, rows: &[Shown<'_>]) -> Markup {
    let count = |standing| {
        rows.iter()
            .filter(|shown| shown.standing() == standing)
            .count()
    };
    let (invalid, bound) = (count(Standing::Invalid), count(Standing::AtLeast));
    let files = report.records.iter().map(|record| record.file.as_str());
    html! {
        p {
            (rows.len()) " rows of " (files.collect::<Vec<_>>().join(", ")) "."
            @if invalid > 0 {
                " " span class="mark bad" { (invalid) " INVALID" } ": not to be quoted."
            }
            @if bound > 0 {
                " " span class="mark warn" { (bound) " at least" }
                ": the load generator may have been the limit, and not the server."
            }
        }
    }
}

fn tps(shown: &Shown<'_>) -> Markup {
    html! {
        @match shown.standing() {
            Standing::AtLeast => { span class="mark warn" { "at least" } " " }
            Standing::NullServer => { span class="mark warn" { "null server" } " " }
            Standing::Invalid | Standing::Plain => {}
        }
        (rate(shown.row.tps))
    }
}

fn verdict(shown: &Shown<'_>) -> Markup {
    let class = match shown.standing() {
        Standing::Invalid => "mark bad",
        Standing::NullServer | Standing::AtLeast => "mark warn",
        Standing::Plain => "",
    };
    html! { span class=(class) { (shown.verdict()) } }
}

fn row_table(rows: &[Shown<'_>]) -> Markup {
    let some = |text: Option<String>| text.unwrap_or_else(|| "–".to_owned());
    html! {
        div class="scroll" tabindex="0" role="region" aria-label="Rows" {
            table {
                thead { tr {
                    @for name in ["row", "verdict"] { th scope="col" class="words" { (name) } }
                    @for name in [
                        "TPS", "predicted TPS", "p50 ms", "p95 ms", "p99 ms", "mean batch",
                    ] { th scope="col" { (name) } }
                    @for name in ["bottleneck", "transport", "durability"] {
                        th scope="col" class="words" { (name) }
                    }
                    @for name in ["batch", "in flight", "alpha", "seconds"] {
                        th scope="col" { (name) }
                    }
                } }
                tbody { @for shown in rows {
                    @let row = shown.row;
                    @let model = row.prediction.as_ref();
                    tr class=[(!row.valid).then_some("invalid")] {
                        td { (shown.label) }
                        td class="words" { (verdict(shown)) }
                        td class="tps" { (tps(shown)) }
                        td { (some(model.map(|model| rate(model.tps)))) }
                        td { (known(row.latency_ms.p50, ms)) }
                        td { (known(row.latency_ms.p95, ms)) }
                        td { (known(row.latency_ms.p99, ms)) }
                        td { (some(row.server.as_ref().map(|one| format!("{:.1}", one.mean_batch)))) }
                        td class="words" { (model.map_or("–", Prediction::limit_in_words)) }
                        td class="words" { (row.transport) " " (row.config.encoding) }
                        td class="words" { (row.durability_and_apply()) }
                        td { (batch_knobs(row)) }
                        td { (row.config.load.concurrency) "×" (row.config.load.max_inflight_per_worker) }
                        td { (row.config.workload.alpha) }
                        td { (format!("{:.1}", row.seconds)) }
                    }
                } }
            }
        }
    }
}

pub(super) fn figure(chart: &Chart) -> Markup {
    html! {
        figure {
            h3 { (chart.title) }
            p { (chart.about) }
            (PreEscaped(&chart.svg))
            @if !chart.legend.is_empty() {
                ul class="legend" { @for (ink, what) in &chart.legend {
                    li { span class="swatch" style=(format!("background:{}", ink.css())) {} (what) }
                } }
            }
            details {
                summary { "Data: " (chart.title) }
                div class="scroll" tabindex="0" role="region" aria-label=(format!("Data: {}", chart.title)) {
                    table {
                        thead { tr { @for name in &chart.header { th scope="col" { (name) } } } }
                        tbody { @for line in &chart.rows {
                            tr { @for cell in line { td { (cell) } } }
                        } }
                    }
                }
            }
        }
    }
}

fn verdicts(rows: &[Shown<'_>]) -> Markup {
    let said = rows
        .iter()
        .any(|shown| !shown.row.verdicts.is_empty() || shown.row.prediction.is_some());
    html! { @if said {
        h2 { "Verdicts and remedies" }
        ul class="verdicts" { @for shown in rows {
            @for one in &shown.row.verdicts {
                li {
                    @if one.invalidates { span class="mark bad" { "INVALID" } }
                    @else { span class="mark warn" { "warning" } }
                    " " b { (shown.label) } ": " (one.message) ". " i { "Remedy: " (one.remedy) "." }
                }
            }
            @if let Some(model) = &shown.row.prediction {
                @if let Some(remedy) = &model.remedy {
                    li { "next knob: " b { (shown.label) } ": " (remedy) "." }
                } @else {
                    li { span class="mark warn" { "prediction failed" } " " b { (shown.label) } ": "
                        (model.refuted.join("; ")) "." }
                }
            }
        } }
    } }
}

fn repetitions(report: &Report, rows: &[Shown<'_>]) -> Markup {
    let mut lines = Vec::new();
    let mut first = 0;
    for record in &report.records {
        for summary in &record.record.summaries {
            let row = summary
                .rows
                .first()
                .and_then(|place| rows.get(first + place));
            lines.push((row.map_or("–", |shown| shown.label), summary));
        }
        first += record.record.rows.len();
    }
    html! { @if !lines.is_empty() {
        h2 { "Repetitions" }
        div class="scroll" tabindex="0" role="region" aria-label="Repetitions" {
            table {
                thead { tr { @for name in [
                    "row", "runs", "median TPS", "low", "high", "confidence", "variation",
                    "median p50 ms", "median p99 ms",
                ] { th scope="col" { (name) } } th scope="col" class="words" { "conclusion" } } }
                tbody { @for (label, summary) in lines { tr {
                    td { (label) }
                    td { (summary.tps.count) }
                    td { (rate(summary.tps.median)) }
                    td { (rate(summary.tps.low)) }
                    td { (rate(summary.tps.high)) }
                    td { (format!("{:.0} %", summary.tps.confidence * 100.0)) }
                    td { (format!("{:.1} %", summary.tps.variation * 100.0)) }
                    td { (known(summary.p50_ms.map(|one| one.median), ms)) }
                    td { (known(summary.p99_ms.map(|one| one.median), ms)) }
                    td class="wrap" { @if let Some(warning) = &summary.warning {
                        span class="mark warn" { "too wide" } " " (warning.message) ": " (warning.remedy)
                    } @else { "the interval stands" } }
                } } }
            }
        }
    } }
}

/// The ceiling of the generator, or what was taken for one and was none.
fn null_server(generator: &Generator) -> String {
    match generator.ceiling_refuted {
        Some(reached) => format!("no ceiling ({})", rate(reached)),
        None => known(generator.ceiling_tps, rate),
    }
}

/// Whether the generator was the limit, and whether the figures agree with each other.
fn generators(rows: &[Shown<'_>]) -> Markup {
    let with: Vec<_> = rows
        .iter()
        .filter(|one| {
            one.row.generator.is_some()
                || one.row.littles_law.is_some()
                || one.row.steady_state.is_some()
        })
        .collect();
    let some = |text: Option<String>| text.unwrap_or_else(|| "–".to_owned());
    html! { @if !with.is_empty() {
        h2 { "The generator, and checks of the figures" }
        div class="scroll" tabindex="0" role="region" aria-label="The generator" {
            table {
                thead { tr { @for name in [
                    "row", "busiest client thread", "event loop lag p99 µs", "schedule lag p99 µs",
                    "null server TPS", "in flight", "TPS × latency", "steady from",
                ] { th scope="col" { (name) } } } }
                tbody { @for one in with {
                    @let row = one.row;
                    @let client = row.generator.as_ref();
                    @let busiest = client.and_then(|client| client.thread_cpu.iter().copied().reduce(f64::max));
                    @let law = row.littles_law;
                    tr {
                        td { (one.label) }
                        td { (some(busiest.map(|share| format!("{:.0} %", share * 100.0)))) }
                        td { (some(client.and_then(|client| client.event_loop_lag_us?.p99).map(|p99| format!("{p99:.0}")))) }
                        td { (some(row.open_loop.as_ref().and_then(|open| open.schedule_lag_us?.p99).map(|p99| format!("{p99:.0}")))) }
                        td { (client.map_or_else(|| "–".to_owned(), null_server)) }
                        td { (some(law.map(|law| format!("{:.1}", law.in_flight)))) }
                        td { (some(law.map(|law| format!("{:.1}", law.throughput_times_latency)))) }
                        td { (some(row.steady_state.map(|state| if state.steady {
                            "the start".to_owned()
                        } else {
                            format!("{:.1} s on", state.transient_seconds)
                        }))) }
                    }
                } }
            }
        }
    } }
}

fn environment(record: &AnyRecord) -> Markup {
    let environment = &record.record.environment;
    let machine = &environment.machine;
    let storage = &environment.storage;
    let program = &environment.program;
    let known = |text: &Option<String>| text.clone().unwrap_or_else(|| "unknown".to_owned());
    let cores = |count: Option<u32>| count.map_or_else(|| "?".to_owned(), |n| n.to_string());
    let devices = storage.block_devices.iter().map(|device| {
        let told = [&device.model, &device.scheduler, &device.write_cache];
        let told: Vec<&str> = told.into_iter().flatten().map(String::as_str).collect();
        format!("{} ({})", device.name, told.join(", "))
    });
    let memory = machine.memory_bytes.map_or_else(
        || "unknown".to_owned(),
        |bytes| format!("{} MiB", grouped(bytes / (1 << 20))),
    );
    html! {
        h3 { (record.file) }
        dl {
            dt { "Command" } dd { code { (environment.command_line.join(" ")) } }
            dt { "Started" } dd { (environment.started_at) }
            dt { "Program" } dd {
                (program.version) ", " (program.git_revision) ", " (program.profile) ", "
                (program.target) ", " (program.rustc) ", allocator " (program.allocator)
            }
            dt { "Machine" } dd {
                (known(&machine.cpu_model)) ", " (cores(machine.logical_cores)) " cores, "
                (cores(machine.usable_cores)) " usable"
                @if let Some(quota) = machine.cpu_quota_cores { " under a quota of " (quota) }
                @if let Some(governor) = &machine.cpu_governor { ", governor " (governor) }
                @if let Some(boost) = machine.cpu_boost {
                    ", boost " (if boost { "on" } else { "off" })
                }
                ", memory " (memory)
                @if let Some(load) = machine.load_average_1m {
                    ", load average before " (format!("{load:.2}"))
                }
            }
            @if !environment.preload.is_empty() {
                dt { "Preloaded" } dd { code { (environment.preload.join(" ")) } }
            }
            dt { "System" } dd { (known(&machine.os)) ", " (known(&machine.kernel)) }
            dt { "Storage" } dd {
                (known(&storage.file_system)) " on " (known(&storage.mount_source)) ", "
                (storage.mount_options.join(",")) "; " (devices.collect::<Vec<_>>().join("; "))
            }
            @if let Some(sqlite) = &environment.sqlite {
                dt { "SQLite" } dd { (sqlite.version) }
                dt { "Pragmas" } dd { @for (name, value) in &sqlite.pragmas {
                    code { (name) "=" (value) } " "
                } }
            }
            @for warning in &environment.warnings {
                dt { span class="mark warn" { "warning" } }
                dd { (warning.message) ". " i { "Remedy: " (warning.remedy) "." } }
            }
        }
        (pragmas_of_rows(record))
    }
}

/// Pragmas of the rows whose server had other ones than the first.
fn pragmas_of_rows(record: &AnyRecord) -> Markup {
    let first = record.record.environment.sqlite.as_ref();
    let others: Vec<_> = record
        .record
        .rows
        .iter()
        .filter_map(|row| {
            let server = row.server.as_ref()?;
            let differing: Vec<String> = server
                .pragmas
                .iter()
                .filter(|(name, value)| {
                    first.and_then(|first| first.pragmas.get(*name)) != Some(*value)
                })
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            let name = row.config.name.clone();
            let name = name.unwrap_or_else(|| row.config.subject());
            (!differing.is_empty()).then(|| (name, row.durability_and_apply(), differing.join(" ")))
        })
        .collect();
    html! { @if !others.is_empty() {
        details {
            summary { "Rows with other pragmas" }
            ul { @for (name, durability, pragmas) in others {
                li { (name) " (" (durability) "): " code { (pragmas) } }
            } }
        }
    } }
}
