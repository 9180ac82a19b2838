use std::path::Path;

use busload_frontend::cli::Mode;
use busload_sqlite::{Apply, Durability};

use super::*;
use crate::config::{Private, Target};
use crate::record::fixtures::row;

fn here() -> Environment {
    Environment::capture(Path::new("."))
}

fn fields(differences: &[Difference]) -> Vec<&str> {
    let fields = differences.iter();
    fields.map(|difference| difference.field.as_str()).collect()
}

#[test]
fn a_row_has_the_conditions_of_its_plan() {
    let environment = here();
    let row = row();
    let measured = Conditions::of_row(&row, &environment);
    let planned = Conditions::of_plan(&row.config, &environment);
    assert_eq!(measured.differences(&planned), []);
    assert_eq!(planned.differences(&measured), []);
    assert_eq!(measured.fingerprint().len(), 16);
    let again: Row = serde_json::from_str(&serde_json::to_string(&row).unwrap()).unwrap();
    let again = Conditions::of_row(&again, &environment);
    assert_eq!(again.fingerprint(), measured.fingerprint());
}

#[test]
fn each_condition_is_named_and_changes_the_fingerprint() {
    let before = Conditions::of_row(&row(), &here());
    let told = [
        "durability",
        "apply",
        "batch_size",
        "batch_timeout_us",
        "page_size",
    ];
    for name in told {
        assert!(before.read_back.contains_key(name), "{name}");
    }
    for name in before.asked.keys() {
        let mut after = before.clone();
        after.read_back.remove(name);
        after.asked.insert(name.clone(), Value::from("else"));
        let differences = before.differences(&after);
        assert_eq!(fields(&differences), [flag_of(name)]);
        assert_ne!(before.fingerprint(), after.fingerprint(), "{name}");
    }
    let mut same = row();
    same.config.workload.seed += 1;
    same.config.verification.no_verify = true;
    same.config.load.no_intervals = true;
    assert_eq!(Conditions::of_row(&same, &here()), before);
}

#[test]
fn machine_and_storage_are_conditions() {
    type Change = fn(&mut Environment);
    let changes: [(&str, Change); 9] = [
        ("file system", |here| {
            here.storage.file_system = Some("else".to_owned());
        }),
        ("device", |here| {
            here.storage.block_devices = vec![BlockDevice {
                name: "else".to_owned(),
                ..BlockDevice::default()
            }];
        }),
        ("cpu", |here| {
            here.machine.cpu_model = Some("else".to_owned());
        }),
        ("cpu quota", |here| {
            here.machine.cpu_quota_cores = Some(1.9);
        }),
        ("governor", |here| {
            here.machine.cpu_governor = Some("powersave".to_owned());
        }),
        ("boost", |here| {
            here.machine.cpu_boost = Some(false);
        }),
        ("preloaded", |here| {
            here.preload = vec!["libjemalloc.so.2".to_owned()];
        }),
        ("cores", |here| {
            here.machine.usable_cores = Some(4321);
        }),
        ("build profile", |here| {
            here.program.profile.push('x');
        }),
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
        let mut environment = known.clone();
        change(&mut environment);
        let after = Conditions::of_row(&row(), &environment);
        assert_eq!(fields(&before.differences(&after)), [name]);
        assert_ne!(before.fingerprint(), after.fingerprint(), "{name}");
    }
}

#[test]
fn what_a_server_says_counts_and_what_is_left_to_it_is_no_difference() {
    let environment = here();
    let (mut small, mut auto) = (row(), row());
    small.page_size = Some(512);
    auto.page_size = Some(4096);
    let [small_row, auto_row] = [&small, &auto].map(|row| Conditions::of_row(row, &environment));
    assert_eq!(fields(&small_row.differences(&auto_row)), ["page-size"]);
    // A plan that leaves it to the server, and one that asks.
    let left = Conditions::of_plan(&auto.config, &environment);
    assert_eq!(small_row.differences(&left), []);
    let server = auto.config.target.server_mut().unwrap();
    server.page_size = Some(4096);
    let asked = Conditions::of_plan(&auto.config, &environment);
    assert_eq!(fields(&small_row.differences(&asked)), ["page-size"]);
    assert_eq!(fields(&left.differences(&asked)), ["page-size"]);
}

#[test]
fn a_server_at_a_url_is_known_by_what_it_says_only() {
    let environment = here();
    let mut at_url = row();
    at_url.config.target = Target::Url {
        about: None,
        approach: Private::default(),
        url: Private::default(),
        token_file: Private::default(),
        ca: Private::default(),
        reseed: true,
    };
    let own = Conditions::of_row(&row(), &environment);
    assert_eq!(
        own.differences(&Conditions::of_row(&at_url, &environment)),
        []
    );
    at_url.batch_size = Some(7);
    let differences = own.differences(&Conditions::of_row(&at_url, &environment));
    assert_eq!(fields(&differences), ["batch-size"]);
    assert_eq!(differences[0].candidate, "7");
    "unknown".clone_into(&mut at_url.durability);
    (at_url.batch_size, at_url.apply) = (None, None);
    assert_eq!(
        own.differences(&Conditions::of_row(&at_url, &environment)),
        []
    );
}

#[test]
fn the_asked_mode_gives_way_to_the_one_that_runs() {
    let environment = here();
    let mut other = row();
    let server = other.config.target.server_mut().unwrap();
    server.durability = Mode::from(Durability::Memory);
    server.apply = Apply::Coalesced;
    let base = Conditions::of_row(&row(), &environment);
    assert_eq!(
        base.differences(&Conditions::of_row(&other, &environment)),
        []
    );
}
