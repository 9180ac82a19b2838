//! The columns: one line for each, with its name and how a cell is filled.

use std::fmt::Display;

use crate::config::Arrival;
use crate::disk::{Baseline, Method, Pattern};
use crate::record::load_record::Shown;
use crate::record::series::Interval;
use crate::record::{AppliedBy, Device, OpenLoop, Row, ServerRow, Stage};

/// A row and where it is from.
pub(super) struct Line<'a> {
    pub(super) file: &'a str,
    pub(super) started_at: &'a str,
    pub(super) shown: Shown<'a>,
}

impl<'a> Line<'a> {
    pub(super) fn row(&self) -> &'a Row {
        self.shown.row
    }

    fn open(&self) -> Option<&'a OpenLoop> {
        self.row().open_loop.as_ref()
    }

    fn server(&self) -> Option<&'a ServerRow> {
        self.row().server.as_ref()
    }

    fn device(&self) -> Option<&'a Device> {
        self.row().device.as_ref()
    }

    fn stage(&self, stage: Stage) -> Option<f64> {
        let stages = &self.row().budget.as_ref()?.stages;
        let time = stages.iter().find(|time| time.stage == stage)?;
        Some(time.mean_us)
    }

    /// The codes of its verdicts, as in the record.
    fn codes(&self) -> String {
        let name = |code| match serde_json::to_value(code) {
            Ok(serde_json::Value::String(name)) => name,
            _ => String::new(),
        };
        let verdicts = self.row().verdicts.iter();
        let names: Vec<String> = verdicts.map(|verdict| name(verdict.code)).collect();
        names.join(" ")
    }
}

fn text(value: impl Display) -> String {
    format!("{value}")
}

fn maybe(value: Option<impl Display>) -> String {
    value.map_or_else(String::new, text)
}

/// The median of a sync as SQLite makes it.
fn baseline(baseline: Option<&Baseline>) -> Option<f64> {
    let entry = baseline?.find(Method::Fdatasync, Pattern::Overwrite)?;
    entry.latency_us.p50
}

fn arrival(arrival: Arrival) -> &'static str {
    match arrival {
        Arrival::Constant => "constant",
        Arrival::Poisson => "poisson",
    }
}

/// A column of the rows: its name, and the cell of a row.
pub(super) type RowColumn = (&'static str, fn(&Line<'_>) -> String);

