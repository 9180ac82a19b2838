//! `busload`: the program beside it, `bench-client`, under the name that it has when it is
//! installed (`docs/adr/0039-one-program-two-names.md`). A second copy of the program would be a
//! second link of it in every build.

use std::env;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

/// The program, under its name of record.
const PROGRAM: &str = "bench-client";

fn main() -> ExitCode {
    let (program, error) = match beside() {
        Ok(program) => {
            let error = run(&program);
            (program, error)
        }
        Err(error) => (PathBuf::from(PROGRAM), error),
    };
    let shown = program.display();
    eprintln!("error: cannot start {shown}, which busload stands for: {error}");
    ExitCode::from(2)
}

/// The program in the directory of this one.
fn beside() -> std::io::Result<PathBuf> {
    let name = format!("{PROGRAM}{}", env::consts::EXE_SUFFIX);
    env::current_exe().map(|this| this.with_file_name(name))
}

/// The program takes the place of this one; what comes back is why it could not.
#[cfg(unix)]
fn run(program: &PathBuf) -> std::io::Error {
    use std::os::unix::process::CommandExt as _;
    let mut words = env::args_os();
    let name = words.next().unwrap_or_else(|| "busload".into());
    Command::new(program).arg0(name).args(words).exec()
}

/// Where no program takes the place of another, it is waited for.
#[cfg(not(unix))]
fn run(program: &PathBuf) -> std::io::Error {
    match Command::new(program).args(env::args_os().skip(1)).status() {
        Ok(status) => std::process::exit(status.code().unwrap_or(2)),
        Err(error) => error,
    }
}
