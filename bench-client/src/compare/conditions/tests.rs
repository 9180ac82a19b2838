use std::path::Path;
use std::time::Duration;

use super::*;
use crate::connector::Target;
use crate::report::knobs::tests::{once, open, plan, row};

fn here() -> Environment {
    Environment::capture(Path::new("."))
}

fn fields(differences: &[Difference]) -> Vec<&str> {
    differences
        .iter()
        .map(|difference| difference.field.as_str())
        .collect()
}

#[test]
fn a_row_has_the_conditions_and_the_fingerprint_of_its_plan() {
    let environment = here();
    let (row, plan) = (row(), plan());
    let measured = Conditions::of_row(&row, &environment);
    let planned = Conditions::of_plan(&plan, &environment);
    assert_eq!(measured.differences(&planned), []);
    assert_eq!(planned.differences(&measured), []);
    let fingerprint = planned.fingerprint();
    assert_eq!(measured.lasting(plan.measure).fingerprint(), fingerprint);
    assert_eq!(fingerprint.len(), 16);
    let with_settings = planned.with_settings(&Conditions::settings(&plan));
    assert_eq!(with_settings.fingerprint(), fingerprint);
}

#[test]
fn each_condition_is_named_and_changes_the_fingerprint() {
    type Change = fn(&mut Row, &mut Environment);
    let changes: [(&str, Change); 25] = [
        ("connector", |row, _| row.connector.push('x')),
        ("encoding", |row, _| row.encoding.push('x')),
        ("durability", |row, _| {
            row.durability_requested = Some("memory".to_owned());
        }),
        ("batch-size", |row, _| row.batch_size = Some(7)),
        ("batch-timeout", |row, _| row.batch_timeout_us = Some(7.0)),
        ("concurrency", |row, _| row.concurrency += 1),
        ("max-inflight-per-worker", |row, _| {
            row.max_inflight_per_worker += 1;
        }),
        ("threads", |row, _| row.threads += 1),
        ("alpha", |row, _| row.alpha += 0.01),
        ("accounts", |row, _| row.accounts += 1),
        ("amount", |row, _| row.amount += 1),
        ("warmup", |row, _| row.warmup_seconds += 0.1),
        ("op-timeout", |row, _| row.op_timeout_seconds += 1.0),
        ("exactly-once", |row, _| row.exactly_once = Some(once())),
        ("rate", |row, _| row.open_loop = Some(open(5.0))),
        ("seconds", |row, _| {
            row.seconds *= 1.5;
            row.committed *= 2;
        }),
        ("file system", |_, here| {
            here.storage.file_system = Some("else".to_owned());
        }),
        ("device", |_, here| {
            here.storage.block_devices = vec![BlockDevice {
                name: "else".to_owned(),
                ..BlockDevice::default()
            }];
        }),
        ("cpu", |_, here| {
            here.machine.cpu_model = Some("else".to_owned());
        }),
        ("cpu quota", |_, here| {
            here.machine.cpu_quota_cores = Some(1.9);
        }),
        ("governor", |_, here| {
            here.machine.cpu_governor = Some("powersave".to_owned());
        }),
        ("boost", |_, here| here.machine.cpu_boost = Some(false)),
        ("preloaded", |_, here| {
            here.preload = vec!["libjemalloc.so.2".to_owned()];
        }),
        ("cores", |_, here| here.machine.usable_cores = Some(4321)),
        ("build profile", |_, here| here.program.profile.push('x')),
    ];
    let mut known = here();
    known.storage.file_system = Some("ext4".to_owned());
    known.storage.mount_source = Some("/dev/vda".to_owned());
    known.machine.cpu_model = Some("a CPU".to_owned());
    known.machine.cpu_quota_cores = Some(1.0);
    known.machine.cpu_governor = Some("performance".to_owned());
    known.machine.cpu_boost = Some(true);
    known.preload = vec!["libmimalloc.so".to_owned()];
    let before = Conditions::of_row(&row(), &known);
    for (name, change) in changes {
        let (mut row, mut environment) = (row(), known.clone());
        change(&mut row, &mut environment);
        let after = Conditions::of_row(&row, &environment);
        let differences = before.differences(&after);
        assert!(
            fields(&differences).contains(&name),
            "{name}: {differences:?}"
        );
        assert_ne!(before.fingerprint(), after.fingerprint(), "{name}");
    }
    let mut reseeded = row();
    reseeded.seed += 1;
    assert_eq!(Conditions::of_row(&reseeded, &known), before);
}

