//! How people write numbers and times: `5k`, `1.5M`, `10`, `500ms`, `2m`.

use std::ops::RangeInclusive;
use std::time::Duration;

/// A number with separators between thousands, as people read it.
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

/// The number without its suffix, and how many zeros the suffix stands for.
fn without_suffix(text: &str) -> (&str, usize) {
    if let Some(number) = text.strip_suffix(['k', 'K']) {
        (number, 3)
    } else if let Some(number) = text.strip_suffix('M') {
        (number, 6)
    } else {
        (text, 0)
    }
}

/// A number from 0, also with `k` for thousand or `M` for million: `250`, `5k`, `1.5M`. `None` for
/// any other text.
#[must_use]
pub fn parse_number(text: &str) -> Option<f64> {
    let (number, zeros) = without_suffix(text);
    // One rounding, of the number that was meant: 0.3 times 1000 has two.
    let number = if zeros == 0 {
        number.parse::<f64>()
    } else {
        format!("{number}e{zeros}").parse()
    };
    number.ok().filter(|it| it.is_finite() && *it >= 0.0)
}

/// The same of a number that must be whole, exactly.
fn parse_whole(text: &str) -> Option<u64> {
    let (number, zeros) = without_suffix(text);
    let (whole, fraction) = match number.split_once('.') {
        Some((_, "")) => return None,
        Some((whole, fraction)) => (whole, fraction.trim_end_matches('0')),
        None => (number, ""),
    };
    let missing = zeros.checked_sub(fraction.len())?;
    let is_number = |digits: &str| digits.bytes().all(|digit| digit.is_ascii_digit());
    if whole.is_empty() || !is_number(whole) || !is_number(fraction) {
        return None;
    }
    format!("{whole}{fraction}{}", "0".repeat(missing))
        .parse()
        .ok()
}

/// Reads a count within bounds, which may be written as `5k` or `1M`.
pub fn count<T: TryFrom<u64>>(
    bounds: RangeInclusive<u64>,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static {
    move |text| {
        let number = parse_whole(text).filter(|number| bounds.contains(number));
        let number = number.and_then(|number| T::try_from(number).ok());
        number.ok_or_else(|| {
            let (lowest, highest) = (bounds.start(), bounds.end());
            let lowest = grouped(*lowest);
            if *highest >= i64::MAX as u64 {
                format!("write a whole number of at least {lowest}, such as 100, 5k or 1M")
            } else {
                let highest = grouped(*highest);
                format!("write a whole number from {lowest} to {highest}, such as 100, 5k or 1M")
            }
        })
    }
}

/// A duration with a unit: `2ms`, `0.5ms`, `683us`, `15s`, `2m`.
///
/// # Errors
/// It is not, or it is negative.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let friendly = text.replace('µ', "u");
    let duration: jiff::SignedDuration = friendly
        .parse()
        .map_err(|_| "write a number with a unit, such as 500us, 2ms or 15s".to_owned())?;
    Duration::try_from(duration)
        .map_err(|_| "write a duration that is not negative, such as 2ms or 15s".to_owned())
}

/// A time in seconds, or with a unit: `10`, `0.5`, `500ms`, `2m`.
///
/// # Errors
/// It is neither, or it is negative.
pub fn parse_time(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        Err(_) => parse_duration(text).ok(),
    }
    .ok_or_else(|| "write seconds, or a number with a unit, such as 10, 500ms or 2m".to_owned())
}

/// A duration with a unit, within bounds, which `wanted` says in words.
///
/// # Errors
/// It is no duration, or out of bounds: then `wanted` is the error.
pub fn parse_duration_within(
    text: &str,
    bounds: RangeInclusive<Duration>,
    wanted: &str,
) -> Result<Duration, String> {
    within(parse_duration(text)?, &bounds, wanted)
}

/// A time in seconds or with a unit, within bounds, which `wanted` says in words.
///
/// # Errors
/// It is no time, or out of bounds: then `wanted` is the error.
pub fn parse_time_within(
    text: &str,
    bounds: RangeInclusive<Duration>,
    wanted: &str,
) -> Result<Duration, String> {
    within(parse_time(text)?, &bounds, wanted)
}

