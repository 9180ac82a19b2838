//! The documentation holds together: links lead somewhere, every page can be found and read, and
//! what it tells people to type works.

mod pages;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{bench_client, directory, run, skipped};
use pages::{Page, arguments, files, follow, root};

/// The most words of a page.
const WORDS_MAX: usize = 2_500;
/// The most words of README.md.
const README_WORDS_MAX: usize = 1_500;

/// What README promises at its beginning, to the letter.
const PROMISED: [&str; 2] = [
    "cargo run --release --bin bench-client -- run",
    "cargo test --workspace --locked",
];

/// Every page of the repository, by its path from the root.
fn pages() -> BTreeMap<PathBuf, Page> {
    let found = files(&root(), &[".md"]);
    assert!(found.len() > 50, "{found:?}");
    let read = |path: String| (PathBuf::from(&path), Page::read(&path));
    found.into_iter().map(read).collect()
}

#[test]
fn every_link_leads_to_a_file_and_a_heading_that_are_there() {
    let pages = pages();
    let mut broken = Vec::new();
    for page in pages.values() {
        for link in &page.links {
            let Some(path) = follow(&page.path, link) else {
                continue;
            };
            let anchor = link.split_once('#').map(|(_, anchor)| anchor);
            let there = match (pages.get(&path), anchor) {
                (Some(to), Some(anchor)) => to.anchors.contains(anchor),
                _ => root().join(&path).exists(),
            };
            if !there {
                broken.push(format!("{}: {link}", page.path));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

/// In comments, messages and scripts, where a page is named by its path from the root.
#[test]
fn every_page_that_the_sources_name_is_there() {
    let pages = pages();
    let endings = [".rs", ".toml", ".sh", ".mjs", ".py", ".yml", "justfile"];
    let mut broken = Vec::new();
    for file in files(&root(), &endings) {
        let Ok(text) = fs::read_to_string(root().join(&file)) else {
            continue;
        };
        for (start, _) in text.match_indices("docs/") {
            let before = text[..start].chars().next_back();
            if before.is_some_and(|letter| letter.is_alphanumeric() || "./-".contains(letter)) {
                continue;
            }
            let rest = &text[start..];
            let part = |letter: char| letter.is_ascii_alphanumeric() || "_-./#".contains(letter);
            let end = rest.find(|letter| !part(letter)).unwrap_or(rest.len());
            let named = rest[..end].trim_end_matches('.');
            let (path, anchor) = named.split_once('#').unwrap_or((named, ""));
            if Path::new(path).extension().is_none_or(|it| it != "md") {
                continue;
            }
            let page = pages.get(Path::new(path));
            if page.is_none_or(|page| !anchor.is_empty() && !page.anchors.contains(anchor)) {
                broken.push(format!("{file}: {named}"));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

/// Decisions are left as they were written: what they name may be gone.
#[test]
fn every_source_file_that_a_page_names_is_there() {
    let sources = files(&root(), &[".rs", ".sh", ".py", ".mjs"]);
    let mut gone = Vec::new();
    for page in pages().values() {
        if !page.path.starts_with("docs/") || page.path.starts_with("docs/adr") {
            continue;
        }
        let path = |code: &&String| {
            let part = |letter: char| letter.is_ascii_alphanumeric() || "_-./".contains(letter);
            let ends = [".rs", ".sh", ".py", ".mjs"];
            code.contains('/')
                && code.chars().all(part)
                && ends.iter().any(|end| code.ends_with(end))
        };
        for named in page.code.iter().filter(path) {
            let there = |file: &String| file == named || file.ends_with(&format!("/{named}"));
            if !sources.iter().any(there) {
                gone.push(format!("{}: {named}", page.path));
            }
        }
    }
    assert!(gone.is_empty(), "{gone:#?}");
}

#[test]
fn every_page_of_docs_is_listed_and_short_enough_to_be_read() {
    let pages = pages();
    let linked_from = |index: &str| -> Vec<PathBuf> {
        let page = &pages[Path::new(index)];
        let links = page.links.iter();
        links.filter_map(|link| follow(index, link)).collect()
    };
    let listed = [linked_from("README.md"), linked_from("docs/README.md")].concat();
    let reasons = linked_from("docs/adr/README.md");
    for (path, page) in &pages {
        let words = page.text.split_whitespace().count();
        if path.starts_with("docs") {
            assert!(words < WORDS_MAX, "{} has {words} words", page.path);
            let index = if path.starts_with("docs/adr") {
                &reasons
            } else {
                &listed
            };
            let itself = path.ends_with("README.md");
            assert!(itself || index.contains(path), "no index has {}", page.path);
        }
    }
}

#[test]
fn readme_is_short_and_begins_with_the_commands_that_it_promises() {
    let readme = Page::read("README.md");
    let words = readme.text.split_whitespace().count();
    assert!(words < README_WORDS_MAX, "{words} words");
    let typed: Vec<String> = readme.commands().map(|(_, line)| line).collect();
    assert_eq!(typed.get(..2), Some(PROMISED.map(str::to_owned).as_slice()));
}

/// The two pages that a newcomer types from run at every change, the others with `BUSLOAD_LONG=1`
/// (`own-server.md` runs in `targets/examples.rs`).
#[test]
fn what_getting_started_says_to_type_works() {
    run_all(&Page::read("docs/getting-started.md"));
}

#[test]
fn what_all_other_pages_say_to_type_works() {
    if std::env::var_os("BUSLOAD_LONG").is_none_or(|value| value != "1") {
        skipped(
            "what_all_other_pages_say_to_type_works",
            "it takes long: set BUSLOAD_LONG=1",
        );
        return;
    }
    let elsewhere = ["docs/getting-started.md", "docs/own-server.md"];
    for page in pages().values() {
        let ours = page.path == "README.md" || page.path.starts_with("docs/");
        if ours && !elsewhere.contains(&page.path.as_str()) {
            run_all(page);
        }
    }
}

/// Runs the commands of a page's `sh` blocks, in their order, in a folder of its own, with runs
/// and rounds shortened. What cargo does is left to the rest of the tests.
#[track_caller]
fn run_all(page: &Page) {
    let folder = directory();
    let programs = Path::new(env!("CARGO_BIN_EXE_bench-client")).parent();
    let mut paths = vec![programs.expect("a folder").to_owned()];
    paths.extend(std::env::split_paths(
        &std::env::var_os("PATH").unwrap_or_default(),
    ));
    let paths = std::env::join_paths(paths).expect("paths");
    std::os::unix::fs::symlink(root().join("docs"), folder.path().join("docs")).expect("linked");
    for (block, line) in page.commands() {
        if block.language != "sh" || line.starts_with("cargo ") {
            continue;
        }
        let code = line.split_once("# exit code ").map_or(0, |(_, code)| {
            code.trim().parse().expect("a code in the comment")
        });
        // The environment of the programs' own tests, with a shell in front.
        let clean = bench_client(folder.path());
        let mut shell = Command::new("sh");
        shell
            .args(["-euc", &shortened(&line)])
            .current_dir(folder.path());
        for (name, _) in clean.get_envs().filter(|(_, value)| value.is_none()) {
            shell.env_remove(name);
        }
        let ended = run(shell.env("PATH", &paths));
        assert_eq!(
            ended.code(),
            Some(code),
            "{}: {line}\n{ended:#?}",
            page.path
        );
    }
}

/// The line with runs of 0.3 s, two rounds and few interruptions: what is tested is that it works,
/// not what it measures.
fn shortened(line: &str) -> String {
    let Some(arguments) = arguments(line) else {
        return line.to_owned();
    };
    let verb = arguments.first().map(String::as_str).unwrap_or_default();
    let measures: &[&str] = &["--duration", "-d"];
    let (durations, counts): (&[&str], &[&str]) = match verb {
        "run" | "ceiling" => (measures, &["--runs"]),
        "sweep" => (measures, &[]),
        "compare" => (measures, &["--rounds"]),
        "torture" => (&[][..], &["--kills"]),
        _ => return line.to_owned(),
    };
    let mut words = shlex::split(line).expect("words");
    for position in 1..words.len() {
        let flag = words[position - 1].clone();
        if durations.contains(&flag.as_str()) {
            "0.3".clone_into(&mut words[position]);
        } else if flag == "--warmup" {
            "0.1".clone_into(&mut words[position]);
        } else if counts.contains(&flag.as_str()) {
            "2".clone_into(&mut words[position]);
        }
    }
    let end = words
        .iter()
        .position(|word| [">", "|", "&&"].contains(&word.as_str()));
    let rest = words.split_off(end.unwrap_or(words.len()));
    let given = |flags: &[&str]| words.iter().any(|word| flags.contains(&word.as_str()));
    let mut more = Vec::new();
    if !durations.is_empty() {
        if !given(durations) && !given(&["--transfers", "-n"]) {
            more.extend(["--duration", "0.3"]);
        }
        if !given(&["--warmup"]) {
            more.extend(["--warmup", "0.1"]);
        }
    }
    if verb == "compare" && !given(&["--rounds"]) {
        more.extend(["--rounds", "2"]);
    }
    words.extend(more.into_iter().map(str::to_owned));
    let quoted = words.iter().map(String::as_str);
    let typed = shlex::try_join(quoted).expect("words of a shell");
    format!("{typed} {}", rest.join(" "))
}