/// Of a row.
pub(super) const ROW_COLUMNS: &[RowColumn] = &[
    ("record", |one| one.file.to_owned()),
    ("number", |one| text(one.shown.number)),
    ("row", |one| one.shown.label.to_owned()),
    ("connector", |one| {
        one.row().config.connector.as_str().to_owned()
    }),
    ("transport", |one| one.row().transport.clone()),
    ("server_url", |one| maybe(one.row().server_url.as_ref())),
    ("server_name", |one| maybe(one.row().server_name.as_ref())),
    ("encoding", |one| {
        one.row().config.encoding.as_str().to_owned()
    }),
    ("durability", |one| one.row().durability.clone()),
    ("durability_requested", |one| {
        one.row()
            .config
            .target
            .durability()
            .unwrap_or_default()
            .to_owned()
    }),
    ("apply", |one| maybe(one.row().apply_or_default())),
    ("batch_size", |one| maybe(one.row().batch_size)),
    ("batch_timeout_us", |one| maybe(one.row().batch_timeout_us)),
    ("page_size", |one| maybe(one.row().page_size)),
    ("concurrency", |one| text(one.row().config.load.concurrency)),
    ("max_inflight_per_worker", |one| {
        text(one.row().config.load.max_inflight_per_worker)
    }),
    ("threads", |one| text(one.row().config.load.threads)),
    ("alpha", |one| text(one.row().config.workload.alpha)),
    ("accounts", |one| text(one.row().config.workload.accounts)),
    ("amount", |one| text(one.row().config.workload.amount)),
    ("seed", |one| text(one.row().config.workload.seed)),
    ("warmup_seconds", |one| {
        text(one.row().config.load.warmup.as_secs_f64())
    }),
    ("seconds", |one| text(one.row().seconds)),
    ("op_timeout_seconds", |one| {
        text(one.row().config.load.op_timeout.as_secs_f64())
    }),
    ("repetition", |one| {
        maybe(one.row().repetition.map(|n| n.number))
    }),
    ("repetitions", |one| {
        maybe(one.row().repetition.map(|n| n.of))
    }),
    ("valid", |one| text(one.row().valid)),
    ("fake", |one| text(one.row().verify.fake)),
    ("interrupted", |one| text(one.row().interrupted)),
    ("verdicts", |one| one.codes()),
    ("tps", |one| text(one.row().tps)),
    ("committed", |one| text(one.row().committed)),
    ("rejected", |one| text(one.row().rejected)),
    ("failed", |one| text(one.row().failed)),
    ("unknown", |one| text(one.row().unknown)),
    ("latency_p50_ms", |one| maybe(one.row().latency_ms.p50)),
    ("latency_p95_ms", |one| maybe(one.row().latency_ms.p95)),
    ("latency_p99_ms", |one| maybe(one.row().latency_ms.p99)),
    ("latency_p999_ms", |one| maybe(one.row().latency_ms.p999)),
    ("latency_max_ms", |one| text(one.row().latency_ms.max)),
    ("latency_mean_ms", |one| text(one.row().latency_ms.mean)),
    ("service_p50_ms", |one| {
        maybe(one.row().service_ms.and_then(|v| v.p50))
    }),
    ("service_p95_ms", |one| {
        maybe(one.row().service_ms.and_then(|v| v.p95))
    }),
    ("service_p99_ms", |one| {
        maybe(one.row().service_ms.and_then(|v| v.p99))
    }),
    ("service_p999_ms", |one| {
        maybe(one.row().service_ms.and_then(|v| v.p999))
    }),
    ("service_max_ms", |one| {
        maybe(one.row().service_ms.map(|v| v.max))
    }),
    ("service_mean_ms", |one| {
        maybe(one.row().service_ms.map(|v| v.mean))
    }),
    ("response_p50_ms", |one| {
        maybe(one.row().response_ms.and_then(|v| v.p50))
    }),
    ("response_p95_ms", |one| {
        maybe(one.row().response_ms.and_then(|v| v.p95))
    }),
    ("response_p99_ms", |one| {
        maybe(one.row().response_ms.and_then(|v| v.p99))
    }),
    ("response_p999_ms", |one| {
        maybe(one.row().response_ms.and_then(|v| v.p999))
    }),
    ("response_max_ms", |one| {
        maybe(one.row().response_ms.map(|v| v.max))
    }),
    ("response_mean_ms", |one| {
        maybe(one.row().response_ms.map(|v| v.mean))
    }),
    ("arrival", |one| {
        one.open()
            .map_or_else(String::new, |open| arrival(open.arrival).to_owned())
    }),
    ("offered_tps", |one| {
        maybe(one.open().map(|open| open.offered_tps))
    }),
    ("offered", |one| maybe(one.open().map(|open| open.offered))),
    ("achieved_tps", |one| {
        maybe(one.open().map(|open| open.achieved_tps))
    }),
    ("latency_limit_ms", |one| {
        maybe(one.open().and_then(|open| open.latency_limit_ms))
    }),
    ("late", |one| maybe(one.open().map(|open| open.late))),
    ("skipped", |one| maybe(one.open().map(|open| open.skipped))),
    ("dropped", |one| maybe(one.open().map(|open| open.dropped))),
    ("schedule_lag_mean_us", |one| {
        maybe(
            one.open()
                .and_then(|open| open.schedule_lag_us)
                .map(|v| v.mean),
        )
    }),
    ("schedule_lag_p50_us", |one| {
        maybe(
            one.open()
                .and_then(|open| open.schedule_lag_us)
                .and_then(|v| v.p50),
        )
    }),
    ("schedule_lag_p99_us", |one| {
        maybe(
            one.open()
                .and_then(|open| open.schedule_lag_us)
                .and_then(|v| v.p99),
        )
    }),
    ("schedule_lag_max_us", |one| {
        maybe(
            one.open()
                .and_then(|open| open.schedule_lag_us)
                .map(|v| v.max),
        )
    }),
    ("collision_rate", |one| text(one.row().collision_rate)),
    ("collision_scope", |one| one.row().collision_scope.clone()),
    ("commits", |one| {
        maybe(one.server().map(|server| server.commits))
    }),
    ("commits_that_wrote", |one| {
        maybe(one.server().map(|server| server.commits_that_wrote))
    }),
    ("syncs", |one| {
        maybe(one.server().map(|server| server.syncs))
    }),
    ("commit_syncs", |one| {
        maybe(one.server().map(|server| server.commit_syncs))
    }),
    ("mean_batch", |one| {
        maybe(one.server().map(|server| server.mean_batch))
    }),
    ("batch_mean", |one| {
        maybe(one.server().and_then(|server| server.batch).map(|v| v.mean))
    }),
    ("batch_p50", |one| {
        maybe(
            one.server()
                .and_then(|server| server.batch)
                .and_then(|v| v.p50),
        )
    }),
    ("batch_p99", |one| {
        maybe(
            one.server()
                .and_then(|server| server.batch)
                .and_then(|v| v.p99),
        )
    }),
    ("batch_max", |one| {
        maybe(one.server().and_then(|server| server.batch).map(|v| v.max))
    }),
    ("wait_mean_us", |one| {
        maybe(
            one.server()
                .and_then(|server| server.wait_us)
                .map(|v| v.mean),
        )
    }),
    ("wait_p50_us", |one| {
        maybe(
            one.server()
                .and_then(|server| server.wait_us)
                .and_then(|v| v.p50),
        )
    }),
    ("wait_p99_us", |one| {
        maybe(
            one.server()
                .and_then(|server| server.wait_us)
                .and_then(|v| v.p99),
        )
    }),
    ("wait_max_us", |one| {
        maybe(
            one.server()
                .and_then(|server| server.wait_us)
                .map(|v| v.max),
        )
    }),
    ("apply_mean_us", |one| {
        maybe(
            one.server()
                .and_then(|server| server.apply_us)
                .map(|v| v.mean),
        )
    }),
    ("apply_p50_us", |one| {
        maybe(
            one.server()
                .and_then(|server| server.apply_us)
                .and_then(|v| v.p50),
        )
    }),
    ("apply_p99_us", |one| {
        maybe(
            one.server()
                .and_then(|server| server.apply_us)
                .and_then(|v| v.p99),
        )
    }),
    ("apply_max_us", |one| {
        maybe(
            one.server()
                .and_then(|server| server.apply_us)
                .map(|v| v.max),
        )
    }),
    ("commit_mean_us", |one| {
        maybe(
            one.server()
                .and_then(|server| server.commit_us)
                .map(|v| v.mean),
        )
    }),
    ("commit_p50_us", |one| {
        maybe(
            one.server()
                .and_then(|server| server.commit_us)
                .and_then(|v| v.p50),
        )
    }),
    ("commit_p99_us", |one| {
        maybe(
            one.server()
                .and_then(|server| server.commit_us)
                .and_then(|v| v.p99),
        )
    }),
    ("commit_max_us", |one| {
        maybe(
            one.server()
                .and_then(|server| server.commit_us)
                .map(|v| v.max),
        )
    }),
    ("answer_mean_us", |one| {
        maybe(
            one.server()
                .and_then(|server| server.answer_us)
                .map(|v| v.mean),
        )
    }),
    ("answer_p50_us", |one| {
        maybe(
            one.server()
                .and_then(|server| server.answer_us)
                .and_then(|v| v.p50),
        )
    }),
    ("answer_p99_us", |one| {
        maybe(
            one.server()
                .and_then(|server| server.answer_us)
                .and_then(|v| v.p99),
        )
    }),
    ("answer_max_us", |one| {
        maybe(
            one.server()
                .and_then(|server| server.answer_us)
                .map(|v| v.max),
        )
    }),
    ("sync_mean_us", |one| {
        maybe(
            one.server()
                .and_then(|server| server.sync_us)
                .map(|v| v.mean),
        )
    }),
    ("sync_p50_us", |one| {
        maybe(
            one.server()
                .and_then(|server| server.sync_us)
                .and_then(|v| v.p50),
        )
    }),
    ("sync_p99_us", |one| {
        maybe(
            one.server()
                .and_then(|server| server.sync_us)
                .and_then(|v| v.p99),
        )
    }),
    ("sync_max_us", |one| {
        maybe(
            one.server()
                .and_then(|server| server.sync_us)
                .map(|v| v.max),
        )
    }),
    ("bytes_written", |one| {
        maybe(one.server().map(|server| server.bytes_written))
    }),
    ("checkpoints", |one| {
        maybe(one.server().map(|server| server.checkpoints))
    }),
    ("checkpoint_ms", |one| {
        maybe(one.server().map(|server| server.checkpoint_ms))
    }),
    ("checkpoint_stalled_ms", |one| {
        maybe(one.server().and_then(|server| server.checkpoint_stalled_ms))
    }),
    ("queue_peak", |one| {
        maybe(one.server().map(|server| server.queue_peak))
    }),
    ("peak_memory_bytes", |one| {
        maybe(one.server().and_then(|server| server.peak_memory_bytes))
    }),
    ("storage_bytes_written", |one| {
        maybe(one.server().and_then(|server| server.storage_bytes_written))
    }),
    ("device", |one| {
        one.device()
            .map_or_else(String::new, |device| device.name.clone())
    }),
    ("device_writes", |one| {
        maybe(one.device().map(|device| device.writes))
    }),
    ("device_bytes_written", |one| {
        maybe(one.device().map(|device| device.bytes_written))
    }),
    ("device_flushes", |one| {
        maybe(one.device().and_then(|device| device.flushes))
    }),
    ("checkpoint_bytes", |one| {
        maybe(one.server().and_then(|server| server.checkpoint_bytes))
    }),
    ("sqlite_version", |one| {
        one.server()
            .map_or_else(String::new, |server| server.sqlite_version.clone())
    }),
    ("cpu_client_s", |one| maybe(one.row().cpu.client_s)),
    ("cpu_server_s", |one| maybe(one.row().cpu.server_s)),
    ("cpu_steal_s", |one| maybe(one.row().cpu.steal_s)),
    ("cpu_client_throttled_s", |one| {
        maybe(one.row().cpu.client_throttled.map(|of| of.seconds))
    }),
    ("cpu_server_throttled_s", |one| {
        maybe(one.row().cpu.server_throttled.map(|of| of.seconds))
    }),
    ("stalls_cpu_some_s", |one| {
        maybe(one.row().stalls.map(|of| of.cpu_some_s))
    }),
    ("stalls_io_some_s", |one| {
        maybe(one.row().stalls.map(|of| of.io_some_s))
    }),
    ("stalls_io_full_s", |one| {
        maybe(one.row().stalls.map(|of| of.io_full_s))
    }),
    ("stalls_memory_some_s", |one| {
        maybe(one.row().stalls.map(|of| of.memory_some_s))
    }),
    ("processor_speed_before", |one| {
        maybe(one.row().processor_speed.map(|of| of.before))
    }),
    ("processor_speed_after", |one| {
        maybe(one.row().processor_speed.map(|of| of.after))
    }),
    ("reconnects", |one| text(one.row().reconnects)),
    ("late_answers", |one| text(one.row().late_answers)),
    ("idle_reconnects", |one| text(one.row().idle_reconnects)),
    ("resolved", |one| {
        maybe(one.row().exactly_once.map(|once| once.resolved))
    }),
    ("sent_again", |one| {
        maybe(one.row().exactly_once.map(|once| once.sent_again))
    }),
    ("conserved", |one| maybe(one.row().verify.conserved)),
    ("changed", |one| maybe(one.row().verify.changed)),
    ("ledger_ok", |one| maybe(one.row().verify.ledger_ok)),
    ("applied", |one| maybe(one.row().verify.applied)),
    ("applied_by", |one| {
        maybe(one.row().verify.applied_by.map(AppliedBy::as_str))
    }),
    ("acknowledged", |one| text(one.row().verify.acknowledged)),
    ("sampled_accounts", |one| {
        text(one.row().verify.sampled_accounts)
    }),
    ("sample_mismatches", |one| {
        text(one.row().verify.sample_mismatches)
    }),
    ("checked_share", |one| maybe(one.row().verify.checked_share)),
    ("budget_mean_us", |one| {
        maybe(one.row().budget.as_ref().map(|budget| budget.mean_us))
    }),
    ("budget_client_queue_us", |one| {
        maybe(one.stage(Stage::ClientQueue))
    }),
    ("budget_wire_us", |one| maybe(one.stage(Stage::Wire))),
    ("budget_wait_us", |one| maybe(one.stage(Stage::Wait))),
    ("budget_read_us", |one| maybe(one.stage(Stage::Read))),
    ("budget_apply_us", |one| maybe(one.stage(Stage::Apply))),
    ("budget_commit_write_us", |one| {
        maybe(one.stage(Stage::CommitWrite))
    }),
    ("budget_sync_us", |one| maybe(one.stage(Stage::Sync))),
    ("budget_answer_us", |one| maybe(one.stage(Stage::Answer))),
    ("budget_unexplained_us", |one| {
        maybe(one.stage(Stage::Unexplained))
    }),
    ("second_sync_ms", |one| {
        maybe(
            one.row()
                .budget
                .as_ref()
                .and_then(|budget| Some(budget.second?.sync_ms)),
        )
    }),
    ("second_commit_write_ms", |one| {
        maybe(
            one.row()
                .budget
                .as_ref()
                .and_then(|budget| Some(budget.second?.commit_write_ms)),
        )
    }),
    ("second_apply_ms", |one| {
        maybe(
            one.row()
                .budget
                .as_ref()
                .and_then(|budget| Some(budget.second?.apply_ms)),
        )
    }),
    ("second_answer_ms", |one| {
        maybe(
            one.row()
                .budget
                .as_ref()
                .and_then(|budget| Some(budget.second?.answer_ms)),
        )
    }),
    ("second_checkpoint_ms", |one| {
        maybe(
            one.row()
                .budget
                .as_ref()
                .and_then(|budget| Some(budget.second?.checkpoint_ms)),
        )
    }),
    ("second_idle_ms", |one| {
        maybe(
            one.row()
                .budget
                .as_ref()
                .and_then(|budget| Some(budget.second?.idle_ms)),
        )
    }),
    ("predicted_tps", |one| {
        maybe(one.row().prediction.as_ref().map(|model| model.tps))
    }),
    ("predicted_p50_ms", |one| {
        maybe(one.row().prediction.as_ref().map(|model| model.p50_ms))
    }),
    ("predicted_mean_batch", |one| {
        maybe(one.row().prediction.as_ref().map(|model| model.mean_batch))
    }),
    ("bottleneck", |one| {
        one.row()
            .prediction
            .as_ref()
            .and_then(|model| model.bottleneck)
            .map_or_else(String::new, |limit| limit.in_words().to_owned())
    }),
    ("prediction_refuted", |one| {
        one.row()
            .prediction
            .as_ref()
            .map_or_else(String::new, |model| model.refuted.join("; "))
    }),
    ("generator_busiest_thread", |one| {
        maybe(
            one.row()
                .generator
                .as_ref()
                .and_then(|client| client.thread_cpu.iter().copied().reduce(f64::max)),
        )
    }),
    ("event_loop_lag_mean_us", |one| {
        maybe(
            one.row()
                .generator
                .as_ref()
                .and_then(|client| client.event_loop_lag_us)
                .map(|v| v.mean),
        )
    }),
    ("event_loop_lag_p50_us", |one| {
        maybe(
            one.row()
                .generator
                .as_ref()
                .and_then(|client| client.event_loop_lag_us)
                .and_then(|v| v.p50),
        )
    }),
    ("event_loop_lag_p99_us", |one| {
        maybe(
            one.row()
                .generator
                .as_ref()
                .and_then(|client| client.event_loop_lag_us)
                .and_then(|v| v.p99),
        )
    }),
    ("event_loop_lag_max_us", |one| {
        maybe(
            one.row()
                .generator
                .as_ref()
                .and_then(|client| client.event_loop_lag_us)
                .map(|v| v.max),
        )
    }),
    ("generator_ceiling_tps", |one| {
        maybe(
            one.row()
                .generator
                .as_ref()
                .and_then(|client| client.ceiling_tps),
        )
    }),
    ("generator_ceiling_refuted_tps", |one| {
        maybe(
            one.row()
                .generator
                .as_ref()
                .and_then(|client| client.ceiling_refuted),
        )
    }),
    ("budget_withheld", |one| {
        one.row()
            .budget
            .as_ref()
            .map_or_else(String::new, |budget| budget.withheld.join("; "))
    }),
    ("littles_law_in_flight", |one| {
        maybe(one.row().littles_law.map(|law| law.in_flight))
    }),
    ("littles_law_throughput_times_latency", |one| {
        maybe(
            one.row()
                .littles_law
                .map(|law| law.throughput_times_latency),
        )
    }),
    ("steady_state_transient_seconds", |one| {
        maybe(one.row().steady_state.map(|state| state.transient_seconds))
    }),
    ("steady_state_transient_ratio", |one| {
        maybe(one.row().steady_state.map(|state| state.transient_ratio))
    }),
    ("steady", |one| {
        maybe(one.row().steady_state.map(|state| state.steady))
    }),
    ("baseline_before_us", |one| {
        maybe(baseline(one.row().sync_baseline.before.as_ref()))
    }),
    ("baseline_after_us", |one| {
        maybe(baseline(one.row().sync_baseline.after.as_ref()))
    }),
    ("article_tps", |one| {
        maybe(one.shown.article.map(|article| article.article_tps))
    }),
    ("article_p50_ms", |one| {
        maybe(one.shown.article.map(|article| article.article_p50_ms))
    }),
    ("disk_ceiling_tps", |one| {
        maybe(
            one.shown
                .article
                .and_then(|article| article.ceiling.as_ref()?.tps),
        )
    }),
    ("started_at", |one| one.started_at.to_owned()),
];