fn within(
    time: Duration,
    bounds: &RangeInclusive<Duration>,
    wanted: &str,
) -> Result<Duration, String> {
    if bounds.contains(&time) {
        Ok(time)
    } else {
        Err(wanted.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn counts_take_thousands_and_millions() {
        let any = count::<u64>(0..=u64::MAX);
        for (text, number) in [
            ("0", 0),
            ("007", 7),
            ("5k", 5_000),
            ("5K", 5_000),
            ("1M", 1_000_000),
            ("1.5M", 1_500_000),
            ("0.001k", 1),
            ("2.50k", 2_500),
            ("3.0", 3),
        ] {
            assert_eq!(any(text), Ok(number), "{text}");
        }
        for wrong in [
            "",
            "k",
            "M",
            ".5k",
            "5.k",
            "-1",
            "+1",
            "1.5",
            "1.0001k",
            "5kk",
            "5 k",
            "5m",
            "5G",
            "1e3",
            "0x10",
            "1,000",
            "5kB",
            "99999999999999999999",
            "99999999999999999M",
            "½",
            "٣",
        ] {
            assert!(any(wrong).is_err(), "{wrong}");
        }
        let few = count::<u8>(1..=9);
        for wrong in ["0", "10", "1k", "256"] {
            let said = few(wrong).unwrap_err();
            assert!(said.contains("from 1 to 9"), "{said}");
        }
    }

    #[test]
    fn numbers_are_rounded_once() {
        for (text, number) in [
            ("0.3k", 300.0),
            ("0.1", 0.1),
            ("1.1M", 1_100_000.0),
            ("1e6", 1e6),
            ("0", 0.0),
        ] {
            assert_eq!(parse_number(text), Some(number), "{text}");
        }
        for wrong in [
            "", "k", "-1", "-1k", "nan", "inf", "infk", "1e400", "1e3k", "5kM", "5m", "5 k",
        ] {
            assert_eq!(parse_number(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_duration_needs_a_unit_and_a_time_does_not() {
        for (text, micros) in [
            ("2ms", 2_000),
            ("0.5ms", 500),
            ("683us", 683),
            ("683µs", 683),
            ("3.86ms", 3_860),
            ("0ms", 0),
            ("10s", 10_000_000),
            ("2m", 120_000_000),
            ("0.5m", 30_000_000),
            ("1h30m", 5_400_000_000),
        ] {
            let time = Duration::from_micros(micros);
            assert_eq!(parse_duration(text), Ok(time), "{text}");
            assert_eq!(parse_time(text), Ok(time), "{text}");
        }
        assert_eq!(parse_time("10"), Ok(Duration::from_secs(10)));
        assert_eq!(parse_time("0.25"), Ok(Duration::from_millis(250)));
        for wrong in ["2", "0", "0.5"] {
            assert!(
                parse_duration(wrong).unwrap_err().contains("unit"),
                "{wrong}"
            );
        }
        for wrong in ["", "-2ms", "-1", "ms", "2 parsecs", "nan", "inf", "1e30"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
            assert!(parse_time(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn a_count_is_what_it_says(number in 0_u64..=9_000_000_000) {
            let any = count::<u64>(0..=u64::MAX);
            prop_assert_eq!(any(&number.to_string()), Ok(number));
            prop_assert_eq!(any(&format!("{number}k")), Ok(number * 1_000));
            prop_assert_eq!(any(&format!("{number}M")), Ok(number * 1_000_000));
            // The same number with a point in it.
            let pointed = format!("{}.{:06}M", number / 1_000_000, number % 1_000_000);
            prop_assert_eq!(any(&pointed), Ok(number));
        }

        #[test]
        fn a_whole_number_is_the_same_as_a_count(
            whole in 0_u32..=1_000_000,
            fraction in "(\\.[0-9]{1,7})?",
            suffix in "[kM]?",
        ) {
            let text = format!("{whole}{fraction}{suffix}");
            let number = parse_number(&text).expect("a number");
            if let Ok(exact) = count::<u64>(0..=u64::MAX)(&text) {
                #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
                let exact = exact as f64;
                prop_assert!((number - exact).abs() < 1e-9, "{text}: {number} and {exact}");
            } else {
                prop_assert!(number.fract() > 0.0, "{text} is whole: {number}");
            }
        }

        #[test]
        fn seconds_may_go_without_their_unit(millis in 0_u64..=100_000_000) {
            let (seconds, rest) = (millis / 1_000, millis % 1_000);
            let text = format!("{seconds}.{rest:03}");
            let time = Duration::from_millis(millis);
            prop_assert_eq!(parse_duration(&format!("{millis}ms")), Ok(time));
            prop_assert_eq!(parse_duration(&format!("{text}s")), Ok(time));
            let bare = parse_time(&text).expect("a time");
            prop_assert!(bare.abs_diff(time) < Duration::from_nanos(10));
        }

        #[test]
        fn no_text_makes_a_panic(text in ".{0,12}") {
            let _ = (parse_number(&text), parse_time(&text), parse_duration(&text));
            let _ = count::<u32>(1..=10)(&text);
        }
    }
}
