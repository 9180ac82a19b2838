//! Which runs of a comparison are of which side.

use super::comparison::ComparisonRecord;
use super::{Repetition, Row};
use crate::config::About;

/// One of the two sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Which {
    /// A, what is compared with.
    Base,
    /// B, what is judged.
    Candidate,
}

impl Which {
    /// What its runs are called.
    #[must_use]
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Base => "A (base)",
            Self::Candidate => "B (candidate)",
        }
    }
}

/// Which side the run at this place among the rows is of; `None` for one that was not paired,
/// such as the first run of a round that was interrupted.
#[must_use]
pub fn side_of(record: &ComparisonRecord, place: usize) -> Option<Which> {
    if record.rounds.is_empty() && record.base.baseline.is_some() {
        // A baseline that was not paired: its runs are the first.
        let of_base = usize::try_from(record.metrics.first()?.base.count).ok()?;
        return Some(if place < of_base {
            Which::Base
        } else {
            Which::Candidate
        });
    }
    record.rounds.iter().find_map(|round| {
        if round.base_row == place {
            Some(Which::Base)
        } else if round.candidate_row == place {
            Some(Which::Candidate)
        } else {
            None
        }
    })
}

/// The runs of a side, in the order in which they were measured.
pub fn runs_of(record: &ComparisonRecord, side: Which) -> impl Iterator<Item = &Row> {
    let rows = record.rows.iter().enumerate();
    rows.filter(move |(place, _)| side_of(record, *place) == Some(side))
        .map(|(_, row)| row)
}

/// All runs, each named after its side and numbered.
#[must_use]
pub fn rows_by_side(record: &ComparisonRecord) -> Vec<Row> {
    let sides: Vec<Option<Which>> = (0..record.rows.len())
        .map(|place| side_of(record, place))
        .collect();
    let count = |side: Option<Which>, upto: usize| {
        let same = sides[..upto].iter().filter(|one| **one == side);
        u32::try_from(same.count()).unwrap_or(u32::MAX)
    };
    let rows = record.rows.iter().enumerate();
    rows.map(|(place, row)| {
        let side = sides[place];
        let name = side.map_or("not paired", Which::in_words);
        let mut config = row.config.clone();
        // Whose it is, where it is not this project's.
        let whose = config.target.about().map(About::label);
        config.name =
            Some(whose.map_or_else(|| name.to_owned(), |whose| format!("{name} {whose}")));
        Row {
            config,
            repetition: Some(Repetition {
                number: count(side, place + 1),
                of: count(side, sides.len()),
            }),
            ..row.clone()
        }
    })
    .collect()
}
