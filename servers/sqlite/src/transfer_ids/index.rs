//! Which ids are remembered, and in which row.

use std::collections::HashMap;
use std::hash::RandomState;

use busload_wire::TransferId;

/// Tables that the index is split into. A table that grows moves all of its entries at once,
/// for which every batch behind it waits: of one large table that takes a second, of many small
/// ones a few milliseconds each.
const SHARDS: usize = 256;

/// 2^64 divided by the golden ratio: spreads consecutive numbers over the upper bits (Knuth,
/// The Art of Computer Programming 3, 6.4).
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// Where the row of each remembered id is. The keys of the hash are random, so that nobody can
/// choose ids that collide.
pub(super) struct Index {
    shards: Vec<HashMap<TransferId, i64>>,
    len: usize,
}

impl Index {
    pub(super) fn new() -> Self {
        let keys = RandomState::new();
        let shards = (0..SHARDS).map(|_| HashMap::with_hasher(keys.clone()));
        Self {
            shards: shards.collect(),
            len: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn get(&self, id: TransferId) -> Option<i64> {
        self.shards[shard_of(id)].get(&id).copied()
    }

    /// Of an id that comes twice the later row counts.
    pub(super) fn insert(&mut self, id: TransferId, row: i64) {
        let earlier = self.shards[shard_of(id)].insert(id, row);
        self.len += usize::from(earlier.is_none());
    }

    pub(super) fn remove(&mut self, id: TransferId) {
        let removed = self.shards[shard_of(id)].remove(&id);
        self.len -= usize::from(removed.is_some());
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the lower half is what is wanted"
)]
fn shard_of(id: TransferId) -> usize {
    let number = id.to_u128();
    let folded = (number ^ (number >> 64)) as u64;
    (folded.wrapping_mul(GOLDEN) >> (u64::BITS - SHARDS.ilog2())) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of memory that so many ids take at most: a hash table of the standard library
    /// holds an entry and a byte of control per place, has a power of two of places, and fills
    /// at most seven eighths of them before it doubles.
    fn bytes_of(ids: usize) -> usize {
        let per_shard = ids.div_ceil(SHARDS);
        let places = (per_shard * 8).div_ceil(7).next_power_of_two();
        SHARDS * places * (size_of::<(TransferId, i64)>() + 1)
    }

    /// What the help of `--max-ids` and docs/serving.md say.
    #[test]
    fn the_default_bound_takes_800_mib() {
        assert_eq!(size_of::<(TransferId, i64)>(), 24);
        assert_eq!(bytes_of(1 << 24), 800 << 20);
        // Just after a table has doubled there are the most places per id.
        let most = (1..=64)
            .map(|n| n << 18)
            .map(|ids| bytes_of(ids) / ids)
            .max();
        assert!(most <= Some(58), "{most:?}");
    }

    #[test]
    fn counted_and_random_ids_fill_all_shards_alike() {
        let counted = |n: u128| (0xfeed_u128 << 64) | n;
        let random =
            |n: u128| n.wrapping_mul(0xA3EC_647659359ACD_u128 << 57 | 0x2545_F491_4F6C_DD1D);
        for ids in [counted as fn(u128) -> u128, random] {
            let mut index = Index::new();
            let count = 100 * SHARDS;
            for n in 0..count as u128 {
                index.insert(TransferId::from_u128(ids(n)), 1);
            }
            assert_eq!(index.len(), count);
            let fullest = index.shards.iter().map(HashMap::len).max();
            assert!(fullest < Some(200), "{fullest:?}");
        }
    }

    #[test]
    fn entries_are_counted_once() {
        let id = TransferId::from_u128(7);
        let mut index = Index::new();
        assert_eq!(index.get(id), None);
        index.insert(id, 1);
        index.insert(id, 2);
        assert_eq!((index.get(id), index.len()), (Some(2), 1));
        index.remove(id);
        index.remove(id);
        assert_eq!((index.get(id), index.len()), (None, 0));
    }
}
