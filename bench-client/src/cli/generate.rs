//! `bench-client completions` and `bench-client man`: what shells and `man` read of the command
//! line.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use bench_client::called;
use bench_client::output::{self, Existing};
use bench_client::record::{Knob, VerdictCode};
use bench_client::targets;
use busload_sqlite::Durability;
use clap::builder::PossibleValuesParser;
use clap::{Arg, Args, Command, ValueHint};
use clap_complete::Shell;
use clap_mangen::Man;

use super::{EXIT_CODES, VALID, pages, print};

#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell: bash, zsh, fish, elvish or powershell
    #[arg(value_enum, value_name = "SHELL", hide_possible_values = true)]
    shell: Shell,
}

#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Directory of the pages, which is made if there is none
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

pub(crate) fn completions(args: &CompletionsArgs) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    let mut command = with_values(pages::command());
    clap_complete::generate(args.shell, &mut command, called(), &mut script);
    print(String::from_utf8(script)?.trim_end());
    Ok(ExitCode::from(VALID))
}

/// The command line with what may be written after each flag, so that no shell offers files where
/// none can stand.
fn with_values(command: Command) -> Command {
    command.mut_args(with_value).mut_subcommands(with_values)
}

fn with_value(arg: Arg) -> Arg {
    if !arg.get_action().takes_values() || !arg.get_possible_values().is_empty() {
        return arg;
    }
    if let Some(values) = values(arg.get_long().unwrap_or_default()) {
        return arg.value_parser(PossibleValuesParser::new(values));
    }
    let names = arg.get_value_names().into_iter().flatten();
    let names: Vec<&str> = names.map(clap::builder::Str::as_str).collect();
    let hint = match names.first().copied() {
        // Of these the type of the value says that they are paths, but not which ones.
        Some("DIR") => ValueHint::DirPath,
        Some("CMD") => ValueHint::CommandString,
        Some(name) if name.contains("FILE") => ValueHint::AnyPath,
        _ if arg.get_value_hint() != ValueHint::Unknown => return arg,
        _ => ValueHint::Other,
    };
    arg.value_hint(hint)
}

/// What a flag takes that reads its value itself.
fn values(flag: &str) -> Option<Vec<String>> {
    let named = |names: &[&str]| names.iter().map(ToString::to_string).collect();
    match flag {
        "durability" => Some(named(&Durability::ALL.map(Durability::as_str))),
        "over" => Some(
            Knob::ALL
                .iter()
                .map(|it| format!("{}=", it.name()))
                .collect(),
        ),
        "fail-on" | "allow" => Some(verdict_codes()),
        "target" => {
            let directory = targets::directory().unwrap_or_default();
            Some(targets::names(&directory))
        }
        _ => None,
    }
}

/// Verdicts by their names in records.
fn verdict_codes() -> Vec<String> {
    let schema = schemars::schema_for!(VerdictCode).to_value();
    let codes = schema["oneOf"].as_array().into_iter().flatten();
    let codes = codes.filter_map(|code| code["const"].as_str());
    codes.map(str::to_owned).collect()
}

/// One page for the program, and one for each verb.
pub(crate) fn man(args: &ManArgs) -> anyhow::Result<ExitCode> {
    let mut command = pages::command().disable_help_subcommand(true);
    command.build();
    write_pages(&command, called(), args)?;
    Ok(ExitCode::from(VALID))
}

fn write_pages(command: &Command, name: &str, args: &ManArgs) -> anyhow::Result<()> {
    let path = args.directory.join(format!("{name}.1"));
    output::write(&path, &page(command, name)?, Existing::Replaced)
        .with_context(|| format!("cannot write {}", path.display()))?;
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        write_pages(verb, &format!("{name}-{}", verb.get_name()), args)?;
    }
    Ok(())
}

/// Servers end as they do, and what is written for a shell says nothing of a measurement.
const WITHOUT_EXIT_STATUS: [&str; 5] = ["serve", "http", "ws", "completions", "man"];

