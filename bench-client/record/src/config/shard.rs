//! Which part of a load one machine of several puts on.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Most machines that put on one load.
const SHARDS_MAX: u32 = 1024;
/// In place of a number: that of the pod in a Kubernetes Indexed Job.
const INDEX: &str = "index";
/// Where Kubernetes says it.
const INDEX_VARIABLE: &str = "JOB_COMPLETION_INDEX";

/// One part of a load: its workers are dealt out, its accounts are everybody's.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub struct Shard {
    /// Which one, from 0.
    pub index: u32,
    /// Of how many.
    pub of: u32,
}

impl Shard {
    /// The whole load.
    pub const WHOLE: Self = Self { index: 0, of: 1 };

    /// Those of so many workers that are its own, by the numbers that they have in the whole
    /// load, and with the random streams that they have there.
    pub fn workers(self, all: u32) -> impl Iterator<Item = u32> {
        (self.index..all).step_by(self.of.max(1) as usize)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "shard {} of {}", self.index, self.of)
    }
}

/// Why a text names no shard.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShardError {
    /// It is not of that form.
    #[error("'{0}' is not I/N, such as 0/2 or 1/2, with I from 0 to N-1 and N from 1 to 1024")]
    Form(String),
    /// Nobody says which pod this is.
    #[error(
        "index/N takes the number from {INDEX_VARIABLE}, which the pods of a Kubernetes Indexed Job \
         have and this process has not: write the number"
    )]
    NoIndex,
}

impl FromStr for Shard {
    type Err = ShardError;

    fn from_str(text: &str) -> Result<Self, ShardError> {
        let form = || ShardError::Form(text.to_owned());
        let (index, of) = text.split_once('/').ok_or_else(form)?;
        let said;
        let index = if index == INDEX {
            said = std::env::var(INDEX_VARIABLE).map_err(|_| ShardError::NoIndex)?;
            said.as_str()
        } else {
            index
        };
        let number = |text: &str| text.parse::<u32>().map_err(|_| form());
        let shard = Self {
            index: number(index)?,
            of: number(of)?,
        };
        let is_one = (1..=SHARDS_MAX).contains(&shard.of) && shard.index < shard.of;
        is_one.then_some(shard).ok_or_else(form)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_is_one_of_so_many() {
        assert_eq!("1/3".parse(), Ok(Shard { index: 1, of: 3 }));
        for wrong in [
            "", "1", "3/3", "-1/2", "0/0", "a/2", "0/1025", "0/2/3", " 0/2",
        ] {
            assert_eq!(
                wrong.parse::<Shard>(),
                Err(ShardError::Form(wrong.to_owned()))
            );
        }
        assert_eq!("index/2".parse::<Shard>(), Err(ShardError::NoIndex));
    }

    #[test]
    fn every_worker_is_one_shards() {
        for of in [1, 2, 3, 7, 20] {
            let mut all: Vec<u32> = (0..of)
                .flat_map(|index| Shard { index, of }.workers(16))
                .collect();
            all.sort_unstable();
            assert_eq!(all, (0..16).collect::<Vec<u32>>());
        }
        assert_eq!(Shard::WHOLE.workers(3).collect::<Vec<u32>>(), [0, 1, 2]);
    }
}
