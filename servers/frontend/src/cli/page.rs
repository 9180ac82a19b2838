//! The pages of help: `-h` has the flags that most people need, `--help` has all of them.

use std::ffi::OsStr;

use clap::{Arg, Command};

/// Columns of a line of help at most.
pub const WIDTH_MAX: usize = 100;

/// At the end of a short page.
const MORE: &str = "All flags, and more about each: --help";
/// At the end of a long one.
const QUANTITIES: &str = "Times are in seconds, unless they have a unit: 10, 500ms, 2m. Counts and \
rates may be written as 5k or 1M.";

/// Which flags `-h` shows, by their long names. Positional arguments are always there.
#[derive(Debug, Clone, Copy)]
pub struct Page(pub &'static [&'static str]);

impl Page {
    /// That of a server.
    pub const SERVER: Self = Self(&[
        "port",
        "listen",
        "database",
        "data-dir",
        "accounts",
        "reseed",
        "engine",
        "durability",
        "batch-size",
        "batch-timeout",
        "apply",
        "queue",
        "io-threads",
        "token-file",
        "tls-cert",
        "tls-key",
        "help",
        "version",
    ]);

    /// The command with this page.
    #[must_use]
    pub fn of(self, command: Command) -> Command {
        debug_assert!(
            self.0.iter().all(|name| ["help", "version"].contains(name)
                || command
                    .get_arguments()
                    .any(|arg| arg.get_long() == Some(name))),
            "a flag of the page that is not there: {self:?}"
        );
        let after_help = command.get_after_help().map(ToString::to_string);
        let after_long_help = command.get_after_long_help().map(ToString::to_string);
        command
            .after_help(after_help.unwrap_or_else(|| MORE.to_owned()))
            .after_long_help(after_long_help.unwrap_or_else(|| QUANTITIES.to_owned()))
            .mut_args(|arg| {
                let is_shown = arg.get_long().is_none_or(|long| self.0.contains(&long));
                with_brief_help(arg).hide_short_help(!is_shown)
            })
            .max_term_width(WIDTH_MAX)
    }
}

/// In `-h` without bounds and variables of the environment, which are in `--help`.
fn with_brief_help(arg: Arg) -> Arg {
    let Some(help) = arg.get_help().map(ToString::to_string) else {
        return arg;
    };
    let long = arg
        .get_long_help()
        .map_or(help.clone(), ToString::to_string);
    let variable = arg.get_env().filter(|_| !arg.is_hide_env_set());
    let long = match variable.map(OsStr::to_string_lossy) {
        Some(variable) => format!("{long} [env: {variable}]"),
        None => long,
    };
    arg.help(without_bounds(&help))
        .long_help(long)
        .hide_env(true)
}

/// The text without the first `[LOWEST … HIGHEST]`.
fn without_bounds(help: &str) -> String {
    let bounds = help.find(" … ").and_then(|middle| {
        let start = help[..middle].rfind(" [")?;
        let end = middle + help[middle..].find(']')? + 1;
        Some((start, end))
    });
    match bounds {
        Some((start, end)) => format!("{}{}", &help[..start], &help[end..]),
        None => help.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_help_has_no_bounds_and_no_variables() {
        assert_eq!(
            without_bounds("Size [1 … 9] [default: 3]"),
            "Size [default: 3]"
        );
        assert_eq!(without_bounds("Size [default: 3]"), "Size [default: 3]");
        assert_eq!(without_bounds("A … b"), "A … b");
        let arg = Arg::new("size")
            .long("size")
            .env("SIZE")
            .help("Size [1 … 9]");
        let arg = with_brief_help(arg);
        assert_eq!(arg.get_help().unwrap().to_string(), "Size");
        let long = arg.get_long_help().unwrap().to_string();
        assert_eq!(long, "Size [1 … 9] [env: SIZE]");
    }
}
