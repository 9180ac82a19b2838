//! An observation as JSON, and what follows from it without judging.

use super::fixtures::{Outcome, Transfer, observe};
use super::*;

fn transfers(count: usize) -> Vec<Transfer> {
    let transfer = |number: usize| Transfer {
        tick: number % fixtures::TICKS,
        outcome: if number % 7 == 3 {
            Outcome::Unknown
        } else {
            Outcome::Committed
        },
        latency_ns: 1_000_000 + number as u64 * 7_919,
        accounts: (0, 1),
    };
    (0..count).map(transfer).collect()
}

fn system() -> SystemObservation {
    SystemObservation {
        url: Some("ws://127.0.0.1:4107".to_owned()),
        ledger: LedgerObservation {
            checked: CheckedBalances {
                samples: vec![Sample {
                    account: 3,
                    before: 10,
                    after: None,
                    acknowledged_delta: -3,
                    unknown_debits: 1,
                    unknown_credits: 0,
                    transfers: 5,
                    inferred: false,
                }],
                ..CheckedBalances::default()
            },
            own_verify: Some(Err("off".to_owned())),
            ..LedgerObservation::default()
        },
        window: Some(WindowCounters {
            before: Some(busload_wire::control::Stats::default()),
            after: None,
            between_ns: 1,
        }),
        ..SystemObservation::default()
    }
}

#[test]
fn what_is_written_is_read_back() {
    let mut observation = observe(&transfers(500));
    observation.system = Some(system());
    // More than a number of JavaScript, or 64 bits, can hold.
    observation.load.window.all_service_sum_ns = u128::from(u64::MAX) * 3;
    let text = serde_json::to_string(&observation).expect("it can be written");
    let read: Observation = serde_json::from_str(&text).expect("it can be read");
    assert_eq!(read.load.window, observation.load.window);
    assert_eq!(read.load.offered, observation.load.offered);
    let again = serde_json::to_string(&read).expect("it can be written");
    assert_eq!(again, text);
    let cut = text.replace("\"histogram\":\"HIST", "\"histogram\":\"HOST");
    assert_ne!(cut, text);
    let refused = serde_json::from_str::<Observation>(&cut).expect_err("no histogram");
    assert!(refused.to_string().contains("an HdrHistogram"), "{refused}");
}

#[test]
fn it_has_a_schema() {
    let schema = serde_json::to_value(schemars::schema_for!(Observation)).expect("a schema");
    let parts = schema["properties"].as_object().expect("its parts");
    let names: Vec<&str> = parts.keys().map(String::as_str).collect();
    assert_eq!(names, ["load", "machines", "system"]);
    assert_eq!(schema["required"], serde_json::json!(["load", "machines"]));
}

#[test]
fn the_first_sign_of_a_dead_server_counts() {
    let mut observation = observe(&[]);
    assert_eq!(observation.server_died(), None);
    observation.system = Some(SystemObservation {
        stop_error: Some("exit code 3".to_owned()),
        ..SystemObservation::default()
    });
    assert_eq!(observation.server_died().as_deref(), Some("exit code 3"));
    observation.load.gave_up = 2;
    observation.load.errors = vec!["refused".to_owned(), "reset".to_owned()];
    assert_eq!(observation.server_died().as_deref(), Some("refused"));
    let system = observation.system.as_mut().expect("it is there");
    system.replaced = true;
    assert_eq!(
        observation.server_died().as_deref(),
        Some("another process answers at its address")
    );
    let system = observation.system.as_mut().expect("it is there");
    system.died = Some("signal 9".to_owned());
    assert_eq!(observation.server_died().as_deref(), Some("signal 9"));
}

#[test]
fn counters_of_another_process_are_not_subtracted() {
    let stats = || Some(busload_wire::control::Stats::default());
    let mut system = SystemObservation {
        run: BeforeAndAfterStats {
            before: stats(),
            after: stats(),
        },
        window: Some(WindowCounters {
            before: stats(),
            after: stats(),
            between_ns: 5,
        }),
        ..SystemObservation::default()
    };
    assert!(system.run_stats().is_some() && system.window_stats().is_some());
    system.replaced = true;
    assert!(system.run_stats().is_none() && system.window_stats().is_none());
}