/// A column of the intervals.
pub(super) type IntervalColumn = (&'static str, fn(&Line<'_>, &Interval) -> String);

/// Of an interval.
pub(super) const INTERVAL_COLUMNS: &[IntervalColumn] = &[
    ("record", |one, _| one.file.to_owned()),
    ("number", |one, _| text(one.shown.number)),
    ("row", |one, _| one.shown.label.to_owned()),
    ("start_s", |_, at| text(at.start_s)),
    ("seconds", |_, at| text(at.seconds)),
    ("committed", |_, at| text(at.committed)),
    ("tps", |_, at| text(at.tps)),
    ("p50_ms", |_, at| maybe(at.p50_ms)),
    ("p95_ms", |_, at| maybe(at.p95_ms)),
    ("p99_ms", |_, at| maybe(at.p99_ms)),
    ("max_ms", |_, at| text(at.max_ms)),
    ("in_flight", |_, at| text(at.in_flight)),
    ("mean_batch", |_, at| maybe(at.mean_batch)),
    ("syncs_per_second", |_, at| maybe(at.syncs_per_second)),
    ("sync_us", |_, at| maybe(at.sync_us)),
    ("checkpoints", |_, at| maybe(at.checkpoints)),
    ("checkpoint_ms", |_, at| maybe(at.checkpoint_ms)),
    ("checkpoint_stalled_ms", |_, at| {
        maybe(at.checkpoint_stalled_ms)
    }),
    ("client_cpu", |_, at| maybe(at.client_cpu)),
    ("server_cpu", |_, at| maybe(at.server_cpu)),
];
