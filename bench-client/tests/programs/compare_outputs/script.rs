//! `scripts/compare-revisions.sh` in a repository of its own, where `cargo` is a stand-in that
//! leaves a program which knows the revision it was built from.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Files;
use crate::common::{Ended, run};
use crate::report::readers::can_run;

/// Stands in for cargo: checks how it is called, and "builds" the program.
const CARGO: &str = r##"#!/bin/sh
set -eu
if [ -n "${FAIL_BUILD:-}" ]; then exit 101; fi
[ "$PWD" = / ]
[ "$1 $2" = "build --manifest-path" ]
tree=${3%/Cargo.toml}
[ "$4 $5" = "--config $tree/.cargo/config.toml" ]
echo "cargo $(cat "$tree/version")" >>"$LOG"
mkdir -p "$CARGO_TARGET_DIR/release"
{ echo "$PROGRAM"; echo "# $(cat "$tree/version")"; } >"$CARGO_TARGET_DIR/release/bench-client"
chmod +x "$CARGO_TARGET_DIR/release/bench-client"
"##;

/// Stands in for `bench-client compare`; reports are made by the real one.
const PROGRAM: &str = r#"#!/bin/sh
if [ "$1" = report ]; then exec "$REAL" "$@"; fi
[ "$1" = compare ] && [ "$4" = --output ] || exit 99
echo "$(tail -n 1 "$0") $*" >>"$LOG"
if [ "$CODE" != 5 ]; then cp "$RECORD" "$5"; fi
exit "$CODE"
"#;

struct Repository {
    files: Files,
    root: PathBuf,
}

fn executable(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().expect("a directory")).expect("it can be made");
    std::fs::write(path, text).expect("it can be written");
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(path, mode).expect("it is ours");
}

impl Repository {
    /// Two commits, `v1` and `v2`.
    fn new() -> Self {
        let files = Files::new();
        let root = files.path().join("repository");
        for name in ["compare-revisions.sh", "compare-reports.sh"] {
            let original = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("../scripts")
                .join(name);
            let script = std::fs::read_to_string(original).expect("the script is there");
            executable(&root.join("scripts").join(name), &script);
        }
        executable(&files.path().join("bin/cargo"), CARGO);
        std::fs::create_dir_all(root.join(".cargo")).expect("it can be made");
        std::fs::write(root.join(".cargo/config.toml"), "").expect("it can be written");
        let repository = Self { files, root };
        repository.git(&["init", "--quiet"]);
        for version in ["v1", "v2"] {
            std::fs::write(repository.root.join("version"), version).expect("it can be written");
            std::fs::write(repository.root.join(".gitignore"), "/target\n")
                .expect("it can be written");
            repository.git(&["add", "--all"]);
            repository.git(&["commit", "--quiet", "--message", version]);
            repository.git(&["tag", version]);
        }
        repository
    }

    fn git(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("git");
        command
            .args(["-c", "user.name=a", "-c", "user.email=a@example.org"])
            .args(["-c", "commit.gpgsign=false"])
            .args(arguments)
            .current_dir(&self.root)
            .stdin(Stdio::null());
        let ended = run(&mut command);
        ended.expect_code(0);
        ended.stdout.trim().to_owned()
    }

    /// Runs the script; `compare` is to end with `code`.
    fn compare(&self, code: u8, record: &Path, arguments: &[&str], more: &[(&str, &str)]) -> Ended {
        let path = std::env::var("PATH").expect("there is a PATH");
        let bin = self.files.path().join("bin");
        run(Command::new("bash")
            .arg("scripts/compare-revisions.sh")
            .args(arguments)
            .current_dir(&self.root)
            .stdin(Stdio::null())
            .env("PATH", format!("{}:{path}", bin.display()))
            .env("LOG", self.log())
            .env("PROGRAM", PROGRAM)
            .env("REAL", env!("CARGO_BIN_EXE_bench-client"))
            .env("RECORD", record)
            .env("CODE", code.to_string())
            .env_remove("CARGO_TARGET_DIR")
            .env_remove("GITHUB_STEP_SUMMARY")
            .envs(more.iter().copied()))
    }

    fn log(&self) -> PathBuf {
        self.files.path().join("log")
    }

