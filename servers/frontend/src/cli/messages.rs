//! The command line as it is read, and what is said when it cannot be.

use std::ffi::{OsStr, OsString};
use std::io::{ErrorKind as ErrorOfIo, Write as _};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, FromArgMatches};
use textwrap::{Options, WordSplitter};

/// What the standard library says of a word that is no whole number, and clap with it. No flag of
/// ours takes a negative one.
const NO_DIGIT: &str = "invalid digit found in string";

/// Reads the command line. What cannot be read is said in one line that names what the
/// person wrote, a flag or an environment variable; the exit code is 2.
#[must_use]
pub fn parse_arguments<P: FromArgMatches>(mut command: Command) -> P {
    let matches = command.try_get_matches_from_mut(with_negative_values(std::env::args_os()));
    let parsed = matches.and_then(|mut matches| P::from_arg_matches_mut(&mut matches));
    parsed.unwrap_or_else(|error| {
        // Help and version go to standard output, or are all that can be said.
        let is_page = !error.use_stderr()
            || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
        if is_page {
            print_page(&error);
        }
        command.build();
        say(&in_one_line(&error, &command));
        std::process::exit(2)
    })
}

/// Prints help or version and ends the program: with 2 when the page was not asked for, or cannot
/// be printed. A reader that has gone away has read enough.
fn print_page(page: &clap::Error) -> ! {
    let mut code = page.exit_code();
    if let Err(error) = page.print().and_then(|()| std::io::stdout().flush())
        && error.kind() != ErrorOfIo::BrokenPipe
    {
        eprintln!("error: cannot print to standard output: {error}");
        code = 2;
    }
    std::process::exit(code)
}

/// The words, with a negative number joined to the flag before it: clap takes it for a flag of its
/// own otherwise, and says so instead of what the value may be.
fn with_negative_values(words: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let is_flag = |word: &OsString| {
        let bytes = word.as_encoded_bytes();
        let long = bytes.len() > 2 && bytes.starts_with(b"--") && !bytes.contains(&b'=');
        long || matches!(bytes, [b'-', letter] if letter.is_ascii_alphabetic())
    };
    let is_negative =
        |word: &OsStr| matches!(word.as_encoded_bytes(), [b'-', b'0'..=b'9' | b'.', ..]);
    let mut joined: Vec<OsString> = Vec::new();
    for word in words {
        match joined.last_mut().filter(|last| is_flag(last)) {
            Some(flag) if is_negative(&word) => {
                flag.push("=");
                flag.push(word);
            }
            _ => joined.push(word),
        }
    }
    joined
}

/// Says one line on standard error. A terminal breaks words at its edge, so that it gets lines of
/// its width; what is no terminal gets the line.
pub(super) fn say(line: &str) {
    let width = terminal_size::terminal_size_of(std::io::stderr());
    eprintln!("{}", wrapped(line, width.map(|(columns, _)| columns.0)));
}

fn wrapped(line: &str, width: Option<u16>) -> String {
    let Some(width) = width.filter(|width| *width > 0) else {
        return line.to_owned();
    };
    let options = Options::new(width.into())
        .subsequent_indent("  ")
        .break_words(false)
        .word_splitter(WordSplitter::NoHyphenation);
    textwrap::fill(line, options)
}

/// clap's message without its usage and its pointer to the help.
#[must_use]
pub fn in_one_line(error: &clap::Error, command: &Command) -> String {
    let text = error.render().to_string();
    let lines = text.lines().map(str::trim).take_while(|line| {
        !line.starts_with("Usage:") && !line.starts_with("For more information")
    });
    let line = lines
        .filter(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
        .replace(" tip: ", "; ")
        .replace(NO_DIGIT, "write a whole number from 0");
    let Some(ContextValue::String(shown)) = error.get(ContextKind::InvalidArg) else {
        return line;
    };
    match environment_variable_of(command, shown) {
        Some(variable) => line.replace(&format!("'{shown}'"), &variable),
        None => line,
    }
}

/// The environment variable from which a flag, as clap shows it, has its value; `None`
/// when the flag was written.
fn environment_variable_of(command: &Command, shown: &str) -> Option<String> {
    let argument = command.get_arguments().find(|argument| {
        let flag = argument.get_long().map(|long| format!("--{long}"));
        let written = flag.is_some_and(|flag| {
            let with_value = format!("{flag}=");
            std::env::args().any(|word| word == flag || word.starts_with(&with_value))
        });
        !written && argument.to_string() == shown
    });
    let variable = argument.and_then(|argument| argument.get_env());
    match variable.filter(|variable| std::env::var_os(variable).is_some()) {
        Some(variable) => Some(variable.to_string_lossy().into_owned()),
        None => command
            .get_subcommands()
            .find_map(|sub| environment_variable_of(sub, shown)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_wrapped_between_words_on_a_terminal_alone() {
        let line = "error: --inflight takes from 1 to 16,384 transfers in-flight";
        assert_eq!(wrapped(line, None), line);
        assert_eq!(
            wrapped(line, Some(30)),
            "error: --inflight takes from 1\n  to 16,384 transfers\n  in-flight"
        );
        assert_eq!(
            wrapped("a/path/longer/than/that", Some(9)),
            "a/path/longer/than/that"
        );
    }

    #[test]
    fn a_negative_number_belongs_to_the_flag_before_it() {
        for (words, joined) in [
            ("a --port -1", "a --port=-1"),
            ("a --time -1ms --b -.5", "a --time=-1ms --b=-.5"),
            ("a --port=1 -1", "a --port=1 -1"),
            ("a --port -1 -2", "a --port=-1 -2"),
            ("a --port --fresh -x -", "a --port --fresh -x -"),
            ("a -P -1 -1", "a -P=-1 -1"),
            ("a -- -1", "a -- -1"),
        ] {
            let words = words.split(' ').map(OsString::from);
            assert_eq!(with_negative_values(words).join(OsStr::new(" ")), joined);
        }
    }
}
