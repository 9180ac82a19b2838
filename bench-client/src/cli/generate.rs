//! `bench-client completions` and `bench-client man`: what shells and `man` read of the command
//! line.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use bench_client::called;
use bench_client::output::{self, Existing};
use clap::Args;
use clap_complete::Shell;
use clap_mangen::Man;

use super::{VALID, pages, print};

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
    clap_complete::generate(args.shell, &mut pages::command(), called(), &mut script);
    print(String::from_utf8(script)?.trim_end());
    Ok(ExitCode::from(VALID))
}

/// One page for the program, and one for each verb.
pub(crate) fn man(args: &ManArgs) -> anyhow::Result<ExitCode> {
    let mut command = pages::command().disable_help_subcommand(true);
    command.build();
    write_pages(&command, called(), args)?;
    Ok(ExitCode::from(VALID))
}

fn write_pages(command: &clap::Command, name: &str, args: &ManArgs) -> anyhow::Result<()> {
    let mut page = Vec::new();
    let titled = command.clone().name(name.to_owned());
    Man::new(titled).render(&mut page)?;
    let path = args.directory.join(format!("{name}.1"));
    output::write(&path, &page, Existing::Replaced)
        .with_context(|| format!("cannot write {}", path.display()))?;
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        write_pages(verb, &format!("{name}-{}", verb.get_name()), args)?;
    }
    Ok(())
}
