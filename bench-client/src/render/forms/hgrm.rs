//! The percentile distribution of one row, as `HdrHistogram`'s plotter reads it (`.hgrm`).

use std::fmt::Write as _;

use crate::record::load_record::Shown;
use crate::render::forms::{Form, FormError};
use hdrhistogram::Histogram;

/// For the plotter of `HdrHistogram`.
pub const FORM: Form = Form {
    options: &["row"],
    ..Form::plain(
        "hgrm",
        "Percentile distribution of one row, for the HdrHistogram plotter",
        |report, options| {
            let rows = report.rows();
            let shown = choose(&rows, options.row)?;
            Ok(to_hgrm(
                &report.histogram(shown, &shown.row.latency_histogram)?,
            ))
        },
    )
};

/// The row that was asked for, or the only one.
fn choose<'a, 'b>(
    rows: &'a [Shown<'b>],
    wanted: Option<usize>,
) -> Result<&'a Shown<'b>, FormError> {
    let choice = || {
        let names = rows.iter();
        let names = names.map(|shown| format!("{} = {}", shown.number, shown.label));
        names.collect::<Vec<_>>().join("; ")
    };
    match (rows, wanted) {
        ([], _) => Err("the record has no rows".into()),
        ([only], None) => Ok(only),
        (_, None) => Err(format!(
            "an hgrm file holds one row: choose it with --row ({})",
            choice()
        )
        .into()),
        (rows, Some(number)) => number
            .checked_sub(1)
            .and_then(|place| rows.get(place))
            .ok_or_else(|| format!("there is no row {number}: choose from {}", choice()).into()),
    }
}

/// Nanoseconds in a millisecond.
const NS_PER_MS: f64 = 1e6;

/// Steps in each half of the distance to 100 %: that of all `HdrHistogram` tools.
const TICKS_PER_HALF_DISTANCE: u32 = 5;

/// The distribution in milliseconds, of latencies in nanoseconds.
///
/// Every row has four columns, since the plotter drops those with fewer: the last one ends in
/// `inf`, as C prints it.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "nanoseconds far below 2^53")]
pub fn to_hgrm(latency_ns: &Histogram<u64>) -> String {
    let mut out = format!(
        "{:>12} {:>14} {:>10} {:>14}\n\n",
        "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
    );
    let mut total = 0;
    for step in latency_ns.iter_quantiles(TICKS_PER_HALF_DISTANCE) {
        total += step.count_since_last_iteration();
        let quantile = step.quantile_iterated_to();
        let value = step.value_iterated_to().min(latency_ns.max()) as f64 / NS_PER_MS;
        let inverse = if quantile < 1.0 {
            format!("{:.2}", 1.0 / (1.0 - quantile))
        } else {
            "inf".to_owned()
        };
        let _ = writeln!(
            out,
            "{value:>12.3} {quantile:.12} {total:>10} {inverse:>14}"
        );
    }
    let _ = write!(
        out,
        "#[Mean    = {:>12.3}, StdDeviation   = {:>12.3}]\n\
         #[Max     = {:>12.3}, Total count    = {:>12}]\n\
         #[Buckets = {:>12}, SubBuckets     = {:>12}]\n",
        latency_ns.mean() / NS_PER_MS,
        latency_ns.stdev() / NS_PER_MS,
        latency_ns.max() as f64 / NS_PER_MS,
        latency_ns.len(),
        buckets(latency_ns),
        sub_buckets(latency_ns),
    );
    out
}

/// The linear steps in each bucket: the next power of two that resolves so many digits.
fn sub_buckets(histogram: &Histogram<u64>) -> u64 {
    let digits = u32::from(histogram.sigfig());
    (2 * 10_u64.pow(digits)).next_power_of_two()
}

/// How often the range doubles until it holds the largest value.
fn buckets(histogram: &Histogram<u64>) -> u32 {
    let mut reach = sub_buckets(histogram);
    let mut count = 1;
    while reach <= histogram.high() && reach <= u64::MAX / 2 {
        reach *= 2;
        count += 1;
    }
    count
}
