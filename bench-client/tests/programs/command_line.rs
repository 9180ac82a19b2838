//! The command line from outside: names, versions, `--strict`, `report`, completions and man pages.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::common::{bench_client, directory, run};

/// `busload` in `directory`.
fn busload(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_busload"));
    command.current_dir(directory).stdin(Stdio::null());
    command
}

/// A run of a fraction of a second, and its record.
const QUICK: [&str; 8] = [
    "run",
    "-d=200ms",
    "--warmup=0",
    "--accounts=1k",
    "-c=2",
    "--no-null-server",
    "-o",
    "record.json",
];

#[test]
fn it_is_called_as_it_was_started() {
    let directory = directory();
    let place = directory.path();
    for (mut program, name) in [
        (busload(place), "busload"),
        (bench_client(place), "bench-client"),
    ] {
        let said = run(program.arg("--version"));
        said.expect_code(0);
        let (first, rest) = said.stdout.split_once(' ').unwrap();
        assert_eq!(first, name);
        assert!(rest.starts_with(env!("CARGO_PKG_VERSION")), "{rest}");
        assert!(
            rest.contains("revision ") && rest.contains("SQLite 3."),
            "{rest}"
        );
    }
    let help = run(busload(place).args(["run", "-h"]));
    help.expect_code(0);
    assert!(
        help.stdout.contains("Usage: busload run"),
        "{}",
        help.stdout
    );
    let help = run(bench_client(place).args(["run", "-h"]));
    assert!(
        help.stdout.contains("Usage: bench-client run"),
        "{}",
        help.stdout
    );
    // Arguments and exit code go through.
    let refused = run(busload(place).args(["run", "--batch-timeout=2"]));
    refused.expect_code(2).expect_one_line("with a unit");
}

#[test]
fn alone_it_says_what_it_misses() {
    let directory = directory();
    let alone = directory.path().join("busload");
    std::fs::copy(env!("CARGO_BIN_EXE_busload"), &alone).unwrap();
    let said = run(Command::new(&alone).arg("--version").stdin(Stdio::null()));
    said.expect_code(2).expect_one_line("bench-client");
    // One file alone is the program itself under this name.
    std::fs::remove_file(&alone).unwrap();
    std::fs::hard_link(env!("CARGO_BIN_EXE_bench-client"), &alone).unwrap();
    let said = run(Command::new(&alone).arg("--version").stdin(Stdio::null()));
    said.expect_code(0);
    assert!(said.stdout.starts_with("busload "), "{}", said.stdout);
}

#[test]
fn strict_fails_on_every_warning_that_is_not_allowed() {
    let directory = directory();
    let place = directory.path();
    let measured = run(bench_client(place)
        .args(QUICK)
        .args(["--no-verify", "--strict"]));
    measured.expect_code(3);
    assert!(
        measured.stderr.contains("--strict fails on not_verified"),
        "{}",
        measured.stderr
    );
    let record: serde_json::Value =
        serde_json::from_slice(&std::fs::read(place.join("record.json")).unwrap()).unwrap();
    assert_eq!(record["rows"][0]["valid"], true);
    let other = run(bench_client(place)
        .args(QUICK)
        .args(["--strict", "--allow=not_verifie"]));
    other.expect_code(2).expect_one_line("not_verified");
    // Every warning that this machine, this build and so short a run may have, but for one.
    let all = "environment,tmpfs,overlay,preloaded,throttled,processor_slowed,unstable,not_steady,\
               held_back,short_window,short_for_latency,stand_still,littles_law,generator_bound,not_committed,\
               sync_too_fast,sync_methods_apart,sync_does_nothing,flushes_missing";
    let strict = ["--no-verify", "--strict", "--allow", all];
    run(bench_client(place).args(QUICK).args(strict)).expect_code(3);
    let allowed = ["--allow=not_verified"];
    run(bench_client(place).args(QUICK).args(strict).args(allowed)).expect_code(0);
}

