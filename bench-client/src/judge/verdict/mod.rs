//! Verdicts: what a row says about itself, each with what to do about it.

mod durability;
mod ledger;
mod load;
mod machine;
mod outcomes;

pub(super) use durability::*;
pub(super) use ledger::*;
pub(super) use load::*;
pub use machine::of_environment;
pub(super) use machine::*;
pub(super) use outcomes::*;

use crate::record::{Verdict, VerdictCode};
use crate::statistics::{CONFIDENCE, Estimate, VARIATION_MAX};

fn invalid(code: VerdictCode, message: String, remedy: &str) -> Verdict {
    Verdict {
        code,
        invalidates: true,
        message,
        remedy: remedy.to_owned(),
    }
}

fn warning(code: VerdictCode, message: String, remedy: &str) -> Verdict {
    Verdict {
        code,
        invalidates: false,
        message,
        remedy: remedy.to_owned(),
    }
}

/// The named estimates are too wide.
pub(crate) fn wide_spread(wide: &[(&str, &Estimate)]) -> Verdict {
    const QUIETER: &str = "stop what else runs on the machine, or measure longer windows \
                           with --duration";
    let found: Vec<String> = wide
        .iter()
        .map(|(name, estimate)| match estimate.count {
            1 => format!("{name} was measured once"),
            _ => format!(
                "{name} ± {:.1} % at {:.0} % confidence, coefficient of variation {:.1} %",
                estimate.half_width() * 100.0,
                CONFIDENCE * 100.0,
                estimate.variation * 100.0
            ),
        })
        .collect();
    let needed = wide.iter().map(|(_, estimate)| estimate.runs_needed());
    let needed = needed.collect::<Option<Vec<_>>>();
    let most = needed.into_iter().flatten().max();
    let done = wide.iter().map(|(_, estimate)| estimate.count).max();
    let varies = wide
        .iter()
        .any(|(_, estimate)| estimate.variation > VARIATION_MAX);
    let remedy = match most {
        Some(runs) if Some(runs) > done && varies => {
            format!("{QUIETER}; at this variation it takes some --runs {runs}")
        }
        Some(runs) if Some(runs) > done => format!("use --runs {runs}, or {QUIETER}"),
        _ => QUIETER.to_owned(),
    };
    warning(VerdictCode::WideSpread, found.join("; "), &remedy)
}
