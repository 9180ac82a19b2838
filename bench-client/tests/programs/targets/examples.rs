//! The examples of `docs/own-server.md`: each speaks the protocol, and what the document says to
//! type works.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{bench_client, directory, run, skipped};
use crate::targets::servers::{Folder, example};

/// Checks the target in a folder, from a folder of its own.
#[track_caller]
fn check(target: &Path) {
    let directory = directory();
    let target = target.to_str().expect("a path");
    let checked = run(bench_client(directory.path()).args(["targets", "check", target]));
    checked.expect_code(0);
    assert!(
        checked.stdout.contains("can be measured"),
        "{}",
        checked.stdout
    );
}

#[test]
fn the_python_example_speaks_the_protocol() {
    if Folder::with_python("the_python_example_speaks_the_protocol").is_some() {
        check(&example("python"));
    }
}

#[test]
fn the_node_example_speaks_the_protocol() {
    let node = Command::new("node").arg("--version").output();
    if node.is_ok_and(|output| output.status.success()) {
        check(&example("node"));
    } else {
        skipped("the_node_example_speaks_the_protocol", "there is no node");
    }
}

/// As it was built with this test, in place of by cargo.
#[test]
fn the_rust_example_speaks_the_protocol() {
    let programs = Path::new(env!("CARGO_BIN_EXE_bench-client")).parent();
    let built = programs.expect("a folder").join("examples/own_server");
    assert!(
        built.is_file(),
        "cargo builds examples with the tests: {}",
        built.display()
    );
    let text = std::fs::read_to_string(example("rust").join("target.toml")).expect("text");
    let by_cargo = text
        .lines()
        .find(|line| line.starts_with("command = [\"cargo\", \"run\""))
        .expect("cargo starts it");
    let (_, arguments) = by_cargo.split_once("\"--\", ").expect("its arguments");
    let words = format!("command = [\"{}\", {arguments}", built.display());
    let folder = directory();
    let text = text.replace(by_cargo, &words);
    std::fs::write(folder.path().join("target.toml"), text).expect("written");
    check(folder.path());
}

/// Runs the document's own commands, in its order, in a folder in which the repository's `docs`
/// are.
#[test]
fn what_the_document_says_to_type_leads_to_a_valid_row() {
    let name = "what_the_document_says_to_type_leads_to_a_valid_row";
    let Some(folder) = Folder::with_python(name) else {
        return;
    };
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let docs = docs.canonicalize().expect("it is there");
    std::os::unix::fs::symlink(&docs, folder.path().join("docs")).expect("linked");
    let text = std::fs::read_to_string(docs.join("own-server.md")).expect("text");
    let blocks: Vec<&str> = text
        .split("```sh\n")
        .skip(1)
        .filter_map(|rest| rest.split_once("```").map(|(block, _)| block))
        .collect();
    assert!(blocks.len() >= 3, "{blocks:?}");
    let programs = PathBuf::from(env!("CARGO_BIN_EXE_bench-client"));
    let mut paths = vec![programs.parent().expect("a folder").to_owned()];
    let path = std::env::var_os("PATH").unwrap_or_default();
    paths.extend(std::env::split_paths(&path));
    let mut shell = Command::new("sh");
    shell
        .args(["-euxc", &blocks.concat()])
        .current_dir(folder.path())
        .env("PATH", std::env::join_paths(paths).expect("paths"))
        .env("BUSLOAD_TARGETS_DIR", folder.path().join("installed"));
    let ended = run(&mut shell);
    ended.expect_code(0);
    assert!(ended.stdout.contains("VALID    "), "{}", ended.stdout);
}