/// A page with the sections that readers of man pages look for.
fn page(command: &Command, name: &str) -> anyhow::Result<Vec<u8>> {
    let man = Man::new(command.clone().name(name.to_owned()));
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    let after = command.get_after_long_help().or(command.get_after_help());
    let after = after.map(ToString::to_string).unwrap_or_default();
    let (notes, own) = after.split_once(EXIT_CODES_BEGIN).unwrap_or((&after, ""));
    let codes = match own {
        "" if WITHOUT_EXIT_STATUS.contains(&command.get_name()) => "",
        "" => EXIT_CODES.trim_start_matches(EXIT_CODES_BEGIN),
        own => own,
    };
    if !codes.is_empty() {
        writeln!(page, ".SH \"EXIT STATUS\"")?;
        for (code, what) in by_code(codes) {
            writeln!(page, ".TP\n.B {code}\n{}", escaped(&what))?;
        }
    }
    if !notes.trim().is_empty() {
        writeln!(page, ".SH NOTES")?;
        for paragraph in notes.trim().split("\n\n") {
            writeln!(page, ".PP\n{}", escaped(paragraph))?;
        }
    }
    if command.get_version().is_some() {
        man.render_version_section(&mut page)?;
    }
    Ok(page)
}

/// Before the exit codes, at the end of a page of help.
const EXIT_CODES_BEGIN: &str = "Exit codes: ";

/// `0 valid, 2 bad arguments, or none, 3 …` code by code.
fn by_code(text: &str) -> Vec<(String, String)> {
    let mut codes: Vec<(String, String)> = Vec::new();
    for part in text.split(", ") {
        let code = part.split_once(' ');
        let code = code.filter(|(code, _)| code.chars().all(|it| it.is_ascii_digit()));
        match (code, codes.last_mut()) {
            (Some((code, what)), _) => codes.push((code.to_owned(), what.to_owned())),
            (None, Some((_, what))) => what.extend([", ", part]),
            (None, None) => {}
        }
    }
    codes
}

/// Text as roff reads it: a flag's dash is no hyphen, and no line begins with a control character.
fn escaped(text: &str) -> String {
    let lines = text.replace('\\', "\\e").replace('-', "\\-");
    lines
        .lines()
        .map(|line| match line.chars().next() {
            Some('.' | '\'') => format!("\\&{line}"),
            _ => line.to_owned(),
        })
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verb<'a>(command: &'a Command, name: &str) -> &'a Command {
        let mut verbs = command.get_subcommands();
        verbs.find(|verb| verb.get_name() == name).unwrap()
    }

    #[test]
    fn files_are_offered_where_a_file_can_stand_and_nowhere_else() {
        let command = with_values(pages::command());
        let arg = |of: &str, flag: &str| {
            let mut args = verb(&command, of).get_arguments();
            args.find(|arg| arg.get_long() == Some(flag))
                .unwrap()
                .clone()
        };
        let names = |of: &str, flag: &str| -> Vec<String> {
            let values = arg(of, flag).get_possible_values().into_iter();
            values.map(|value| value.get_name().to_owned()).collect()
        };
        assert!(names("run", "durability").contains(&"wal-full".to_owned()));
        assert!(names("sweep", "over").contains(&"batch-size=".to_owned()));
        assert!(names("run", "allow").contains(&"short_window".to_owned()));
        assert!(names("run", "target").contains(&"node-sqlite-ws".to_owned()));
        for (of, flag, hint) in [
            ("run", "rate", ValueHint::Other),
            ("run", "batch-timeout", ValueHint::Other),
            ("compare", "fail-if", ValueHint::Other),
            ("run", "output", ValueHint::AnyPath),
            ("run", "data-dir", ValueHint::DirPath),
            ("run", "server-command", ValueHint::CommandString),
        ] {
            assert_eq!(arg(of, flag).get_value_hint(), hint, "{of} --{flag}");
        }
    }

    #[test]
    fn a_page_of_the_manual_has_the_exit_status() {
        let mut command = pages::command().disable_help_subcommand(true);
        command.build();
        let text = |command: &Command| String::from_utf8(page(command, "x").unwrap()).unwrap();
        for page in [text(&command), text(verb(&command, "run"))] {
            assert_eq!(page.matches(".SH \"EXIT STATUS\"").count(), 1, "{page}");
            assert!(page.contains(".TP\n.B 130\ninterrupted"), "{page}");
            assert!(
                !page.contains("EXTRA") && !page.contains("Exit codes"),
                "{page}"
            );
        }
        assert!(text(verb(&command, "run")).contains(".SH NOTES"));
        let compare = text(verb(&command, "compare"));
        assert!(compare.contains(".B 0\nno gate failed\n"), "{compare}");
        assert!(!text(verb(&command, "serve")).contains("EXIT STATUS"));
    }
}
