//! What makes the figures of two rows comparable, and a hash of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use busload_sqlite::Apply;
use sha2::{Digest as _, Sha256};

use crate::host::environment::{BlockDevice, Environment};
use crate::load::{Measure, Pace};
use crate::record::comparison::Difference;
use crate::record::{Arrival, Row};
use crate::row::knobs::apply_flag;
use crate::row::{RowPlan, ServerChoice};
use crate::sweep;

/// A window may be this share longer or shorter than another and still be of the same length:
/// windows end with a turn of the load loop.
const SAME_LENGTH: f64 = 0.05;

/// The condition how a batch is applied.
const APPLY: &str = "apply";

/// The condition that transfers carry ids.
const EXACTLY_ONCE: &str = "exactly-once";
const YES: &str = "yes";

/// The condition that the database has pages of so many bytes.
pub(super) const PAGE_SIZE: &str = "page-size";
/// What they were before they could be chosen.
const EARLIER_PAGES: &str = "4096";

/// Conditions that were not looked at from the beginning.
const LATER: [&str; 4] = ["cpu quota", "governor", "boost", "preloaded"];

/// Settings of a server or a row that do not change what a transfer takes.
const NO_MATTER: [&str; 4] = ["interval", "verify", "fresh", "until-stdin-ends"];

/// Workload, knobs, storage and machine of a row: what must be the same for figures measured at
/// different times to be held against each other. The seed is not among it, it changes from
/// round to round.
#[derive(Debug, Clone, PartialEq)]
pub struct Conditions {
    /// By the name of the flag, where there is one. `None` is not known.
    fields: BTreeMap<String, Option<String>>,
    length: Length,
    /// What rows do not name: no part of the fingerprint.
    settings: Option<BTreeMap<String, String>>,
}

/// A planned row has one of them, a measured one both.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Length {
    seconds: Option<f64>,
    transfers: Option<u64>,
}

impl Length {
    fn of(measure: Measure) -> Self {
        match measure {
            Measure::For(time) => Self {
                seconds: Some(time.as_secs_f64()),
                transfers: None,
            },
            Measure::Transfers(count) => Self {
                seconds: None,
                transfers: Some(count),
            },
        }
    }

    fn is_like(self, other: Self) -> bool {
        let seconds = self.seconds.zip(other.seconds);
        seconds.is_some_and(|(a, b)| (a - b).abs() <= SAME_LENGTH * a.max(b))
            || self.transfers.is_some() && self.transfers == other.transfers
    }

    fn shown(self) -> String {
        match (self.seconds, self.transfers) {
            (Some(seconds), _) => format!("{} s", rounded(seconds, 2)),
            (None, Some(transfers)) => format!("{transfers} transfers"),
            (None, None) => "unknown".to_owned(),
        }
    }
}

/// A number without what decimal notation and measuring have added, to so many digits after
/// the first.
fn rounded(number: f64, digits: usize) -> f64 {
    format!("{number:.digits$e}").parse().unwrap_or(number)
}

fn number(number: f64) -> String {
    rounded(number, 8).to_string()
}

impl Conditions {
    /// Of a row that was measured in this environment.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "batch sizes are below 2^52")]
    pub fn of_row(row: &Row, environment: &Environment) -> Self {
        let durability = row.durability_requested.as_ref().unwrap_or(&row.durability);
        let open = row.open_loop.as_ref();
        let pace = open.map(|open| (open.offered_tps, open.arrival, open.latency_limit_ms));
        let mut conditions = Self {
            fields: BTreeMap::new(),
            settings: None,
            length: Length {
                seconds: Some(row.seconds),
                transfers: Some(row.committed + row.rejected + row.failed + row.unknown),
            },
        };
        conditions.set("connector", row.connector.clone());
        conditions.set("encoding", row.encoding.clone());
        conditions.put(
            "durability",
            Some(durability.clone()).filter(|durability| durability != "unknown"),
        );
        conditions.put(APPLY, row.apply_or_default().map(str::to_owned));
        conditions.put("batch-size", row.batch_size.map(|size| number(size as f64)));
        conditions.put("batch-timeout", row.batch_timeout_us.map(micros));
        conditions.put(PAGE_SIZE, page_size(row));
        conditions.set("concurrency", row.concurrency.to_string());
        conditions.set(
            "max-inflight-per-worker",
            row.max_inflight_per_worker.to_string(),
        );
        conditions.set("threads", row.threads.to_string());
        conditions.set("alpha", number(row.alpha));
        conditions.set("accounts", row.accounts.to_string());
        conditions.set("amount", row.amount.to_string());
        conditions.set("warmup", number(row.warmup_seconds));
        conditions.set("op-timeout", number(row.op_timeout_seconds));
        conditions.exactly_once(row.exactly_once.is_some());
        conditions.pace(pace);
        conditions.place(environment);
        conditions
    }