/// Rows of before there was a choice are compared with those that are applied as they were.
#[test]
fn a_row_that_does_not_tell_was_applied_transfer_by_transfer() {
    let with = |apply: Option<&str>| {
        let mut row = row();
        row.apply = apply.map(str::to_owned);
        Conditions::of_row(&row, &here())
    };
    let [old, per_transfer, coalesced] = [None, Some("per-transfer"), Some("coalesced")].map(with);
    assert_eq!(old, per_transfer);
    assert_eq!(old.fingerprint(), per_transfer.fingerprint());
    assert_eq!(fields(&old.differences(&coalesced)), ["apply"]);
    let mut plan = plan();
    let ServerChoice::Own { spec, .. } = &mut plan.server else {
        panic!("a server of its own");
    };
    spec.args.push("--apply=coalesced".to_owned());
    let planned = Conditions::of_plan(&plan, &here());
    let measured = coalesced.lasting(plan.measure);
    assert_eq!(planned, measured);
    assert_eq!(planned.fingerprint(), measured.fingerprint());
}

/// Records from before there was anything to say of them keep their fingerprints.
#[test]
fn what_was_looked_at_later_is_no_part_of_the_fingerprint_where_there_is_none() {
    let mut without = here();
    without.machine.cpu_quota_cores = None;
    without.machine.cpu_governor = None;
    without.machine.cpu_boost = None;
    without.preload = Vec::new();
    let mut json = serde_json::to_value(&without).unwrap();
    for field in ["cpu_quota_cores", "cpu_governor", "cpu_boost"] {
        let machine = json["machine"].as_object_mut().unwrap();
        assert!(machine.remove(field).is_some(), "{field}");
    }
    assert!(json.as_object_mut().unwrap().remove("preload").is_some());
    let old: Environment = serde_json::from_value(json).expect("an old record still loads");
    assert_eq!(old, without);
    let conditions = Conditions::of_row(&row(), &old);
    assert!(conditions.fields.contains_key("cpu quota"));
    let mut before = conditions.clone();
    before
        .fields
        .retain(|name, _| !LATER.contains(&name.as_str()));
    assert_eq!(before.fingerprint(), conditions.fingerprint());
}

#[test]
fn what_is_not_known_is_no_difference() {
    let environment = here();
    let mut plan = plan();
    plan.server = ServerChoice::Url {
        target: Target::plain("127.0.0.1:1"),
        reseed: false,
    };
    let at_url = Conditions::of_plan(&plan, &environment);
    assert_eq!(
        Conditions::of_row(&row(), &environment).differences(&at_url),
        []
    );
}

#[test]
fn windows_are_as_long_as_they_were_planned() {
    let environment = here();
    let mut slow = row();
    slow.seconds *= 1.01;
    let slow = Conditions::of_row(&slow, &environment);
    assert_eq!(
        Conditions::of_plan(&plan(), &environment).differences(&slow),
        []
    );
    let counted =
        Conditions::of_row(&row(), &environment).lasting(Measure::Transfers(row().committed));
    let measured = Conditions::of_row(&row(), &environment);
    assert_eq!(measured.differences(&counted), []);
    let timed = measured.lasting(Measure::For(Duration::from_secs(1)));
    assert_eq!(fields(&timed.differences(&counted)), ["seconds"]);
}

#[test]
fn settings_of_the_server_are_named_where_both_are_known() {
    let environment = here();
    let base = Conditions::of_plan(&plan(), &environment);
    let set = |queue: &str| {
        let settings = BTreeMap::from([("queue".to_owned(), queue.to_owned())]);
        base.clone().with_settings(&settings)
    };
    assert_eq!(fields(&set("1").differences(&set("2"))), ["queue"]);
    assert_eq!(set("1").differences(&base), []);
    let unset = base.clone().with_settings(&BTreeMap::new());
    assert_eq!(set("1").differences(&unset)[0].candidate, "not set");
    let url = BTreeMap::from([("url".to_owned(), "a:1".to_owned())]);
    let at_url = base.clone().with_settings(&url);
    assert_eq!(at_url.differences(&unset), []);
    assert_eq!(set("1").differences(&at_url), []);
}
