//! What `bench-client report` makes of a comparison, and what it hands to other tools, each
//! form read by its consumer's rules: JSON Schemas by ajv, `JUnit` by xmllint, Go benchmark lines
//! by a strict reader, CSV by the csv package, the page in Chromium. A reader that is missing
//! skips its test by name, and fails it with `BUSLOAD_REQUIRE_INTEROP=1`.

#![expect(clippy::cast_precision_loss, reason = "made-up figures are small")]

mod fixture;
mod go_format;
mod gobench;
mod junit;
mod script;
mod tracked;
mod words;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::common::{Directory, Ended, bench_client, directory, run};
use crate::report::fixture as rows;
use crate::report::readers::{can_run, chromium, no_chromium, read_by};
use bench_client::record::comparison::{GateOutcome, Metric, NotCompared, Stopped};
use bench_client::record::write_json;
use bench_client::render::forms::step_summary;
use bench_client::render::records::comparison::{self, MARKER};
use serde_json::Value;

/// Files of every kind in a directory of their own.
struct Files {
    directory: Directory,
    comparison: PathBuf,
    invalid: PathBuf,
    runs: PathBuf,
}

impl Files {
    fn new() -> Self {
        let directory = directory();
        let environment = environment();
        let at = |name: &str| directory.path().join(name);
        let files = Self {
            comparison: at("comparison.json"),
            invalid: at("invalid.json"),
            runs: at("runs.json"),
            directory,
        };
        let comparison = fixture::comparison(&environment);
        let invalid = fixture::invalid(&environment);
        write_json(&files.comparison, &comparison).expect("it can be written");
        write_json(&files.invalid, &invalid).expect("it can be written");
        let runs = rows::record(&environment);
        runs.write_to(&files.runs).expect("it can be written");
        files
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn report(&self, records: &[&Path], flags: &[&str]) -> Ended {
        run(bench_client(self.path())
            .arg("report")
            .args(records)
            .args(flags))
    }

    /// A report that must succeed, on standard output.
    #[track_caller]
    fn shown(&self, record: &Path, flags: &[&str]) -> String {
        let ended = self.report(&[record], flags);
        ended.expect_code(0);
        ended.stdout
    }
}

/// The environment of a published record.
fn environment() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/records/reproduce.json");
    let text = std::fs::read_to_string(path).expect("the reproduction is there");
    let record: Value = serde_json::from_str(&text).expect("it is JSON");
    record["environment"].to_string()
}

fn here(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/programs/compare_outputs")
        .join(file)
}

#[test]
fn markdown_begins_with_the_conclusion() {
    let files = Files::new();
    let text = files.shown(&files.comparison, &["--format=md"]);
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some(MARKER));
    assert_eq!(
        lines.next(),
        Some("## B is 7.9 to 10.5 % slower than A in TPS, p50 1.2 to 5.0 % shorter (98.75 %)")
    );
    for expected in [
        "**1 of 3 gates FAILED, 1 undecided**",
        "| 0.910 (-9.0 %) | 0.895 to 0.921 | **slower** |",
        "| **faster** |",
        "| within 1.2 % |",
        "| metric | A, median | B, median | B ÷ A, paired |",
        "| inconclusive |",
        "- Inconclusive: about 25 rounds more for p99.",
        "Each interval of B ÷ A holds with 98.75 %, corrected for looking at 4 metrics.",
        "- A (base): `sqlite_ws_rpc,batch-size=1000`",
        "- B (candidate): `sqlite_ws_rpc,batch-size=4096,server-bin=",
        "- compared: batch-size `1000` → `4096`",
        "- knobs of A: ",
        " in flight, alpha ",
        "; not audited",
        "- runs: 8 rounds of both sides in turn, 8.0 s each; all rounds that were asked for",
        "| tps&lt;-5% | **FAILED** |",
        "| tps&lt;100000 | passed | 274,000 is above 100000 & &lt;fine&gt; |",
        "| p99&gt;+10% | undecided |",
        "<summary>Noise floor",
        "| TPS | 14 | 2.1 % | 1.3 % |",
        "<summary>Calibration: ",
        "| 1.004 (+0.40 %) | 0.969 to 1.031 | within 3.1 % |",
        "AMD EPYC, 2 cores",
        "closed loop: ",
    ] {
        assert!(text.contains(expected), "{expected} is not in\n{text}");
    }
    let count = |what: &str| text.matches(what).count();
    assert_eq!(count("<details>"), count("</details>"));
    // Outside of code spans, nobody's name becomes markup.
    assert_eq!(count("<script"), 1, "{text}");
    for table in text.split("\n\n").filter(|part| part.starts_with('|')) {
        let columns = |line: &str| line.replace("\\|", "").matches('|').count();
        let first = columns(table.lines().next().expect("a header"));
        assert!(table.lines().all(|line| columns(line) == first), "{table}");
    }
}

