//! Values over time, as many as a chart needs and no more.

/// Most values that are kept: more than a terminal has columns.
pub(super) const KEPT: usize = 1_000;

/// A value of a span of time, in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sample {
    pub(super) from: f64,
    pub(super) until: f64,
    pub(super) value: f64,
}

impl Sample {
    /// How long of it lies between these.
    fn within(&self, from: f64, until: f64) -> f64 {
        (self.until.min(until) - self.from.max(from)).max(0.0)
    }
}

/// What several values come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Together {
    /// Each by its share of the time.
    #[default]
    Mean,
    Max,
}

/// Values in the order of time. Where there would be too many, neighbours are taken together.
#[derive(Debug, Clone, Default)]
pub(super) struct Series {
    values: Vec<Sample>,
    together: Together,
}

impl Series {
    pub(super) fn new(together: Together) -> Self {
        Self {
            values: Vec::new(),
            together,
        }
    }

    pub(super) fn push(&mut self, value: Sample) {
        if self.values.len() == KEPT {
            let pairs = self.values.chunks(2).map(|pair| {
                let (from, until) = (pair[0].from, pair[pair.len() - 1].until);
                let value = self.together.of(pair, from, until);
                Sample {
                    from,
                    until,
                    value: value.unwrap_or(pair[0].value),
                }
            });
            self.values = pairs.collect();
        }
        self.values.push(value);
    }

    pub(super) fn values(&self) -> &[Sample] {
        &self.values
    }

    pub(super) fn max(&self) -> f64 {
        self.values.iter().map(|one| one.value).fold(0.0, f64::max)
    }

    /// The values of so many equal spans of the time until `end`; `None` where nothing is known.
    pub(super) fn columns(&self, end: f64, columns: u16) -> Vec<Option<f64>> {
        let each = end / f64::from(columns.max(1));
        let spans = (0..columns).map(|column| {
            let from = f64::from(column) * each;
            (from, from + each)
        });
        // Both go on in time.
        let mut begin = 0;
        let value_of = |(from, until): (f64, f64)| {
            let left = self.values[begin..].iter();
            begin += left.take_while(|one| one.until <= from).count();
            let left = self.values[begin..].iter();
            let inside = left.take_while(|one| one.from < until).count();
            self.together
                .of(&self.values[begin..begin + inside], from, until)
        };
        spans.map(value_of).collect()
    }
}

impl Together {
    /// What the values between these come to.
    fn of(self, values: &[Sample], from: f64, until: f64) -> Option<f64> {
        let share = |one: &Sample| one.within(from, until);
        let time: f64 = values.iter().map(share).sum();
        let sum: f64 = values.iter().map(|one| one.value * share(one)).sum();
        let max = values.iter().map(|one| one.value).reduce(f64::max);
        match self {
            Self::Mean => (time > 0.0).then(|| sum / time),
            Self::Max => max.filter(|_| time > 0.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn series(values: &[f64]) -> Series {
        let mut series = Series::default();
        let mut from = 0.0;
        for value in values {
            let until = from + 1.0;
            series.push(Sample {
                from,
                until,
                value: *value,
            });
            from = until;
        }
        series
    }

    #[test]
    fn a_column_has_the_mean_of_its_time() {
        let series = series(&[1.0, 3.0]);
        let known = |values: &[f64]| values.iter().copied().map(Some).collect::<Vec<_>>();
        assert_eq!(series.columns(2.0, 4), known(&[1.0, 1.0, 3.0, 3.0]));
        assert_eq!(series.columns(2.0, 1), known(&[2.0]));
        assert_eq!(series.columns(4.0, 2), [Some(2.0), None], "not there yet");
        assert_eq!(series.columns(2.0, 0), []);
        let mut worst = Series::new(Together::Max);
        series.values().iter().for_each(|one| worst.push(*one));
        assert_eq!(worst.columns(4.0, 2), [Some(3.0), None]);
    }

    proptest! {
        #[test]
        fn many_values_become_few_with_the_same_mean(count in 1..5_000_u32) {
            let values: Vec<f64> = (0..count).map(f64::from).collect();
            let series = series(&values);
            prop_assert!(series.values().len() <= KEPT);
            let end = f64::from(count);
            let all = series.columns(end, 1)[0].expect("it is known");
            prop_assert!((all - (end - 1.0) / 2.0).abs() < 1e-6 * end, "{all}");
        }
    }
}