#[test]
fn a_report_is_the_screen_again() {
    let directory = directory();
    let place = directory.path();
    let measured = run(bench_client(place).args(QUICK));
    measured.expect_code(0);
    let shown = run(bench_client(place).args(["report", "record.json"]));
    shown.expect_code(0);
    assert_eq!(shown.stdout, measured.stdout);
    let verbose = run(bench_client(place).args(["report", "record.json", "-v"]));
    verbose.expect_code(0);
    assert!(verbose.stdout.lines().count() > 2 * shown.stdout.lines().count());
    let quiet = run(bench_client(place).args(["report", "-q", "record.json"]));
    assert_eq!(
        quiet.expect_code(0).stdout.lines().count(),
        1,
        "{}",
        quiet.stdout
    );
    // The form is that of the ending.
    run(bench_client(place).args(["report", "record.json", "-o", "page.html"])).expect_code(0);
    let page = std::fs::read_to_string(place.join("page.html")).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>"), "{}", &page[..40]);
    // Without a name it is the newest.
    let none = run(bench_client(place).arg("report"));
    none.expect_code(2)
        .expect_one_line("no record in results/runs");
    run(bench_client(place).args(&QUICK[..6])).expect_code(0);
    let newest = run(bench_client(place).arg("report"));
    newest.expect_code(0);
    assert!(newest.stdout.contains("results/runs"), "{}", newest.stdout);
}

/// Whether a program of this name can be started.
fn is_there(name: &str) -> bool {
    let found = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&found).any(|place: PathBuf| place.join(name).is_file())
}

#[test]
fn shells_understand_the_completions() {
    let directory = directory();
    let place = directory.path();
    for (shell, check) in [
        ("bash", Some(["bash", "-n"])),
        ("zsh", Some(["zsh", "-n"])),
        ("fish", Some(["fish", "--no-execute"])),
        ("elvish", None),
        ("powershell", None),
    ] {
        let script = run(busload(place).args(["completions", shell]));
        script.expect_code(0);
        for word in ["busload", "torture", "batch-size"] {
            assert!(script.stdout.contains(word), "no {word} for {shell}");
        }
        assert!(
            !script.stdout.contains("max-inflight-per-worker"),
            "{shell}"
        );
        let Some([program, flag]) = check.filter(|[program, _]| is_there(program)) else {
            eprintln!("skipped: {shell} is not here to read its completions");
            continue;
        };
        let file = place.join(shell);
        std::fs::write(&file, &script.stdout).unwrap();
        run(Command::new(program)
            .arg(flag)
            .arg(&file)
            .stdin(Stdio::null()))
        .expect_code(0);
    }
    let refused = run(busload(place).args(["completions", "cmd"]));
    refused.expect_code(2).expect_one_line("powershell");
}

#[test]
fn every_verb_has_a_man_page() {
    let directory = directory();
    let place = directory.path();
    run(busload(place).args(["man", "pages/man1"])).expect_code(0);
    let pages = place.join("pages/man1");
    for (page, word) in [
        ("busload.1", "fsync"),
        ("busload-run.1", "batch\\-size"),
        ("busload-serve-ws.1", "token\\-file"),
        ("busload-targets-check.1", "NAME|FILE"),
    ] {
        let text = std::fs::read_to_string(pages.join(page)).unwrap();
        assert!(
            text.contains(".TH") && text.contains(word),
            "{page}: {text}"
        );
    }
    let names = std::fs::read_dir(&pages).unwrap();
    let names: Vec<String> = names
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    assert!(names.len() > 15, "{names:?}");
    assert!(!names.iter().any(|name| name.contains("help")), "{names:?}");
    if is_there("mandoc") {
        for name in names {
            let page = pages.join(name);
            let lint = ["-T", "lint", "-W", "error"];
            run(Command::new("mandoc")
                .args(lint)
                .arg(page)
                .stdin(Stdio::null()))
            .expect_code(0);
        }
    } else {
        eprintln!("skipped: mandoc is not here to read the pages");
    }
}