#[test]
fn what_is_not_known_is_said_and_not_left_out() {
    let files = Files::new();
    let mut record = fixture::comparison(&environment());
    record.metrics.truncate(3);
    let why = "9 of 16 runs have too few".to_owned();
    record.not_compared.push(NotCompared {
        metric: Metric::P99,
        why,
    });
    record.stopped = Stopped::TimeLimit;
    record.precision = Some(0.01);
    record.noise_floor[0].smallest_effect = Some(1.676);
    record.noise_floor[1].smallest_effect = Some(0.5);
    let path = files.path().join("partly.json");
    write_json(&path, &record).expect("it can be written");
    for form in [&["--format=md"][..], &["--width=80"]] {
        let text = files.shown(&path, form);
        for expected in [
            "p99 ms",
            "not compared",
            "p99 –: 9 of 16 runs have too few.",
            "--until-precision 1.0 % was not reached before the time was over: TPS ± 1.4 %",
            "2.68 times",
            "+50.0 % or -33.3 %",
        ] {
            let plain = text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(plain.contains(expected), "{expected} is not in\n{text}");
        }
        assert!(!text.contains("Not shown at this width"), "{text}");
    }
    record.metrics.clear();
    record.gates.truncate(1);
    record.gates[0].outcome = GateOutcome::Undecided;
    write_json(&path, &record).expect("it can be written");
    let text = files.shown(&path, &["--format=md"]);
    assert!(text.contains("## Nothing was compared: 9 of 16"), "{text}");
    assert!(
        text.contains("**no gate could be decided: 1 undecided**"),
        "{text}"
    );
    let xml = files.shown(&path, &["--format=junit"]);
    assert_eq!(xml.matches("<error ").count(), 1, "{xml}");
}

#[test]
fn a_warning_says_of_which_side_it_is() {
    let files = Files::new();
    let mut record = fixture::comparison(&environment());
    for (place, row) in record.rows.iter_mut().enumerate() {
        row.verdicts = vec![rows::verdict("held_back", false, &format!("run {place}"))];
    }
    let of_candidate = record.rounds[0].candidate_row;
    let told = rows::verdict("short_window", false, "short");
    record.rows[of_candidate].verdicts.push(told);
    let path = files.path().join("warned.json");
    write_json(&path, &record).expect("it can be written");
    let text = files.shown(&path, &["--format=md"]);
    for expected in [
        "- 16 of 16 runs (8 of A, 8 of B): e.g. run 0.",
        "- 1 of 16 runs (all of B): short.",
    ] {
        assert!(text.contains(expected), "{expected} is not in\n{text}");
    }
}

#[test]
fn an_invalid_comparison_concludes_nothing() {
    let files = Files::new();
    let text = files.shown(&files.invalid, &["--format=md"]);
    assert!(
        text.contains("\n## INVALID: 1 of 4 runs cannot be trusted"),
        "{text}"
    );
    assert!(text.contains("- **INVALID**, run 3: 0 syncs"), "{text}");
    assert!(!text.contains("B ÷ A"), "{text}");
    for flags in [
        &["--format=bmf"][..],
        &["--format=github-benchmark", "--direction=bigger"],
    ] {
        let ended = files.report(&[&files.invalid], flags);
        ended.expect_code(2);
        assert!(
            ended.stderr.contains("holds an invalid run"),
            "{}",
            ended.stderr
        );
        assert_eq!(ended.stdout, "");
    }
    // The runs that are valid can still be looked at.
    let page = files.shown(&files.invalid, &["--format=html"]);
    assert!(page.contains("INVALID: 1 of 4 runs"), "{page}");
    assert!(!page.contains("B ÷ A with its interval"));
}

#[test]
fn a_newer_or_broken_comparison_is_refused() {
    let files = Files::new();
    let whole = std::fs::read_to_string(&files.comparison).expect("it was written");
    for (name, text, expected) in [
        (
            "newer.json",
            whole.replacen("\"comparison_version\": 2", "\"comparison_version\": 7", 1),
            "has comparison_version 7",
        ),
        (
            "cut.json",
            whole[..whole.len() / 2].to_owned(),
            "is cut off",
        ),
        (
            "other.json",
            "{\"comparison_version\": 2}".to_owned(),
            "is not a record",
        ),
    ] {
        let path = files.path().join(name);
        std::fs::write(&path, text).expect("it can be written");
        let ended = files.report(&[&path], &["--format=md"]);
        ended.expect_code(2);
        assert!(ended.stderr.contains(expected), "{}", ended.stderr);
    }
}

#[test]
fn what_does_not_fit_is_refused_with_what_does() {
    let files = Files::new();
    let (one, runs) = (files.comparison.as_path(), files.runs.as_path());
    let other = files.path().join("other.json");
    std::fs::copy(one, &other).expect("a copy");
    for (records, flags, expected) in [
        (
            &[one][..],
            &["--format=github-benchmark"][..],
            "--direction",
        ),
        (&[one, runs], &["--format=csv"], "one kind at a time"),
        (&[one, runs], &["--format=bmf"], "one comparison"),
        (&[one, &other], &["--format=gobench"], "one comparison"),
        (
            &[runs],
            &["--format=gobench", "--side=base"],
            "runs have no sides",
        ),
        (
            &[runs],
            &["--format=gobench", "--output-dir=x"],
            "runs have no sides",
        ),
        (
            &[one],
            &["--format=md", "--side=base"],
            "--side goes with --format gobench only",
        ),
        (
            &[one],
            &["--format=bmf", "--direction=bigger"],
            "--direction goes with --format github-benchmark only",
        ),
        (
            &[one],
            &["--format=junit", "--output-dir=x"],
            "--output-dir goes with --format html or github-benchmark or gobench only",
        ),
    ] {
        let ended = files.report(records, flags);
        ended.expect_code(2);
        assert!(
            ended.stderr.contains(expected),
            "{flags:?}: {}",
            ended.stderr
        );
        assert!(!files.path().join("x").exists());
    }
}

