//! This program under callgrind, and what was counted in it.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::process::{Command, Stdio};

use anyhow::Context as _;

/// Marks of each path: after warming up, after the turns, after twice as many.
const MARKS: usize = 3;

/// Runs this program under callgrind with these flags. Instructions per transfer by path.
pub(crate) fn count(flags: &[String]) -> anyhow::Result<BTreeMap<String, f64>> {
    let program = std::env::current_exe().context("this program has no name")?;
    // Beside the program is the disk that the build goes to: a temporary directory may be memory.
    let beside = program.parent().context("this program has no directory")?;
    let directory = tempfile::tempdir_in(beside)
        .with_context(|| format!("cannot make a directory in {}", beside.display()))?;
    let profile = directory.path().join("callgrind.out");
    let mut profile_flag = std::ffi::OsString::from("--callgrind-out-file=");
    profile_flag.push(&profile);
    let run = Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet", "--combine-dumps=yes"])
        .args(["--dump-before=*count_mark*"])
        .arg(profile_flag)
        .arg(&program)
        .arg("--counted")
        .arg(directory.path())
        .args(flags)
        // What else is there changes where the stack begins, and what servers do.
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output();
    let run = match run {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            anyhow::bail!("valgrind is missing: install it (apt-get install valgrind)")
        }
        other => other.context("cannot start valgrind")?,
    };
    anyhow::ensure!(run.status.success(), "valgrind: {}", run.status);
    let names = String::from_utf8(run.stdout).context("valgrind's output is no text")?;
    let profile = fs::read_to_string(&profile)
        .with_context(|| format!("cannot read {}", profile.display()))?;
    differences(&names, &profile)
}

/// What the dumps come to: `names` has a line for each path, its name and its transfers.
fn differences(names: &str, profile: &str) -> anyhow::Result<BTreeMap<String, f64>> {
    let totals = profile
        .lines()
        .filter_map(|line| line.strip_prefix("totals: "));
    let totals: Vec<f64> = totals
        .map(|total| total.trim().parse().context("a total that is no number"))
        .collect::<anyhow::Result<_>>()?;
    // The last one is that of the end.
    let expected = MARKS * names.lines().count() + 1;
    anyhow::ensure!(
        totals.len() == expected,
        "{} dumps of callgrind where {expected} should be: was a mark inlined?",
        totals.len()
    );
    let of_path = |(line, dumps): (&str, &[f64])| {
        let (name, transfers) = line.split_once('\t').context("a line of no path")?;
        let transfers: f64 = transfers.parse().context("transfers of no number")?;
        let [_, once, twice] = dumps else {
            anyhow::bail!("dumps of no path");
        };
        Ok((name.to_owned(), (twice - once) / transfers))
    };
    names
        .lines()
        .zip(totals.chunks(MARKS))
        .map(of_path)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_the_difference_of_the_turns_and_twice_the_turns() {
        let profile = "totals: 7\nfn=(1)\ntotals: 1100\ntotals: 2100\n\
                       totals: 5\ntotals: 20\ntotals: 30\ntotals: 9\n";
        let counts = differences("a/1\t100\nb/2\t4\n", profile).unwrap();
        let expected = [("a/1".to_owned(), 10.0), ("b/2".to_owned(), 2.5)];
        assert_eq!(counts, BTreeMap::from(expected));
    }

    #[test]
    fn a_dump_too_few_is_an_error() {
        let error = differences("a\t1\n", "totals: 7\ntotals: 8\ntotals: 9\n").unwrap_err();
        assert!(error.to_string().contains("3 dumps"), "{error}");
    }
}
