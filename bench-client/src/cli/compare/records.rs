//! `compare --records`: what was measured already, held against each other.

use std::path::Path;
use std::process::ExitCode;

use bench_client::compare::{Baseline, Conditions};
use bench_client::judge::compare::{compare_all_unpaired, hold_against, not_compared};
use bench_client::judge::gate::{fails, judge_gates};
use bench_client::record::Row;
use bench_client::record::comparison::{
    COMPARISON_VERSION, ComparisonRecord, Difference, Side, Stopped,
};
use bench_client::record::fsync::FsyncRecord;
use bench_client::render::records::comparison::{self, describe_difference};
use bench_client::render::records::fsync;

use super::session::floors_of_runs;
use super::{CompareArgs, LEVEL, end, usage};
use crate::cli::fail_on::Ending;
use crate::cli::output::summarise_step;
use crate::cli::{VALID, print, show};

/// Said with every comparison of records.
const UNPAIRED: &str = "not paired: the two were not measured in turn, and what the machine did \
                        between them looks like a difference between the sides";

/// Compares every kind of row that both records have, or two sync baselines.
pub(super) fn run(args: &CompareArgs, base: &Path, candidate: &Path) -> anyhow::Result<ExitCode> {
    if let (Some(base), Some(candidate)) = (FsyncRecord::read(base)?, FsyncRecord::read(candidate)?)
    {
        return compare_fsync(args, &base, &candidate);
    }
    let read = |path: &Path| Baseline::all(path).map_err(|error| usage(&error.to_string()));
    let (bases, candidates) = (read(base)?, read(candidate)?);
    let pairs = matched(args, &bases, &candidates)?;
    if pairs.len() > 1 && (args.output.json || args.output.file.is_some()) {
        return Err(usage(&format!(
            "the records have {} kinds of rows in common, and a comparison is of one: leave out \
             --json and --output",
            pairs.len()
        )));
    }
    eprintln!("{UNPAIRED}");
    let (mut failed, mut nothing) = (false, false);
    for (place, (base, candidate)) in pairs.into_iter().enumerate() {
        let record = compare(args, base, candidate);
        let path = args.output.checked("compare", &record.environment)?;
        path.write(&record)?;
        summarise_step(&comparison::document(&record));
        if args.output.json {
            print(&serde_json::to_string_pretty(&record)?);
        } else {
            if place > 0 {
                print("");
            }
            show(&end(&record, &path, args.verbosity));
        }
        nothing |= record.metrics.is_empty();
        let named = candidate.rows.iter().flat_map(|row| &row.verdicts);
        failed |= args.fail_on.names(named) || fails(&record.gates, args.undecided_fails());
    }
    let ending = Ending {
        found: nothing,
        interrupted: false,
        failed,
    };
    Ok(ending.code())
}

/// Each kind of the candidate with the kind of the base that is like it; with one kind each
/// unlike ones, too, where that is allowed.
fn matched<'a>(
    args: &CompareArgs,
    bases: &'a [Baseline],
    candidates: &'a [Baseline],
) -> anyhow::Result<Vec<(&'a Baseline, &'a Baseline)>> {
    if let ([base], [candidate]) = (bases, candidates) {
        refuse_unlike(args, &differences(base, candidate))?;
        return Ok(vec![(base, candidate)]);
    }
    let like = |candidate: &'a Baseline| {
        let base = bases
            .iter()
            .find(|base| differences(base, candidate).is_empty())?;
        Some((base, candidate))
    };
    let pairs: Vec<_> = candidates.iter().filter_map(like).collect();
    if pairs.is_empty() {
        return Err(usage(&format!(
            "no kind of row is in both records, of {} and {} kinds: measure the same knobs",
            bases.len(),
            candidates.len()
        )));
    }
    let alone = candidates.len() - pairs.len();
    if alone > 0 {
        eprintln!("{alone} kinds of rows of B are not in A and are left out");
    }
    Ok(pairs)
}

fn differences(base: &Baseline, candidate: &Baseline) -> Vec<Difference> {
    let both = base.conditions().zip(candidate.conditions());
    both.map_or_else(Vec::new, |(base, candidate)| base.differences(&candidate))
}

fn refuse_unlike(args: &CompareArgs, differences: &[Difference]) -> anyhow::Result<()> {
    if differences.is_empty() || args.allow_unlike {
        return Ok(());
    }
    let named: Vec<String> = differences.iter().map(describe_difference).collect();
    Err(usage(&format!(
        "the records were measured under different conditions ({}): measure the same, or compare \
         all the same with --allow-unlike",
        named.join("; ")
    )))
}

fn compare(args: &CompareArgs, base: &Baseline, candidate: &Baseline) -> ComparisonRecord {
    let metrics = compare_all_unpaired(&base.rows, &candidate.rows, LEVEL, args.equivalence());
    let mut noise_floor = floors_of_runs(&[&base.rows, &candidate.rows]);
    hold_against(&mut noise_floor, &metrics);
    let bases: Vec<&Row> = base.rows.iter().collect();
    let candidates: Vec<&Row> = candidate.rows.iter().collect();
    let not_compared = not_compared([&bases, &candidates]);
    let gates = judge_gates(&args.fail_if, &metrics, &not_compared, &candidates, LEVEL);
    let side = |of: &Baseline| Side {
        label: of.path.display().to_string(),
        fingerprint: of
            .conditions()
            .as_ref()
            .map_or_else(String::new, Conditions::fingerprint),
        baseline: Some(of.path.display().to_string()),
    };
    ComparisonRecord {
        comparison_version: COMPARISON_VERSION,
        naming: args.output.naming.naming(),
        environment: candidate.environment.clone(),
        base: side(base),
        candidate: side(candidate),
        differences: differences(base, candidate),
        rounds: Vec::new(),
        metrics,
        not_compared,
        noise_floor,
        gates,
        stopped: Stopped::Rounds,
        precision: None,
        calibration: None,
        rows: base.rows.iter().chain(&candidate.rows).cloned().collect(),
        valid: true,
    }
}

/// Two sync baselines. Gates are about transfers, and there are none.
fn compare_fsync(
    args: &CompareArgs,
    base: &FsyncRecord,
    candidate: &FsyncRecord,
) -> anyhow::Result<ExitCode> {
    if !args.fail_if.is_empty() || args.output.json || args.output.file.is_some() {
        return Err(usage(
            "--fail-if, --json and --output are for comparisons of transfers: leave them out \
             between records of fsync",
        ));
    }
    let differences = Conditions::of_fsync(base).differences(&Conditions::of_fsync(candidate));
    refuse_unlike(args, &differences)?;
    eprintln!("{UNPAIRED}");
    for difference in &differences {
        print(&format!("unlike     {}", describe_difference(difference)));
    }
    show(&fsync::comparison(base, candidate));
    Ok(ExitCode::from(VALID))
}