#[test]
fn csv_has_a_line_for_each_metric() {
    let files = Files::new();
    let text = files.shown(&files.comparison, &["--format=csv"]);
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let lines: Vec<BTreeMap<String, String>> = reader
        .deserialize()
        .map(|line| line.expect("a line"))
        .collect();
    let column = |name: &str| -> Vec<&str> { lines.iter().map(|line| &*line[name]).collect() };
    assert_eq!(column("metric"), ["tps", "p50", "p95", "p99"]);
    assert_eq!(
        column("change"),
        ["slower", "faster", "no_difference", "inconclusive"]
    );
    assert_eq!(column("within"), ["", "", "0.012", ""]);
    assert_eq!(column("more_rounds"), ["", "", "", "25"]);
    assert_eq!(column("smallest_effect"), ["0.013", "", "", "0.12"]);
    assert_eq!(column("ratio")[0], "0.91");
    assert_eq!(column("base_runs"), ["8"; 4]);
    assert!(column("candidate")[0].ends_with(rows::HOSTILE));
    // Of a comparison, too, the intervals of its runs can be had.
    let series = files.shown(&files.comparison, &["--format=csv", "--series"]);
    assert_eq!(series.lines().count(), 1 + 8 * 2 * fixture::ROUNDS);
    assert!(series.contains("\"B (candidate), run 8\""), "{series}");
}

#[test]
fn a_step_summary_is_appended_when_it_is_asked_for() {
    let directory = directory();
    let document = comparison::document(&fixture::comparison(&environment()));
    let path = directory.path().join("summary.md");
    for unset in [None, Some("".as_ref())] {
        let asked = step_summary::append_if_asked(unset, &document);
        assert!(!asked.expect("nothing is done"));
    }
    std::fs::write(&path, "# Before").expect("it can be written");
    for _ in 0..2 {
        let asked = step_summary::append_if_asked(Some(path.as_os_str()), &document);
        assert!(asked.expect("it can be written"));
    }
    let text = std::fs::read_to_string(&path).expect("it was written");
    assert!(
        text.starts_with(&format!("# Before\n{MARKER}\n## B is ")),
        "{text}"
    );
    assert_eq!(text.matches("## B is ").count(), 2);
    let nowhere = directory.path().join("none/summary.md");
    assert!(step_summary::append_if_asked(Some(nowhere.as_os_str()), &document).is_err());
}

#[test]
fn the_page_of_a_comparison_is_whole_in_a_browser() {
    let name = "the_page_of_a_comparison_is_whole_in_a_browser";
    if !can_run(name, no_chromium) {
        return;
    }
    let files = Files::new();
    let pages = [
        (vec![files.comparison.as_path()], 5),
        (vec![&files.invalid], 4),
    ];
    for (records, expected) in pages {
        let flags = ["--format=html", "--output=a.html"];
        files.report(&records, &flags).expect_code(0);
        let page = files.path().join("a.html");
        let browser = chromium().expect("it was there");
        let arguments = [browser, page.to_str().expect("a path"), "390", "1200"];
        let seen = read_by("page.mjs", &arguments);
        let seen = seen.as_array().expect("a list");
        assert_eq!(seen.len(), 4, "two widths, in light and in dark");
        for view in seen {
            let nothing = serde_json::json!([]);
            assert_eq!(view["problems"], nothing, "{view:#}");
            assert_eq!(view["requests"], nothing, "{view:#}");
            assert_eq!(view["overflow"], 0, "{view:#}");
            let charts = view["charts"].as_array().expect("a list");
            assert_eq!(charts.len(), expected, "{charts:#?}");
            for chart in charts {
                assert!(chart["marks"].as_u64() > Some(0), "{chart:#}");
                assert!(chart["cells"].as_u64() > Some(0), "{chart:#}");
                assert!(chart["width"].as_f64() > Some(200.0), "{chart:#}");
                assert_eq!(chart["clipped"], nothing, "{chart:#}");
                assert_eq!(chart["unpainted"], 0, "{chart:#}");
            }
        }
    }
    // Beside runs, both are shown.
    let both = files.report(&[&files.comparison, &files.runs], &["--format=html"]);
    both.expect_code(0);
    for expected in [
        "B ÷ A with its interval",
        "TPS ladder",
        "Rounds: p99",
        "Gates",
        "Calibration: one side compared with itself",
    ] {
        assert!(both.stdout.contains(expected), "{expected}");
    }
    assert!(!both.stdout.contains("<script"));
}