    /// What was run since the last look.
    fn ran(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.log()).unwrap_or_default();
        let _ = std::fs::remove_file(self.log());
        text.lines().map(str::to_owned).collect()
    }

    /// The names in the directory of results.
    fn results(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.root.join("target/compare/out"));
        let names = entries
            .expect("it is there")
            .map(|entry| entry.expect("it can be listed").file_name());
        let mut names: Vec<String> = names
            .map(|name| name.to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[track_caller]
    fn is_clean(&self) {
        assert_eq!(self.git(&["worktree", "list"]).lines().count(), 1);
        assert_eq!(self.git(&["status", "--porcelain"]), "");
        let left = std::fs::read_dir(self.root.join("target/compare/tree"));
        assert!(left.is_ok_and(|mut left| left.next().is_none()));
    }
}

fn no_git() -> Option<String> {
    let there = Command::new("git").arg("--version").output();
    there.is_err().then(|| "git is not installed".to_owned())
}

#[test]
fn the_script_builds_each_revision_once_and_passes_the_exit_code_on() {
    let name = "script::the_script_builds_each_revision_once_and_passes_the_exit_code_on";
    if !can_run(name, no_git) {
        return;
    }
    let repository = Repository::new();
    let record = repository.files.comparison.clone();
    let arguments = [
        "--side",
        "sqlite_rpc,batch-size=10",
        "v1",
        "HEAD",
        "--",
        "--rounds",
        "10",
        "--fail-if",
        "tps<-5%",
    ];
    let ended = repository.compare(3, &record, &arguments, &[]);
    ended.expect_code(3);
    repository.is_clean();
    let bin = |revision: &str| {
        let commit = repository.git(&["rev-parse", revision]);
        format!("target/compare/bin/{}/bench-client", &commit[..12])
    };
    let compared = format!(
        "# v2 compare sqlite_rpc,batch-size=10,server-bin={} \
         sqlite_rpc,batch-size=10,server-bin={} --output target/compare/out/comparison.json \
         --rounds 10 --fail-if tps<-5%",
        bin("v1"),
        bin("v2")
    );
    assert_eq!(repository.ran(), ["cargo v1", "cargo v2", &compared]);
    let all = [
        "base.txt",
        "bmf.json",
        "comparison.csv",
        "comparison.html",
        "comparison.json",
        "comparison.md",
        "github-benchmark",
        "head.txt",
        "junit.xml",
    ];
    assert_eq!(repository.results(), all);

    // Both are built already; an invalid comparison leaves nothing to track.
    let invalid = repository.files.invalid.clone();
    repository
        .compare(4, &invalid, &["v1", "v2"], &[])
        .expect_code(4);
    assert_eq!(repository.ran().len(), 1);
    let reports = [
        "comparison.csv",
        "comparison.html",
        "comparison.json",
        "comparison.md",
        "junit.xml",
    ];
    assert_eq!(repository.results(), reports);

    // Without a record there is nothing from the time before.
    repository
        .compare(5, &record, &["v1", "v2"], &[])
        .expect_code(5);
    assert_eq!(repository.results(), [""; 0]);
    assert_eq!(repository.ran().len(), 1);

    // A revision against itself is built once.
    let arguments = ["--work", "target/other", "HEAD", "HEAD"];
    repository
        .compare(0, &record, &arguments, &[])
        .expect_code(0);
    let ran = repository.ran();
    assert_eq!(ran.len(), 2, "{ran:?}");
    assert_eq!(ran[0], "cargo v2");
}

#[test]
fn the_script_refuses_what_it_cannot_compare() {
    let name = "script::the_script_refuses_what_it_cannot_compare";
    if !can_run(name, no_git) {
        return;
    }
    let repository = Repository::new();
    let record = repository.files.comparison.clone();
    for (arguments, expected) in [
        (&["v1", "nowhere"][..], "there is no revision nowhere"),
        (
            &["--upload-pack=x", "v1"],
            "there is no option --upload-pack=x",
        ),
        (&["v1"], "give two revisions"),
        (
            &["v1", "v2", "--rounds", "2"],
            "there is no option --rounds",
        ),
        (&["v1", "v2", "--side"], "--side needs a value"),
        (&["--work", "target/a,b", "v1", "v2"], "a comma separates"),
    ] {
        let ended = repository.compare(0, &record, arguments, &[]);
        ended.expect_code(2);
        assert!(ended.stderr.contains(expected), "{}", ended.stderr);
        assert_eq!(ended.stdout, "");
    }
    let ended = repository.compare(0, &record, &["v1", "v2"], &[("FAIL_BUILD", "1")]);
    ended.expect_code(2);
    assert!(ended.stderr.contains("does not build"), "{}", ended.stderr);
    assert_eq!(repository.ran(), [""; 0]);
    repository.is_clean();
}
