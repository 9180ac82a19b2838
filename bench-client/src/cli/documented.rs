//! Every command of this program that README and docs show is one that it takes.

use clap::Parser as _;

use super::Cli;

#[path = "../../tests/programs/docs/pages.rs"]
mod pages;

use pages::{Page, arguments, files, root};

/// What the placeholders of the documentation may stand for.
const SAMPLES: [(&str, &str); 6] = [
    ("N", "2"),
    ("M", "1000"),
    ("A", "1"),
    ("MODE", "wal-full"),
    ("KNOB=SPEC", "alpha=1"),
    ("<verb>", "run"),
];

/// The word, or what it may stand for.
fn sample(word: &str) -> String {
    let sample = SAMPLES.iter().find(|(placeholder, _)| *placeholder == word);
    sample.map_or_else(
        || word.replace("$SERVER", "127.0.0.1"),
        |(_, sample)| (*sample).to_owned(),
    )
}

#[test]
fn every_command_of_readme_and_docs_is_parsed() {
    let mut paths = vec!["README.md".to_owned()];
    paths.extend(files(&root().join("docs"), &[".md"]));
    let mut parsed = 0;
    let mut refused = Vec::new();
    for path in paths {
        let page = Page::read(&path);
        let typed = page.commands().map(|(_, line)| line);
        // What is left out with dots is no whole command.
        let inline = page.code.iter().filter(|code| {
            code.starts_with("bench-client ") && code.contains(" -") && !code.contains('…')
        });
        for line in typed.chain(inline.cloned()) {
            let Some(arguments) = arguments(&line) else {
                continue;
            };
            parsed += 1;
            let arguments = arguments.iter().map(|word| sample(word));
            let words = std::iter::once("bench-client".to_owned()).chain(arguments);
            match Cli::try_parse_from(words) {
                // Help and version come as errors that are none.
                Err(error) if error.use_stderr() => {
                    refused.push(format!("{path}: {line}\n{error}"));
                }
                _ => {}
            }
        }
    }
    assert!(refused.is_empty(), "{}", refused.join("\n"));
    assert!(parsed > 40, "only {parsed} commands were found");
}
