//! The article's table, measured for moments: every row is there, and only the fake one is
//! invalid.

mod common;

use common::{bench_client, directory, machine, rows, run};
use serde_json::{Value, json};

#[test]
fn every_row_is_measured_and_exactly_the_fake_one_is_invalid() {
    let _alone = machine();
    let directory = directory();
    let mut command = bench_client(directory.path());
    command.args(["reproduce", "--seconds=0.4", "--warmup=0.1", "--json"]);
    command.args(["--output", "out/table.json"]);
    command.args(["--fail-on", "short_window"]);
    let ended = run(&mut command);
    // Not 4: exactly the fake one is invalid. Windows of 0.4 s are warned of, which is named.
    let printed = ended.expect_code(3).json();
    let written = std::fs::read(directory.path().join("out/table.json")).expect("the record");
    let written: Value = serde_json::from_slice(&written).expect("the record is JSON");
    assert_eq!(printed, written, "--json prints what is recorded");

    let rows = rows(&printed);
    let article = printed["article"].as_array().expect("compared");
    assert_eq!((rows.len(), article.len()), (11, 11));
    let invalid: Vec<_> = rows.iter().filter(|row| row["valid"] == false).collect();
    assert_eq!(invalid.len(), 1);
    assert_eq!(invalid[0]["name"], "fake (updates never run)");
    assert_eq!(invalid[0]["verify"]["fake"], true);
    for (row, compared) in rows.iter().zip(article) {
        assert_eq!(row["name"], compared["name"]);
        assert!(compared["article_tps"].as_f64() > Some(0.0), "{compared}");
        let ceiling = &compared["ceiling"];
        assert!(ceiling["tps"].as_f64() > Some(0.0), "{ceiling}");
        assert!(row["tps"].as_f64() > Some(0.0), "{row}");
    }

    // What each row is, from top to bottom, as the article has it.
    let set: Vec<_> = rows
        .iter()
        .map(|row| {
            json!([
                row["transport"],
                row["target"]["server"]["durability"],
                row["batch_size"],
                row["max_inflight_per_worker"],
            ])
        })
        .collect();
    assert_eq!(set[0], json!(["http", "discard-writes", 1, 1]));
    assert_eq!(set[1], json!(["http", "delete-full", 1, 1]));
    assert_eq!(set[2], json!(["http", "wal-full", 1, 1]));
    assert_eq!(set[3], json!(["ws", "wal-full", 1, 1]));
    assert_eq!(set[4], json!(["ws", "wal-full", 10, 1]));
    assert_eq!(set[10], json!(["ws", "wal-full", 4000, 120]));
    let syncs_per_commit = |row: &Value| {
        let server = &row["server"];
        server["commit_syncs"].as_f64().unwrap_or(0.0)
            / server["commits_that_wrote"].as_f64().unwrap_or(1.0)
    };
    assert!(
        syncs_per_commit(&rows[1]) > 2.0,
        "a rollback journal syncs several times per commit"
    );
    assert!(syncs_per_commit(&rows[2]) < 1.5, "a log syncs once");

    let vendor = printed["vendor"].as_array().expect("quoted");
    assert_eq!(vendor.len(), 2, "quoted, and not among the rows");
    let table = std::fs::read_to_string(directory.path().join("out/table.md")).expect("a table");
    assert_eq!(table.matches("| **").count(), 11, "{table}");
    assert!(table.contains("INVALID: fake"), "{table}");
}
