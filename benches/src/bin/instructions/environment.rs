//! What else than this project's code decides how many instructions there are.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::Context as _;

/// The compilers, the libraries and the processor's instruction set, by name.
pub(crate) fn read() -> anyhow::Result<BTreeMap<String, String>> {
    let rustc = output("rustc", &["-vV"])?;
    let of_rustc = |key: &str| {
        let value = rustc.lines().find_map(|line| line.strip_prefix(key));
        value.with_context(|| format!("rustc -vV has no {key}"))
    };
    // The C library chooses its copying by it.
    let has_avx2 = std::fs::read_to_string("/proc/cpuinfo")
        .context("cannot read /proc/cpuinfo")?
        .split_whitespace()
        .any(|flag| flag == "avx2");
    let first_line = |text: String| text.lines().next().unwrap_or_default().to_owned();
    Ok(BTreeMap::from([
        ("rustc".to_owned(), of_rustc("release: ")?.to_owned()),
        ("target".to_owned(), of_rustc("host: ")?.to_owned()),
        // SQLite and the allocator are C.
        ("cc".to_owned(), first_line(output("cc", &["--version"])?)),
        (
            "libc".to_owned(),
            first_line(output("getconf", &["GNU_LIBC_VERSION"])?),
        ),
        (
            "valgrind".to_owned(),
            first_line(output("valgrind", &["--version"])?),
        ),
        (
            "avx2".to_owned(),
            if has_avx2 { "yes" } else { "no" }.to_owned(),
        ),
    ]))
}

fn output(program: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let run = Command::new(program).args(arguments).output();
    let run = run.with_context(|| format!("cannot run {program}"))?;
    anyhow::ensure!(run.status.success(), "{program}: {}", run.status);
    String::from_utf8(run.stdout).with_context(|| format!("{program} does not print text"))
}
