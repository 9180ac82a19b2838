use proptest::prelude::*;

use super::*;
use crate::draw::Draw;

const RANGE: u64 = 1 << 40;

fn items(seed: u64, standings: &[Standing]) -> Vec<Item> {
    let mut draw = Draw::new(seed, 0);
    let both_ways = draw.within(0, 1) == 1;
    standings
        .iter()
        .map(|standing| {
            let amount = i64::try_from(draw.within(1, RANGE)).unwrap();
            let back = both_ways && draw.within(0, 3) == 0;
            Item {
                moved: if back { -amount } else { amount },
                standing: *standing,
            }
        })
        .collect()
}

fn moved(items: &[Item], times: &[u8]) -> i128 {
    let each = items.iter().zip(times);
    each.map(|(item, times)| i128::from(item.moved) * i128::from(*times))
        .sum()
}

/// The transfers of a connection that ended with up to 8 open ones; some refused.
fn connection() -> impl Strategy<Value = (Vec<Item>, usize)> {
    let answered = prop::collection::vec(
        prop_oneof![9 => Just(Standing::Acknowledged), 1 => Just(Standing::Refused)],
        0..200,
    );
    (answered, 0_usize..9, any::<u64>()).prop_map(|(mut standings, open, seed)| {
        standings.extend(vec![Standing::Open; open]);
        (items(seed, &standings), open)
    })
}

fn honest(items: &[Item], applied_open: usize) -> Vec<u8> {
    let mut left = applied_open;
    items
        .iter()
        .map(|item| match item.standing {
            Standing::Acknowledged => 1,
            Standing::Refused => 0,
            Standing::Open => {
                let applied = u8::from(left > 0);
                left = left.saturating_sub(1);
                applied
            }
        })
        .collect()
}

fn found(items: &[Item], times: &[u8]) -> Result<(), TestCaseError> {
    let explained = reconstruct(items, &[], moved(items, times));
    prop_assert_eq!(explained, Explanation::Times(times.to_vec()));
    Ok(())
}

proptest! {
    #[test]
    fn an_honest_outcome_is_recognised((items, open) in connection(), share in 0.0..=1.0) {
        let applied = share_of(open, share);
        found(&items, &honest(&items, applied))?;
    }

    #[test]
    fn any_subset_of_the_open_ones_is_recognised(
        (items, open) in connection(),
        subset: [bool; 8],
    ) {
        let mut times = honest(&items, 0);
        let begin = items.len() - open;
        for (place, there) in (begin..items.len()).zip(subset) {
            times[place] = u8::from(there);
        }
        found(&items, &times)?;
    }

    #[test]
    fn a_lost_end_is_recognised((items, _) in connection(), share in 0.0..=1.0) {
        let mut times = honest(&items, 0);
        let acknowledged: Vec<_> = (0..times.len()).filter(|at| times[*at] == 1).collect();
        for place in &acknowledged[share_of(acknowledged.len(), share)..] {
            times[*place] = 0;
        }
        found(&items, &times)?;
    }

    #[test]
    fn one_or_a_run_lost_or_twice_is_recognised(
        (items, open) in connection(),
        begin in 0.0..=1.0,
        length in 1_usize..20,
        twice: bool,
        applied in 0.0..=1.0,
    ) {
        let mut times = honest(&items, share_of(open, applied));
        let there: Vec<_> = (0..times.len()).filter(|at| times[*at] == 1).collect();
        let begin = share_of(there.len(), begin);
        for place in there.iter().skip(begin).take(length) {
            times[*place] = if twice { 2 } else { 0 };
        }
        found(&items, &times)?;
    }

    #[test]
    fn two_damages_are_recognised(
        (items, open) in connection(),
        places in (0.0..1.0, 0.0..1.0),
        twice: [bool; 2],
        applied in 0.0..=1.0,
    ) {
        let mut times = honest(&items, share_of(open, applied));
        let there: Vec<_> = (0..times.len()).filter(|at| times[*at] == 1).collect();
        for (share, twice) in [places.0, places.1].into_iter().zip(twice) {
            if let Some(place) = there.get(share_of(there.len(), share)) {
                times[*place] = if twice { 2 } else { 0 };
            }
        }
        found(&items, &times)?;
    }

    #[test]
    fn a_refused_one_that_was_applied_is_recognised(
        (items, open) in connection(),
        which in 0.0..1.0,
    ) {
        let mut times = honest(&items, open);
        let refused: Vec<_> = (0..items.len())
            .filter(|at| items[*at].standing == Standing::Refused)
            .collect();
        prop_assume!(!refused.is_empty());
        times[refused[share_of(refused.len(), which)]] = 1;
        found(&items, &times)?;
    }

    #[test]
    fn a_run_of_refused_ones_that_were_applied_is_recognised(
        (items, open) in connection(),
        begin in 0.0..1.0,
        length in 1_usize..20,
        applied in 0.0..=1.0,
    ) {
        let mut times = honest(&items, share_of(open, applied));
        let refused: Vec<_> = (0..items.len())
            .filter(|at| items[*at].standing == Standing::Refused)
            .collect();
        prop_assume!(!refused.is_empty());
        for place in refused.iter().skip(share_of(refused.len(), begin)).take(length) {
            times[*place] = 1;
        }
        found(&items, &times)?;
    }

    #[test]
    fn one_applied_three_times_is_recognised(
        (items, open) in connection(),
        which in 0.0..1.0,
        applied in 0.0..=1.0,
    ) {
        let mut times = honest(&items, share_of(open, applied));
        let there: Vec<_> = (0..times.len()).filter(|at| times[*at] == 1).collect();
        prop_assume!(!there.is_empty());
        times[there[share_of(there.len(), which)]] = 3;
        found(&items, &times)?;
    }

    /// Whatever happened, an explanation always adds up: counts are never invented.
    #[test]
    fn an_explanation_adds_up((items, _) in connection(), seed: u64) {
        let mut draw = Draw::new(seed, 1);
        let times: Vec<_> = items
            .iter()
            .map(|_| u8::try_from(draw.within(0, 2)).unwrap())
            .collect();
        let delta = moved(&items, &times);
        if let Explanation::Times(found) = reconstruct(&items, &[], delta) {
            prop_assert_eq!(moved(&items, &found), delta);
        }
    }
}

fn share_of(count: usize, share: f64) -> usize {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a small count"
    )]
    let at = (count as f64 * share) as usize;
    at.min(count)
}

#[test]
fn everything_twice_or_not_at_all() {
    let items = items(1, &[Standing::Acknowledged; 50]);
    assert_eq!(
        reconstruct(&items, &[], moved(&items, &[2; 50])),
        Explanation::Times(vec![2; 50])
    );
    assert_eq!(reconstruct(&items, &[], 0), Explanation::Times(vec![0; 50]));
}

#[test]
fn what_was_there_before_can_vanish() {
    let items = items(2, &[Standing::Acknowledged; 5]);
    let history = [1_000_003, 1_000_033, 1_000_037];
    for count in 1..=3 {
        let gone: i64 = history[3 - count..].iter().sum();
        let explained = reconstruct(&items, &history, -i128::from(gone));
        assert_eq!(explained, Explanation::Vanished(count));
    }
}

#[test]
fn half_a_transfer_is_not_explained() {
    let items = items(3, &[Standing::Acknowledged; 5]);
    let delta = moved(&items, &[1; 5]) - 1;
    assert_eq!(reconstruct(&items, &[], delta), Explanation::Unexplained);
}
