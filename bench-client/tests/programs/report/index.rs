//! The index of a directory, with a page for each record.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::readers::{can_run, chromium, no_chromium, on_paper, read_by};
use super::{everything, report, reproduction, shown};
use crate::common::directory;

/// A directory of results: records, one that is too old, one that is cut off, and other files.
fn results(directory: &Path) -> PathBuf {
    let results = directory.join("results");
    std::fs::create_dir_all(results.join("2026-11-21-vm")).expect("it can be made");
    let reproduction = std::fs::read_to_string(reproduction()).expect("the reproduction is there");
    let again = reproduction.replacen("2026-11-21T", "2026-11-22T", 1);
    assert_ne!(again, reproduction);
    let torture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/records/torture.json");
    let torture = std::fs::read_to_string(torture).expect("the record is there");
    let older = reproduction.replacen("\"schema_version\":3", "\"schema_version\":2", 1);
    for (name, text) in [
        ("2026-11-21-vm/reproduce.json", reproduction.as_str()),
        ("2026-11-21-vm/older.json", &older),
        ("again.json", &again),
        ("cut.json", &reproduction[..1_000]),
        ("torture.json", &torture),
        ("README.md", "# Results"),
        (".hidden.json", "{}"),
    ] {
        std::fs::write(results.join(name), text).expect("it can be written");
    }
    everything(&results);
    results
}

#[test]
fn a_directory_has_an_index_and_each_record_its_page() {
    let directory = directory();
    let results = results(directory.path());
    let flags = ["--format=html", "--output=site/", "--title=Our <disks>"];
    assert_eq!(shown(directory.path(), &[&results], &flags), "");
    let site = directory.path().join("site");
    let read = |name: &str| std::fs::read_to_string(site.join(name)).expect("it was written");
    let index = read("index.html");
    assert!(
        !index.contains("<script"),
        "no script, and no name that becomes one"
    );
    let pages = [
        "2026-11-21-vm-reproduce.html",
        "again.html",
        "everything.html",
        "torture.html",
    ];
    for page in pages {
        assert!(index.contains(&format!("href=\"{page}\"")), "{page}");
        assert!(read(page).contains("</html>"), "{page}");
        // The record goes with its page, so that the site is whole wherever it is put.
        let record = page.replace(".html", ".json");
        let link = format!("href=\"{record}\"");
        assert!(
            index.contains(&link) && read(page).contains(&link),
            "{page}"
        );
        assert!(read(&record).contains("\"environment\""), "{record}");
    }
    let written = std::fs::read_dir(&site).expect("it is there").count();
    assert_eq!(written, 2 * pages.len() + 1, "and no other");
    assert!(
        index.contains("<h1>Our &lt;disks></h1>") || index.contains("<h1>Our &lt;disks&gt;</h1>")
    );
    assert!(
        index.contains("Results of 4 records"),
        "what was found, below"
    );
    // Beside the records an index leads to them where they are.
    shown(&results, &[Path::new(".")], &["--output=all.html"]);
    let beside = std::fs::read_to_string(results.join("all.html")).expect("it was written");
    assert!(beside.contains("href=\"2026-11-21-vm/reproduce.json\""));
    // Each row leads to its own, which is there.
    let anchors = index.matches("again.html#row-").count();
    assert_eq!(anchors, 11, "{index}");
    assert!(read("again.html").contains("<tr id=\"row-11\">"));
    for (file, why) in [
        (
            "2026-11-21-vm/older.json",
            "schema_version 2, and this program",
        ),
        ("cut.json", "is cut off"),
    ] {
        let line = index
            .split("<li>")
            .find(|line| line.contains(&format!("{file}</code>")));
        assert!(
            line.is_some_and(|line| line.contains(why)),
            "{file}: {line:?}"
        );
    }
    assert!(!index.contains("hidden") && !index.contains("README"));
    assert!(index.contains("NOTHING LOST"), "what torture found");
    // In a file by itself nothing leads anywhere.
    let alone = shown(directory.path(), &[&results], &["--format=md"]);
    assert!(
        alone.contains("## Not shown") && !alone.contains("]("),
        "{alone}"
    );
    let ended = report(directory.path(), &[&results], &["--format=csv"]);
    ended.expect_code(2);
    ended.expect_one_line("which has text, md and html, and no csv");
    std::fs::create_dir(directory.path().join("empty")).expect("a directory");
    for (named, output, said) in [
        ("empty", "a.md", "there is no record in empty"),
        ("results", "a.pdf", ".pdf is no form"),
        ("results", "a.xml", "--format junit"),
    ] {
        let ended = report(directory.path(), &[Path::new(named)], &["--output", output]);
        ended.expect_code(2).expect_one_line(said);
    }
    let cut = results.join("cut.json");
    let ended = report(directory.path(), &[&results, &cut], &["--format=md"]);
    ended.expect_code(2).expect_one_line("is cut off");
}

#[test]
fn the_index_is_filtered_in_a_browser_without_a_script() {
    let name = "the_index_is_filtered_in_a_browser_without_a_script";
    if !can_run(name, no_chromium) {
        return;
    }
    let directory = directory();
    let results = results(directory.path());
    let flags = ["--format=html", "--output-dir=site"];
    shown(directory.path(), &[&results], &flags);
    let page = directory.path().join("site/index.html");
    let browser = chromium().expect("it was there");
    let seen = read_by(
        "page.mjs",
        &[browser, page.to_str().expect("a path"), "390", "1200"],
    );
    for view in seen.as_array().expect("a list") {
        assert_eq!(view["problems"], serde_json::json!([]), "{view:#}");
        assert_eq!(view["requests"], serde_json::json!([]), "{view:#}");
        assert_eq!(view["overflow"], 0, "{view:#}");
        on_paper(view);
        let choices = view["choices"].as_array().expect("a list");
        let all = choices[0]["shown"].as_u64().expect("a count");
        assert!(choices.len() > 8 && all > 40, "{choices:#?}");
        let count = |choice: &Value| choice["shown"].as_u64().expect("a count");
        for choice in choices {
            assert_eq!(choice["shown"], choice["right"], "{choice}");
            assert!(count(choice) > 0, "{choice}");
        }
        let wal = choices
            .iter()
            .find(|choice| choice["value"] == "delete-full");
        assert!(
            wal.is_some_and(|choice| count(choice) < all),
            "{choices:#?}"
        );
    }
}
