//! The page of a report, in a browser.

use serde_json::Value;

use super::readers::{can_run, chromium, no_chromium, on_paper, read_by};
use super::{reproduction, shown, with_everything};

/// Titles of the charts that a record with everything has.
const CHARTS: [&str; 12] = [
    "TPS ladder",
    "Fitted and measured TPS",
    "Latency percentile spectrum",
    "Offered rate and latency",
    "Batch size",
    "Transfers in flight",
    "Contention",
    "Batch size and transfers in flight",
    "Time budget of a transfer",
    "A second of the writer",
    "Time series: ",
    "Sync latency",
];

#[test]
fn the_page_is_whole_in_a_browser() {
    let name = "the_page_is_whole_in_a_browser";
    if !can_run(name, no_chromium) {
        return;
    }
    let (directory, path, _) = with_everything();
    let reproduction = reproduction();
    for (file, records) in [
        ("all.html", &[path.as_path(), &reproduction][..]),
        ("old.html", &[reproduction.as_path()]),
    ] {
        let output = format!("--output={file}");
        shown(directory.path(), records, &["--format=html", &output]);
        let page = directory.path().join(file);
        let page = page.to_str().expect("a path");
        let browser = chromium().expect("it was there");
        let seen = read_by("page.mjs", &[browser, page, "390", "1200"]);
        let seen = seen.as_array().expect("a list");
        // Two widths, in light and in dark.
        assert_eq!(seen.len(), 4);
        for view in seen {
            assert_eq!(view["problems"], serde_json::json!([]), "{view:#}");
            assert_eq!(view["requests"], serde_json::json!([]), "{view:#}");
            assert_eq!(
                view["overflow"], 0,
                "the page does not scroll sideways: {view:#}"
            );
            let charts = view["charts"].as_array().expect("a list");
            let titles: Vec<_> = charts
                .iter()
                .filter_map(|one| one["title"].as_str())
                .collect();
            if file == "all.html" {
                for title in CHARTS {
                    assert!(
                        titles.iter().any(|one| one.starts_with(title)),
                        "{title}: {titles:?}"
                    );
                }
            } else {
                // What was not measured has no chart.
                assert_eq!(charts.len(), 2, "{titles:?}");
            }
            on_paper(view);
            let switches = view["switches"].as_array().expect("a list");
            assert!(switches.len() > 10, "every curve has one: {switches:?}");
            assert!(switches.iter().all(|works| *works == true), "{switches:?}");
            for chart in charts {
                assert!(chart["marks"].as_u64() > Some(0), "{chart:#}");
                assert!(
                    chart["cells"].as_u64() > Some(0),
                    "it has a table: {chart:#}"
                );
                assert!(chart["width"].as_f64() > Some(200.0), "{chart:#}");
                let labels = chart["labels"].as_array().expect("a list");
                let long = |label: &Value| label.as_str().is_some_and(|label| label.len() > 20);
                assert!(!labels.is_empty() && labels.iter().all(long), "{chart:#}");
                assert_eq!(chart["clipped"], serde_json::json!([]), "{chart:#}");
                assert_eq!(chart["unpainted"], 0, "{chart:#}");
            }
        }
        let backgrounds: std::collections::BTreeSet<_> = seen
            .iter()
            .map(|view| view["background"].as_str())
            .collect();
        assert_eq!(
            backgrounds.len(),
            2,
            "light and dark differ: {backgrounds:?}"
        );
    }
}

#[test]
fn the_page_needs_nothing_else_and_escapes_what_it_shows() {
    let (directory, path, _) = with_everything();
    let page = shown(directory.path(), &[&path], &["--format=html"]);
    assert!(
        !page.contains("<script"),
        "no script, and no name that becomes one"
    );
    assert!(page.contains("&lt;script&gt;alert("));
    assert!(page.contains("what to do &lt;about&gt; it &amp; why"));
    let addresses = page.replace("http://www.w3.org/2000/svg", "");
    for outside in ["http:", "https:", "@import", "url(", "src="] {
        assert!(!addresses.contains(outside), "{outside}");
    }
    assert!(page.contains("INVALID: fake"));
    assert!(page.contains("1 INVALID"));
    assert!(page.contains("<span class=\"mark warn\">at least</span> 1,200,000"));
    assert!(
        page.contains(">\nat least 1,200,000\n</text>"),
        "in the ladder too"
    );
    // Every colour of a drawing is the style sheet's.
    assert!(!page.contains("=\"#"), "a fixed colour is left");
    assert_eq!(
        page.matches("<figure ").count(),
        page.matches("<details><summary>Data: ").count()
    );
    assert!(page.matches("<svg ").count() > page.matches("<figure ").count());
}
