//! Figures as people read them: rounded, grouped, with their unit.

pub use busload_frontend::cli::grouped;

/// So many of something whose plural has an s: `1 row`, `1,200 rows`.
#[must_use]
pub fn counted(count: u64, what: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{} {what}{s}", grouped(count))
}

/// A rate, rounded to a whole number.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rates are finite, not negative and far below 2^63"
)]
pub fn rate(per_second: f64) -> String {
    grouped(per_second.round() as u64)
}

/// How many share something: with a digit after the point while that says something.
#[must_use]
pub fn shared(each: f64) -> String {
    if each < 100.0 {
        format!("{each:.1}")
    } else {
        rate(each)
    }
}

/// A rate that is known to within half the width of an interval: rounded to the first digit of
/// that, since what follows is noise. 1,463,215 between 1,380,000 and 1,540,000 is 1,460,000.
#[must_use]
pub fn rate_within(per_second: f64, low: f64, high: f64) -> String {
    rate(rounded_within(per_second, low, high))
}

/// The same as a number.
#[must_use]
pub fn rounded_within(value: f64, low: f64, high: f64) -> f64 {
    let half_width = (high - low) / 2.0;
    let magnitude = |value: f64| 10_f64.powf(value.abs().max(1.0).log10().floor());
    // Three digits of the value itself are left, however little is known of it: a rate and the time
    // that it makes then still belong together.
    let unit = magnitude(half_width).min((magnitude(value) / 100.0).max(1.0));
    (value / unit).round() * unit
}

/// Milliseconds with three significant digits or so.
#[must_use]
pub fn ms(milliseconds: f64) -> String {
    match milliseconds {
        x if x >= 100.0 => rate(x),
        x if x >= 10.0 => format!("{x:.1}"),
        x => format!("{x:.2}"),
    }
}

/// Three significant digits: 163,000, 1,960, 10.4, 0.51.
#[must_use]
pub fn significant(value: f64) -> String {
    if value < 0.0 {
        return format!("-{}", significant(-value));
    }
    if value < 1_000.0 {
        return ms(value);
    }
    let unit = 10_f64.powf(value.log10().floor() - 2.0);
    rate((value / unit).round() * unit)
}

/// What stands for a figure that is not known, such as a percentile of too few samples.
pub const UNKNOWN: &str = "–";

/// A figure as `show` writes it, or [`UNKNOWN`].
#[must_use]
pub fn known<T>(figure: Option<T>, show: impl Fn(T) -> String) -> String {
    figure.map_or_else(|| UNKNOWN.to_owned(), show)
}

/// Milliseconds with their unit, or [`UNKNOWN`].
#[must_use]
pub fn in_ms(figure: Option<f64>) -> String {
    known(figure, |value| format!("{} ms", ms(value)))
}

/// Microseconds with their unit, which is milliseconds where there are many; or [`UNKNOWN`].
#[must_use]
pub fn in_us(figure: Option<f64>) -> String {
    known(figure, |value| match value {
        us if us >= 1e4 => in_ms(Some(us / 1e3)),
        us => format!("{} µs", significant(us)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_one_there_is_no_plural() {
        let said = [0, 1, 1_200].map(|count| counted(count, "row"));
        assert_eq!(said, ["0 rows", "1 row", "1,200 rows"]);
    }

    #[test]
    fn a_time_has_three_digits_and_the_unit_that_fits() {
        for (us, text) in [
            (0.6, "0.60 µs"),
            (43.876, "43.9 µs"),
            (5_369.9, "5,370 µs"),
            (43_876.4, "43.9 ms"),
            (939_240.0, "939 ms"),
        ] {
            assert_eq!(in_us(Some(us)), text);
        }
        let shown = [163_315.7, 119.7, 66.84, -1_777.3].map(significant);
        assert_eq!(shown, ["163,000", "120", "66.8", "-1,780"]);
    }

    #[test]
    fn a_rate_has_no_more_digits_than_are_known() {
        assert_eq!(
            rate_within(1_463_215.0, 1_380_000.0, 1_540_000.0),
            "1,460,000"
        );
        assert_eq!(
            rate_within(1_463_215.0, 1_463_214.9, 1_463_215.2),
            "1,463,215"
        );
        assert_eq!(rate_within(6_712.0, 10.0, 30_000.0), "6,710");
        assert_eq!(rate_within(12.0, 12.0, 12.0), "12");
        assert_eq!(rate_within(0.0, 0.0, 0.0), "0");
    }
}