    /// Of a row that is planned for this environment. What a server at a URL is set to is not
    /// known.
    #[must_use]
    pub fn of_plan(plan: &RowPlan, environment: &Environment) -> Self {
        let mut conditions = Self {
            fields: BTreeMap::new(),
            settings: None,
            length: Length::of(plan.measure),
        };
        let (durability, args) = match &plan.server {
            ServerChoice::Own {
                spec, durability, ..
            } => (Some(durability.clone()), spec.args.as_slice()),
            ServerChoice::Null { spec } => (None, spec.args.as_slice()),
            ServerChoice::Url { .. } => (None, [].as_slice()),
        };
        let flag = |name: &str| args.iter().find_map(|arg| arg.strip_prefix(name));
        let timeout = flag("--batch-timeout=").and_then(|text| text.strip_suffix("us"));
        conditions.set("connector", plan.connector.as_str().to_owned());
        conditions.set("encoding", plan.encoding.as_str().to_owned());
        conditions.put(APPLY, durability.as_ref().map(|_| apply_flag(args)));
        conditions.put("durability", durability);
        conditions.put("batch-size", flag("--batch-size=").map(str::to_owned));
        conditions.put(
            "batch-timeout",
            timeout.and_then(|text| text.parse().ok()).map(micros),
        );
        // Without the flag the server chooses, and says so when it runs.
        conditions.put(PAGE_SIZE, flag("--page-size=").map(str::to_owned));
        conditions.set("concurrency", plan.concurrency.to_string());
        conditions.set("max-inflight-per-worker", plan.max_inflight.to_string());
        conditions.set("threads", plan.threads.to_string());
        conditions.set("alpha", number(plan.zipf.alpha()));
        conditions.set("accounts", plan.zipf.account_count().to_string());
        conditions.set("amount", plan.amount.to_string());
        conditions.set("warmup", number(plan.warmup.as_secs_f64()));
        conditions.set("op-timeout", number(plan.op_timeout.as_secs_f64()));
        conditions.exactly_once(plan.exactly_once.is_some());
        conditions.pace(match plan.pace {
            Pace::Closed => None,
            Pace::Open {
                rate,
                arrival,
                latency_limit,
            } => Some((
                rate,
                arrival,
                latency_limit.map(|limit| limit.as_secs_f64() * 1e3),
            )),
        });
        conditions.place(environment);
        conditions
    }

    /// The same, with all that is set besides what rows name ([`Conditions::settings`]). It is
    /// no part of the fingerprint.
    #[must_use]
    pub fn with_settings(mut self, settings: &BTreeMap<String, String>) -> Self {
        self.settings = Some(settings.clone());
        self
    }

    /// What a plan sets besides what its row will name.
    #[must_use]
    pub fn settings(plan: &RowPlan) -> BTreeMap<String, String> {
        let mut settings = sweep::settings(plan);
        if let ServerChoice::Own { spec, .. } = &plan.server {
            let switches = spec.args.iter().filter_map(|arg| arg.strip_prefix("--"));
            let switches = switches.filter(|switch| !switch.contains('='));
            settings.extend(switches.map(|switch| (switch.to_owned(), "true".to_owned())));
        }
        settings.retain(|name, _| !NO_MATTER.contains(&name.as_str()));
        settings
    }

    /// The same for a window that was planned like this: measured ones are a little longer.
    #[must_use]
    pub fn lasting(mut self, measure: Measure) -> Self {
        self.length = Length::of(measure);
        self
    }

