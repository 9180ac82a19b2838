//! Figures as people read them: rounded, grouped, with their unit.

/// A number with separators between thousands.
#[must_use]
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
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

/// Milliseconds with three significant digits or so.
#[must_use]
pub fn ms(milliseconds: f64) -> String {
    match milliseconds {
        x if x >= 100.0 => format!("{x:.0}"),
        x if x >= 10.0 => format!("{x:.1}"),
        x => format!("{x:.2}"),
    }
}

/// What stands for a figure that is not known, such as a percentile of too few samples.
pub const UNKNOWN: &str = "–";

/// A figure as `show` writes it, or [`UNKNOWN`].
#[must_use]
pub fn known(figure: Option<f64>, show: impl Fn(f64) -> String) -> String {
    figure.map_or_else(|| UNKNOWN.to_owned(), show)
}

/// Milliseconds with their unit, or [`UNKNOWN`].
#[must_use]
pub fn in_ms(figure: Option<f64>) -> String {
    known(figure, |value| format!("{} ms", ms(value)))
}

/// Microseconds with their unit, or [`UNKNOWN`].
#[must_use]
pub fn in_us(figure: Option<f64>) -> String {
    known(figure, |value| format!("{value:.0} µs"))
}
