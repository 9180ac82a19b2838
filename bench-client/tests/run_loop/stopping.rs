//! Loads that are stopped, and one that never starts.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use bench_client::config::Measure;
use bench_client::load::{Load, LoadPlan};

use crate::common::within;
use crate::{MS, commits, plan};

#[test]
fn the_stop_flag_ends_the_run() {
    for warmup in [Duration::ZERO, Duration::from_mins(10)] {
        let connector = commits(MS);
        let plan = LoadPlan {
            warmup,
            measure: Measure::For(Duration::from_mins(10)),
            threads: 2,
            ..plan()
        };
        let result = within(async {
            let load = Load::connect(connector.clone(), plan)
                .await
                .expect("it connects");
            let stopper = load.stopper();
            let progress = load.progress();
            let _ = load.start();
            thread::spawn(move || {
                while progress.committed() < 20 {
                    thread::sleep(MS);
                }
                stopper.store(true, Ordering::Relaxed);
            });
            load.finish().await.expect("it ends")
        });
        assert_eq!(
            result.whole_run().committed,
            connector.seen(),
            "what is in flight is awaited"
        );
        assert!(
            result.window_length < Duration::from_mins(1),
            "as long as it was"
        );
        assert_eq!(result.window_length.is_zero(), !warmup.is_zero());
    }
}

/// A load that is dropped before it starts leaves no thread waiting.
#[test]
fn a_load_that_never_starts_ends() {
    let connector = commits(MS);
    within(async {
        drop(
            Load::connect(connector.clone(), plan())
                .await
                .expect("it connects"),
        );
    });
    assert_eq!(connector.seen(), 0);
}
