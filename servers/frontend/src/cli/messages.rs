//! The command line as it is read, and what is said when it cannot be.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, Parser};

/// Reads the command line. What cannot be read is said in one line that names what the
/// person wrote, a flag or an environment variable; the exit code is 2.
#[must_use]
pub fn parse_arguments<P: Parser>() -> P {
    P::try_parse().unwrap_or_else(|error| {
        // Help and version go to standard output, or are all that can be said.
        let is_page = !error.use_stderr()
            || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
        if is_page {
            error.exit();
        }
        let mut command = P::command();
        command.build();
        eprintln!("{}", in_one_line(&error, &command));
        std::process::exit(2)
    })
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
        .join(" ");
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
