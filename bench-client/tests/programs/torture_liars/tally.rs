//! What a liar left behind in its files, for the audit's findings to be held against.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use serde_json::Value;

/// What a transfer moves. Amounts are as good as never equal, so it is also the transfer's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Moved {
    pub(crate) from: i64,
    pub(crate) to: i64,
    pub(crate) amount: i64,
}

impl Moved {
    /// Of the arguments of a request, or of a transfer in a record.
    pub(crate) fn of(value: &Value, [from, to, amount]: [&str; 3]) -> Self {
        let number = |name: &str| value[name].as_i64().expect("a number");
        Self {
            from: number(from),
            to: number(to),
            amount: number(amount),
        }
    }
}

impl fmt::Display for Moved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.from, self.to, self.amount)
    }
}

/// The numbers of a line.
pub(crate) fn numbers(text: &str) -> Vec<i64> {
    let words = text.split(' ');
    words.map(|word| word.parse().expect("a number")).collect()
}

/// The transfers in a ledger.
pub(crate) fn ledger(path: &Path) -> BTreeSet<Moved> {
    let text = std::fs::read_to_string(path).expect("the ledger was kept");
    let lines = text.lines().map(numbers);
    lines
        .filter_map(|line| match line[..] {
            [from, to, amount, _] => Some(Moved { from, to, amount }),
            _ => None,
        })
        .collect()
}

/// What a liar admits, read from its file.
pub(crate) struct Tally(String);

impl Tally {
    pub(crate) fn read(path: &Path) -> Self {
        Self(std::fs::read_to_string(path).expect("the liar was started"))
    }

    fn lines<'a>(&'a self, word: &'a str) -> impl Iterator<Item = &'a str> {
        let lines = self.0.lines().filter_map(|line| line.split_once(' '));
        lines
            .filter(move |(first, _)| *first == word)
            .map(|(_, rest)| rest)
    }

    /// How many lines begin with this word.
    pub(crate) fn count(&self, word: &str) -> u64 {
        self.lines(word).count() as u64
    }

    /// The transfers of lines that begin with this word: `told` for every lie about one.
    pub(crate) fn transfers(&self, word: &str) -> BTreeSet<Moved> {
        let lines = self.lines(word).map(numbers);
        lines
            .map(|line| match line[..] {
                [from, to, amount] => Moved { from, to, amount },
                _ => panic!("{line:?}"),
            })
            .collect()
    }
}
