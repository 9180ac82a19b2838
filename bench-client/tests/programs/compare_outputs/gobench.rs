//! Go benchmark lines, by the strict reader.

use std::collections::BTreeSet;

use super::{Files, fixture, go_format};

#[test]
fn go_benchmark_lines_pair_up_by_name() {
    let files = Files::new();
    let flags = ["--format=gobench", "--output-dir=made"];
    files.report(&[&files.comparison], &flags).expect_code(0);
    let read = |file: &str| {
        let path = files.path().join("made").join(file);
        go_format::read(&std::fs::read_to_string(path).expect("it was written"))
    };
    let (base, head) = (read("base.txt"), read("head.txt"));
    // benchstat compares lines of one configuration.
    assert_eq!(base[0].config, head[0].config);
    for lines in [&base, &head] {
        assert_eq!(lines.len(), fixture::ROUNDS, "one line for each run");
        for line in lines {
            // The batch size is what is compared, so it is not in the name.
            assert_eq!(
                line.name,
                "Transfers/connector=sqlite_ws_rpc/encoding=json/durability=wal-full/\
                 in-flight=50x16/accounts=100000/alpha=1.5"
            );
            assert_eq!(line.config["cpu"], "AMD EPYC");
            let units: Vec<_> = line.values.keys().map(String::as_str).collect();
            assert_eq!(units, ["TPS", "ns/op", "p50-ns", "p95-ns", "p99-ns"]);
            let product = line.values["TPS"] * line.values["ns/op"];
            assert!((product / 1e9 - 1.0).abs() < 1e-4, "{line:?}");
        }
    }
    assert!((base[0].values["TPS"] - 300_000.0).abs() < 0.1);
    assert!((head[0].values["TPS"] - 273_000.0).abs() < 0.1);
    let both = go_format::read(&files.shown(&files.comparison, &["--format=gobench"]));
    assert_eq!(both.len(), 2 * fixture::ROUNDS);
    let sides: BTreeSet<_> = both.iter().map(|line| &line.config["side"]).collect();
    assert_eq!(sides.len(), 2, "benchstat -col side");
    let alone = files.shown(&files.comparison, &["--format=gobench", "--side=candidate"]);
    assert_eq!(go_format::read(&alone), head);
    // Runs: every valid row, repetitions under one name.
    let runs = go_format::read(&files.shown(&files.runs, &["--format=gobench"]));
    assert_eq!(runs.len(), 21);
    let baseline = runs
        .iter()
        .filter(|line| line.name.contains("/row=baseline/"));
    assert_eq!(baseline.count(), 3);
}
