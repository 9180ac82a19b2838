//! Which transfers were applied, told from nothing but how much money moved.
//!
//! Amounts are drawn at random from a range so large that sums of different transfers are as
//! good as never equal (2^32 values at the least, see [`super::transfer_generator`]). So the one amount that
//! moved between the two accounts of a pair tells which transfers moved it. What is looked for
//! goes from what an honest server can leave behind to ever stranger damage, and the first
//! explanation that fits is taken: a run of transfers missing at the end; one or a run missing in
//! the middle, applied twice, or there although it was refused; two damaged transfers, or one
//! applied three times. What none of these explains is said to be unexplained, never guessed.

use std::collections::HashMap;

use super::ledger::Standing;

/// Most transfers of unknown outcome whose subsets are all tried. 2^16 subsets of amounts from
/// 2^32 values: one in 65,536 damages could be taken for a subset.
const SUBSETS_MAX: usize = 16;
/// Most beginnings of the transfers of unknown outcome that damage is looked for on top of.
const BASES_MAX: usize = 64;

/// One transfer of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item {
    /// From the first account to the second; negative for the other way.
    pub moved: i64,
    /// What its answer allows to conclude.
    pub standing: Standing,
}

/// What was applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Explanation {
    /// How often each of the items was.
    Times(Vec<u8>),
    /// Nothing of them was, and of what was there before them the last so many are gone, too.
    Vanished(usize),
    /// No damage that is looked for explains the balances.
    Unexplained,
}

/// Explains why `delta` has moved. `items` are in the order in which they were sent on one
/// connection; `history` is what had been applied before, in order, latest last.
#[must_use]
pub fn reconstruct(items: &[Item], history: &[i64], delta: i128) -> Explanation {
    let search = Search::new(items, delta);
    let found = search
        .as_answered()
        .or_else(|| search.cut_off())
        .or_else(|| search.damaged_once())
        .or_else(|| search.cut_off_and_damaged())
        .or_else(|| search.damaged_twice());
    if let Some(times) = found {
        return Explanation::Times(times);
    }
    let mut gone = 0_i128;
    for (count, moved) in (1..).zip(history.iter().rev()) {
        gone += i128::from(*moved);
        if delta == -gone {
            return Explanation::Vanished(count);
        }
    }
    Explanation::Unexplained
}

struct Search<'a> {
    items: &'a [Item],
    delta: i128,
    /// Places of the items that were not refused.
    live: Vec<usize>,
    /// Sums of the first 0, 1, 2 … of `live`.
    sums: Vec<i128>,
    /// Places of the items whose outcome is not known.
    open: Vec<usize>,
    /// Places of the items that were refused.
    refused: Vec<usize>,
    /// The sum of what was acknowledged.
    acknowledged: i128,
}

/// A set of items that may have been applied, without damage.
struct Base {
    /// How many of the open ones it has, from the first on.
    open: usize,
    sum: i128,
}

impl<'a> Search<'a> {
    fn new(items: &'a [Item], delta: i128) -> Self {
        let places = |wanted: fn(Standing) -> bool| -> Vec<usize> {
            let all = items.iter().enumerate();
            all.filter(|(_, item)| wanted(item.standing))
                .map(|(place, _)| place)
                .collect()
        };
        let live = places(|standing| standing != Standing::Refused);
        let mut sums = vec![0];
        sums.extend(live.iter().scan(0, |sum, place| {
            *sum += i128::from(items[*place].moved);
            Some(*sum)
        }));
        let acknowledged = places(|standing| standing == Standing::Acknowledged);
        Self {
            acknowledged: acknowledged
                .iter()
                .map(|place| i128::from(items[*place].moved))
                .sum(),
            open: places(|standing| standing == Standing::Open),
            refused: places(|standing| standing == Standing::Refused),
            items,
            delta,
            live,
            sums,
        }
    }

    fn moved(&self, place: usize) -> i128 {
        i128::from(self.items[place].moved)
    }

