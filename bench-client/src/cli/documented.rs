//! Every command of this program that README and docs show is one that it takes.

use clap::Parser as _;

use super::Cli;

#[path = "../../tests/docs/pages.rs"]
mod pages;

use pages::{Page, arguments, files, root};

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
            let words = std::iter::once("bench-client".to_owned()).chain(arguments);
            if let Err(error) = Cli::try_parse_from(words) {
                refused.push(format!("{path}: {line}\n{error}"));
            }
        }
    }
    assert!(refused.is_empty(), "{}", refused.join("\n"));
    assert!(parsed > 40, "only {parsed} commands were found");
}
