//! What a row's figures are good for, and in which words every form says it.

use super::{Row, VerdictCode};

/// What is not durable.
pub const NOT_DURABLE: [VerdictCode; 2] = [VerdictCode::NotDurable, VerdictCode::Tmpfs];
/// What speaks against its being durable.
pub const DOUBTFUL: [VerdictCode; 6] = [
    VerdictCode::DurabilityUnknown,
    VerdictCode::SyncDoesNothing,
    VerdictCode::SyncTooFast,
    VerdictCode::SyncMethodsApart,
    VerdictCode::FlushesMissing,
    VerdictCode::Preloaded,
];

/// What a row's TPS is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nothing: the row is invalid.
    Invalid,
    /// The null server answered: a ceiling of the generator, and nothing was stored.
    NullServer,
    /// The generator may have been the limit: the server can do at least that.
    AtLeast,
    /// What was measured is the server's.
    Plain,
}

impl Row {
    /// Whether one of its verdicts is among these.
    #[must_use]
    pub fn says(&self, codes: &[VerdictCode]) -> bool {
        let mut verdicts = self.verdicts.iter();
        verdicts.any(|verdict| codes.contains(&verdict.code))
    }

    /// What its TPS is good for.
    #[must_use]
    pub fn standing(&self) -> Standing {
        if !self.valid {
            Standing::Invalid
        } else if self.says(&[VerdictCode::NullServer]) {
            Standing::NullServer
        } else if self.says(&[VerdictCode::GeneratorBound]) {
            Standing::AtLeast
        } else {
            Standing::Plain
        }
    }

    /// What a valid row's figures never stand without: that its transfers are not durable, or not
    /// shown to be. `None` where they are, and where nothing is claimed of them.
    #[must_use]
    pub fn durability_doubt(&self) -> Option<&'static str> {
        if !self.valid || self.says(&[VerdictCode::NullServer]) {
            None
        } else if self.says(&NOT_DURABLE) {
            Some("not durable")
        } else if self.says(&DOUBTFUL) {
            Some("not shown to be durable")
        } else {
            None
        }
    }

    /// `valid` with what is to be heeded, `INVALID` and why.
    #[must_use]
    pub fn verdict(&self) -> String {
        verdict(&[self])
    }
}

/// The verdict on measurements of one configuration: what is to be heeded of any of them.
#[must_use]
pub fn verdict(rows: &[&Row]) -> String {
    let standings = || rows.iter().map(|row| row.standing());
    if standings().any(|one| one == Standing::Invalid) {
        let fake = rows.iter().any(|row| row.verify.fake);
        return if fake { "INVALID: fake" } else { "INVALID" }.to_owned();
    }
    let null_server = standings().any(|one| one == Standing::NullServer);
    let bound = standings().any(|one| one == Standing::AtLeast);
    let doubt = rows.iter().find_map(|row| row.durability_doubt());
    let interrupted = rows.iter().any(|row| row.interrupted);
    let first = if null_server {
        "null server: nothing stored"
    } else {
        "valid"
    };
    let parts = [
        Some(first),
        bound.then_some("generator-bound"),
        // Who stores nothing makes nothing durable.
        doubt.filter(|_| !null_server),
        interrupted.then_some("interrupted"),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}
