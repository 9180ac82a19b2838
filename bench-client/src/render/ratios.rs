//! Ratios, shares and changes in words, as every form of a comparison says them.

use crate::figures::counted;
use crate::record::comparison::{Change, ComparisonRecord};

/// By how much a ratio differs from 1: `-9.8 %`.
#[must_use]
pub(in crate::render) fn percent(ratio: f64) -> String {
    // What would be minus zero is zero.
    let share = (ratio - 1.0) * 100.0;
    if share.abs() < 0.005 {
        return "0.00 %".to_owned();
    }
    if share.abs() < 1.0 {
        format!("{share:+.2} %")
    } else {
        format!("{share:+.1} %")
    }
}

/// A share that has no direction: `2.1 %`.
#[must_use]
pub(in crate::render) fn share(share: f64) -> String {
    if share.abs() < 0.01 {
        format!("{:.2} %", share * 100.0)
    } else {
        format!("{:.1} %", share * 100.0)
    }
}

/// A confidence level without needless digits: `95 %`, `98.75 %`.
#[must_use]
pub(in crate::render) fn level(confidence: f64) -> String {
    let text = format!("{:.2}", confidence * 100.0);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

/// How much more it takes: rounds, or runs of a candidate whose base was recorded.
pub(in crate::render) fn more(count: u32, record: &ComparisonRecord) -> String {
    let what = match record.base.baseline {
        None => "round",
        Some(_) => "run",
    };
    format!("about {} more", counted(count.into(), what))
}

/// A ratio with the digits that a reader can use.
#[must_use]
pub(in crate::render) fn times(ratio: f64) -> String {
    match ratio {
        x if x >= 100.0 => format!("{x:.0}"),
        x if x >= 10.0 => format!("{x:.1}"),
        x => format!("{x:.3}"),
    }
}

/// An effect of this size in either direction: nothing falls by more than 100 %.
#[must_use]
pub(in crate::render) fn effect(size: f64) -> String {
    match size {
        x if x < 0.1 => share(x),
        x if x < 1.0 => {
            let ratio = 1.0 + x;
            format!("{} or {}", percent(ratio), percent(1.0 / ratio))
        }
        x => format!("{:.2} times", 1.0 + x),
    }
}

/// What can be said of a metric, in a word or two.
#[must_use]
pub(in crate::render) fn change(change: Change) -> String {
    match change {
        Change::Faster => "faster".to_owned(),
        Change::Slower => "slower".to_owned(),
        Change::NoDifference { within } => format!("within {}", share(within)),
        Change::Inconclusive { .. } => "inconclusive".to_owned(),
    }
}