    /// Everything acknowledged, and the first so many of the open ones: all numbers of them.
    fn bases(&self) -> impl Iterator<Item = Base> + '_ {
        let mut sum = self.acknowledged;
        (0..=self.open.len()).map(move |open| {
            if open > 0 {
                sum += self.moved(self.open[open - 1]);
            }
            Base { open, sum }
        })
    }

    fn times_of(&self, base: &Base) -> Vec<u8> {
        let mut times: Vec<u8> = self
            .items
            .iter()
            .map(|item| u8::from(item.standing == Standing::Acknowledged))
            .collect();
        for place in &self.open[..base.open] {
            times[*place] = 1;
        }
        times
    }

    /// Everything acknowledged and some of the open ones, an honest server's outcome if they
    /// are the first.
    fn as_answered(&self) -> Option<Vec<u8>> {
        if let Some(base) = self.bases().find(|base| base.sum == self.delta) {
            return Some(self.times_of(&base));
        }
        if self.open.len() > SUBSETS_MAX {
            return None;
        }
        let wanted = self.delta - self.acknowledged;
        let chosen = (0_u32..1 << self.open.len()).find(|subset| {
            let chosen = self.open.iter().enumerate();
            let sum: i128 = chosen
                .filter(|(bit, _)| subset >> bit & 1 == 1)
                .map(|(_, place)| self.moved(*place))
                .sum();
            sum == wanted
        })?;
        let mut times = self.times_of(&Base { open: 0, sum: 0 });
        for (bit, place) in self.open.iter().enumerate() {
            times[*place] = u8::from(chosen >> bit & 1 == 1);
        }
        Some(times)
    }

    fn first_of_live(&self, count: usize) -> Vec<u8> {
        let mut times = vec![0; self.items.len()];
        for place in &self.live[..count] {
            times[*place] = 1;
        }
        times
    }

    /// The end of the connection's transfers is missing, acknowledged or not.
    fn cut_off(&self) -> Option<Vec<u8>> {
        let count = self.sums.iter().rposition(|sum| *sum == self.delta)?;
        Some(self.first_of_live(count))
    }

    /// One transfer too few or too many, a run of them, or everything twice. A run of refused
    /// ones that are there is a batch that was answered with an error and applied.
    fn damaged_once(&self) -> Option<Vec<u8>> {
        self.bases().take(BASES_MAX).find_map(|base| {
            let mut times = self.times_of(&base);
            let wanted = self.delta - base.sum;
            for place in 0..times.len() {
                if wanted == self.moved(place) {
                    times[place] += 1;
                    return Some(times);
                }
                if times[place] == 1 && wanted == -self.moved(place) {
                    times[place] = 0;
                    return Some(times);
                }
            }
            if wanted == base.sum {
                return Some(times.iter().map(|once| 2 * once).collect());
            }
            let there: Vec<_> = (0..times.len()).filter(|at| times[*at] == 1).collect();
            let (run, change) = self
                .run_of(&there, -wanted, wanted)
                .map(|(run, missing)| (run, if missing { 0 } else { 2 }))
                .or_else(|| {
                    let (run, _) = self.run_of(&self.refused, wanted, wanted)?;
                    Some((run, 1))
                })?;
            for place in run {
                times[*place] = change;
            }
            Some(times)
        })
    }

    /// The run of neighbours among `places` that moved `first`, or else `second` in all; whether
    /// it is `first`.
    fn run_of<'p>(
        &self,
        places: &'p [usize],
        first: i128,
        second: i128,
    ) -> Option<(&'p [usize], bool)> {
        let mut sum = 0_i128;
        let mut beginnings = HashMap::from([(0_i128, 0_usize)]);
        for end in 1..=places.len() {
            sum += self.moved(places[end - 1]);
            for (wanted, is_first) in [(first, true), (second, false)] {
                if let Some(begin) = beginnings.get(&(sum - wanted)) {
                    return Some((&places[*begin..end], is_first));
                }
            }
            beginnings.entry(sum).or_insert(end);
        }
        None
    }

    /// The end is missing, and of the rest one is missing or there twice, or one that was
    /// refused is there.
    fn cut_off_and_damaged(&self) -> Option<Vec<u8>> {
        let by_amount = self.by_amount();
        (0..=self.live.len()).rev().find_map(|count| {
            let wanted = self.delta - self.sums[count];
            let is_there = |place: usize| count > 0 && place <= self.live[count - 1];
            let refused = |place: usize| self.items[place].standing == Standing::Refused;
            let twice = by_amount.get(&wanted).copied();
            if let Some(place) = twice.filter(|at| refused(*at) || is_there(*at)) {
                let mut times = self.first_of_live(count);
                times[place] += 1;
                return Some(times);
            }
            let missing = by_amount.get(&-wanted).copied();
            let place = missing.filter(|at| !refused(*at) && is_there(*at))?;
            let mut times = self.first_of_live(count);
            times[place] = 0;
            Some(times)
        })
    }

    fn by_amount(&self) -> HashMap<i128, usize> {
        (0..self.items.len())
            .map(|place| (self.moved(place), place))
            .collect()
    }

    /// Two transfers, each missing or there once more than it should be; or one that is there
    /// twice more than it should be.
    fn damaged_twice(&self) -> Option<Vec<u8>> {
        let by_amount = self.by_amount();
        self.bases().take(BASES_MAX).find_map(|base| {
            let times = self.times_of(&base);
            let wanted = self.delta - base.sum;
            (0..times.len()).find_map(|one| {
                let changes: &[i8] = if times[one] == 1 { &[1, -1] } else { &[1] };
                changes.iter().find_map(|change| {
                    let rest = wanted - i128::from(*change) * self.moved(one);
                    let (other, second) = by_amount
                        .get(&rest)
                        .map(|place| (*place, 1))
                        .or_else(|| by_amount.get(&-rest).map(|place| (*place, -1)))?;
                    let possible = if other == one {
                        *change > 0 && second > 0
                    } else {
                        second > 0 || times[other] == 1
                    };
                    possible.then(|| {
                        let mut times = times.clone();
                        times[one] = times[one].saturating_add_signed(*change);
                        times[other] = times[other].saturating_add_signed(second);
                        times
                    })
                })
            })
        })
    }
}

#[cfg(test)]
mod tests;
