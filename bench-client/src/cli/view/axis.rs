//! Axes: round numbers with their unit, and where they stand.

/// Steps between round numbers, as parts of a power of ten.
const ROUND: [f64; 3] = [1.0, 2.0, 5.0];
/// The same of minutes.
const MINUTES: [f64; 7] = [1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0];
/// A longer axis counts in minutes.
const SECONDS_MAX: f64 = 300.0;
/// Columns of a label of time, with some room.
const LABEL: f64 = 9.0;

/// The lowest round number from here on.
pub(super) fn round_up(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf(value.log10().floor());
    let mut steps = [1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0].into_iter();
    // What is round already may have been divided into something more.
    let step = steps.find(|step| value / power <= step + 1e-9);
    step.unwrap_or(10.0) * power
}

/// A number without digits that say nothing.
fn trimmed(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Transfers per second as flags take them: `50k`, `1.5M`.
pub(super) fn rate(value: f64) -> String {
    match value {
        value if value >= 1e6 => trimmed(value / 1e6) + "M",
        value if value >= 1e3 => trimmed(value / 1e3) + "k",
        value => trimmed(value),
    }
}

pub(super) fn ms(value: f64) -> String {
    trimmed(value) + " ms"
}

/// Where the axis of time ends, in seconds: at its planned end, or at a round time to come.
pub(super) fn end(planned: Option<f64>, elapsed: f64) -> f64 {
    let planned = planned.filter(|end| *end > 0.0);
    planned.unwrap_or_else(|| round_up(elapsed.max(10.0)))
}

/// What stands below the axis: each time in seconds with its label.
pub(super) fn times(end: f64, columns: u16) -> Vec<(f64, String)> {
    let labels = (f64::from(columns) / LABEL).floor().max(1.0);
    let least = end / labels;
    let (step, unit, length) = if end > SECONDS_MAX {
        let step = MINUTES.into_iter().find(|step| step * 60.0 >= least);
        let step = step.unwrap_or_else(|| round_up(least / 3_600.0) * 60.0);
        (step, "min", 60.0)
    } else {
        let power = 10_f64.powf(least.log10().floor());
        let step = ROUND.into_iter().find(|step| step * power >= least);
        (step.unwrap_or(10.0) * power, "s", 1.0)
    };
    let mut times = Vec::new();
    let mut number = 0.0;
    while number * step * length <= end * (1.0 + 1e-9) {
        let value: f64 = number * step;
        times.push((value * length, format!("{} {unit}", trimmed(value))));
        number += 1.0;
    }
    times
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_round_and_have_a_unit() {
        let ends = [0.0, 0.7, 1.0, 2.3, 31_000.0, 999_999.0].map(round_up);
        assert_eq!(ends.map(rate), ["1", "0.8", "1", "3", "40k", "1M"]);
        assert_eq!([0.25, 8.0].map(ms), ["0.25 ms", "8 ms"]);
    }

    #[test]
    fn times_have_room_beside_each_other() {
        let labels = |end, columns| {
            let times = times(end, columns).into_iter();
            times.map(|(_, label)| label).collect::<Vec<_>>()
        };
        assert_eq!(
            labels(10.0, 50),
            ["0 s", "2 s", "4 s", "6 s", "8 s", "10 s"]
        );
        assert_eq!(labels(0.5, 20), ["0 s", "0.5 s"]);
        assert_eq!(labels(900.0, 40), ["0 min", "5 min", "10 min", "15 min"]);
    }

    #[test]
    fn an_axis_without_a_planned_end_grows() {
        assert!((end(Some(7.0), 3.0) - 7.0).abs() < 1e-9);
        assert!((end(None, 3.0) - 10.0).abs() < 1e-9);
        assert!((end(None, 61.0) - 80.0).abs() < 1e-9);
        assert!((end(Some(0.0), 0.0) - 10.0).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn labels_never_overlap(end in 0.001..1e6_f64, columns in 1_u16..400) {
            let times = times(end, columns);
            prop_assert!(!times.is_empty() && times.len() <= usize::from(columns / 9 + 2));
            prop_assert!(times.iter().all(|(at, _)| *at <= end * 1.001));
            let label = |(_, label): &(f64, String)| label.chars().count();
            prop_assert!(times.iter().all(|one| label(one) <= 9), "{times:?}");
        }
    }
}