    /// The first 16 digits of SHA-256 over the fields as JSON, in alphabetical order.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let mut fields = self.fields.clone();
        // The fingerprints of rows without ids, quota and the like, applied transfer by transfer, and
        // of pages as they always were, are those of before these were looked at.
        fields.retain(|name, value| name != EXACTLY_ONCE || value.as_deref() == Some(YES));
        let coalesced = Some(Apply::Coalesced.as_str());
        fields.retain(|name, value| name != APPLY || value.as_deref() == coalesced);
        fields.retain(|name, value| !LATER.contains(&name.as_str()) || value.is_some());
        fields.retain(|name, value| {
            name != PAGE_SIZE || value.as_deref().is_some_and(|it| it != EARLIER_PAGES)
        });
        fields.insert("length".to_owned(), Some(self.length.shown()));
        let canonical = serde_json::to_vec(&fields).unwrap_or_default();
        let mut text = String::new();
        for byte in Sha256::digest(&canonical).iter().take(8) {
            let _ = write!(text, "{byte:02x}");
        }
        text
    }

    /// In what a candidate differs from these. What is not known of one of the two is no
    /// difference.
    #[must_use]
    pub fn differences(&self, candidate: &Self) -> Vec<Difference> {
        let known = |fields: &BTreeMap<String, Option<String>>, name: &str| {
            fields.get(name).cloned().flatten()
        };
        let fields = self.fields.keys().filter_map(|name| {
            let base = known(&self.fields, name)?;
            let candidate = known(&candidate.fields, name)?;
            (base != candidate).then(|| Difference {
                field: name.clone(),
                base,
                candidate,
            })
        });
        let mut differences: Vec<Difference> = fields.collect();
        if !self.length.is_like(candidate.length) {
            differences.push(Difference {
                field: "seconds".to_owned(),
                base: self.length.shown(),
                candidate: candidate.length.shown(),
            });
        }
        if let (Some(base), Some(candidate)) = (&self.settings, &candidate.settings) {
            let settings = setting_differences(base, candidate);
            // What rows name is read back, and counts as it runs, not as it was asked for.
            let is_field = |setting: &Difference| self.fields.contains_key(&setting.field);
            differences.extend(settings.into_iter().filter(|setting| !is_field(setting)));
        }
        differences.sort_by(|a, b| a.field.cmp(&b.field));
        differences
    }

    fn set(&mut self, name: &str, value: String) {
        self.put(name, Some(value));
    }

    fn put(&mut self, name: &str, value: Option<String>) {
        self.fields.insert(name.to_owned(), value);
    }

    fn exactly_once(&mut self, is: bool) {
        self.set(EXACTLY_ONCE, if is { YES } else { "no" }.to_owned());
    }

    fn pace(&mut self, open: Option<(f64, Arrival, Option<f64>)>) {
        let none = || "none".to_owned();
        let (rate, arrival, limit) = match open {
            None => ("closed loop".to_owned(), none(), none()),
            Some((rate, arrival, limit)) => (
                number(rate),
                match arrival {
                    Arrival::Constant => "constant",
                    Arrival::Poisson => "poisson",
                }
                .to_owned(),
                limit.map_or_else(none, |ms| format!("{} ms", number(ms))),
            ),
        };
        self.set("rate", rate);
        self.set("arrival", arrival);
        self.set("latency-limit", limit);
    }

    fn place(&mut self, environment: &Environment) {
        let storage = &environment.storage;
        let device = |device: &BlockDevice| match &device.model {
            Some(model) => format!("{} ({model})", device.name),
            None => device.name.clone(),
        };
        let devices: Vec<String> = storage.block_devices.iter().map(device).collect();
        let devices = match devices.as_slice() {
            [] => storage.mount_source.clone(),
            devices => Some(devices.join(" + ")),
        };
        let machine = &environment.machine;
        self.put("file system", storage.file_system.clone());
        self.put("device", devices);
        self.put("cpu", machine.cpu_model.clone());
        self.put("cpu quota", machine.cpu_quota_cores.map(number));
        self.put("governor", machine.cpu_governor.clone());
        let boost = |on| if on { "on" } else { "off" }.to_owned();
        self.put("boost", machine.cpu_boost.map(boost));
        let preload = environment.preload.join(" + ");
        self.put("preloaded", Some(preload).filter(|names| !names.is_empty()));
        self.put("cores", machine.usable_cores.map(|cores| cores.to_string()));
        self.set("build profile", environment.program.profile.clone());
    }
}

/// Settings that the two sides do not share. Where a server is does not matter, and one at a
/// URL does not tell its settings.
fn setting_differences(
    base: &BTreeMap<String, String>,
    candidate: &BTreeMap<String, String>,
) -> Vec<Difference> {
    let at_url = [base, candidate]
        .iter()
        .any(|side| side.contains_key("url"));
    let mut names: Vec<&String> = base.keys().chain(candidate.keys()).collect();
    names.sort();
    names.dedup();
    names.retain(|name| !["url", "reseed"].contains(&name.as_str()));
    let differences = names.into_iter().filter_map(|name| {
        let sides = [base.get(name), candidate.get(name)];
        if sides[0] == sides[1] || at_url && sides.contains(&None) {
            return None;
        }
        let [base, candidate] = sides.map(|value| value.map_or("not set", String::as_str));
        Some(Difference {
            field: name.clone(),
            base: base.to_owned(),
            candidate: candidate.to_owned(),
        })
    });
    differences.collect()
}

/// As read back; of a row of before it had a field of its own, from the pragmas.
pub(super) fn page_size(row: &Row) -> Option<String> {
    let pragmas = row.server.as_ref().map(|server| &server.pragmas);
    let named = row.page_size.map(|bytes| bytes.to_string());
    named.or_else(|| pragmas?.get("page_size").cloned())
}

fn micros(us: f64) -> String {
    format!("{} us", number(us))
}

#[cfg(test)]
mod tests;
