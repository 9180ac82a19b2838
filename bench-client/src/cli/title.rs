//! `--title` and `--note`: what a person calls a record, and says of it.

use bench_client::config::heading::OUTPUT;
use bench_client::record::naming::Naming;
use bench_client::render::records::closing;
use clap::Args;

use super::{print, show};

/// Longest title, in characters: a line of a page.
const TITLE_MAX: usize = 80;
/// Longest note, in characters: a paragraph.
const NOTE_MAX: usize = 500;

#[derive(Debug, Clone, Default, Args)]
pub(crate) struct TitleArgs {
    /// What the record is called, on pages, in Markdown and in an index
    ///
    /// Up to 80 characters. Records are compared whatever they are called.
    #[arg(long, help_heading = OUTPUT, value_name = "TEXT", value_parser = title)]
    title: Option<String>,
    /// What is to be remembered of the record
    ///
    /// Up to 500 characters, shown by -v, on pages and in Markdown.
    #[arg(long, help_heading = OUTPUT, value_name = "TEXT", value_parser = at_most::<NOTE_MAX>)]
    note: Option<String>,
}

/// A title.
pub(crate) fn title(text: &str) -> Result<String, String> {
    at_most::<TITLE_MAX>(text)
}

fn at_most<const MOST: usize>(text: &str) -> Result<String, String> {
    let text = text.trim();
    let is_short = (1..=MOST).contains(&text.chars().count());
    if is_short && !text.contains(char::is_control) {
        return Ok(text.to_owned());
    }
    Err(format!("write 1 to {MOST} characters in one line"))
}

impl TitleArgs {
    /// Whether there is a title or a note.
    pub(crate) fn is_asked_for(&self) -> bool {
        self.title.is_some() || self.note.is_some()
    }

    /// Both, of a new record.
    pub(crate) fn naming(&self) -> Naming {
        let mut naming = Naming::default();
        self.put(&mut naming);
        naming
    }

    /// Writes them into a record's, whose own stay where there are none.
    pub(crate) fn put(&self, naming: &mut Naming) {
        for (given, kept) in [
            (&self.title, &mut naming.title),
            (&self.note, &mut naming.note),
        ] {
            if given.is_some() {
                kept.clone_from(given);
            }
        }
    }
}

/// Prints both above what is printed of the rows.
pub(crate) fn show_title(naming: &Naming) {
    let about = closing::about(naming);
    if !about.blocks.is_empty() {
        show(&about);
        print("");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_a_line_of_bounded_length() {
        assert_eq!(at_most::<5>(" é b "), Ok("é b".to_owned()));
        for wrong in ["", "  ", "123456", "a\nb", "a\u{1b}[1m"] {
            assert!(at_most::<5>(wrong).is_err(), "{wrong:?}");
        }
    }
}
