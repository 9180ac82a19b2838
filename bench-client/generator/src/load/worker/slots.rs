//! The transfers of one worker that are in flight.

use std::time::Instant;

use busload_wire::RequestId;

use super::super::tally::Timing;
use crate::workload::AccountPair;

/// One transfer in flight.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot {
    /// The request in flight, 0 when the slot is free.
    request: u64,
    generation: u64,
    /// Response time counts from here.
    intended: Instant,
    /// Service time counts from here.
    pub(super) sent: Instant,
    pub(super) pair: AccountPair,
}

impl Slot {
    pub(super) fn answered(&self, now: Instant) -> Timing {
        Timing {
            intended: self.intended,
            sent: self.sent,
            answered: now,
        }
    }
}

/// Transfers in flight. A request id is the slot's number below its generation, so that it
/// finds its slot without a search and is never used twice.
pub(super) struct Slots {
    pub(super) all: Vec<Slot>,
    free: Vec<u32>,
    shift: u32,
}

impl Slots {
    pub(super) fn new(max_inflight: usize, now: Instant) -> Self {
        let empty = Slot {
            request: 0,
            generation: 0,
            intended: now,
            sent: now,
            pair: AccountPair { from: 0, to: 0 },
        };
        let count = u32::try_from(max_inflight).unwrap_or(u32::MAX);
        Self {
            all: vec![empty; max_inflight],
            free: (0..count).rev().collect(),
            shift: max_inflight.next_power_of_two().trailing_zeros(),
        }
    }

    pub(super) fn outstanding(&self) -> usize {
        self.all.len() - self.free.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.free.is_empty()
    }

    pub(super) fn take(
        &mut self,
        intended: Instant,
        sent: Instant,
        pair: AccountPair,
    ) -> Option<RequestId> {
        let index = self.free.pop()?;
        let slot = &mut self.all[index as usize];
        slot.intended = intended;
        slot.pair = pair;
        self.renew(index, sent)
    }

    /// Frees the slot of this request; `None` if the id is not in flight.
    pub(super) fn release(&mut self, id: RequestId) -> Option<Slot> {
        let index = self.find(id)?;
        Some(self.vacate(index))
    }

    /// The slot of this request; `None` if the id is not in flight.
    pub(super) fn find(&self, id: RequestId) -> Option<u32> {
        let index = u32::try_from(id.get() & ((1 << self.shift) - 1)).ok()?;
        let slot = self.all.get(index as usize)?;
        (slot.request == id.get()).then_some(index)
    }

    pub(super) fn vacate(&mut self, index: u32) -> Slot {
        let slot = &mut self.all[index as usize];
        slot.request = 0;
        self.free.push(index);
        *slot
    }

    /// Nothing is in flight for this slot any more, and it stays taken.
    pub(super) fn park(&mut self, index: u32) {
        self.all[index as usize].request = 0;
    }

    /// A new request for the transfer in this slot.
    pub(super) fn renew(&mut self, index: u32, sent: Instant) -> Option<RequestId> {
        let slot = &mut self.all[index as usize];
        slot.generation += 1;
        slot.request = (slot.generation << self.shift) | u64::from(index);
        slot.sent = sent;
        RequestId::new(slot.request)
    }

    /// Requests in flight, all or only those that were sent before `deadline`.
    pub(super) fn sent_before(&self, deadline: Option<Instant>) -> Vec<RequestId> {
        self.all
            .iter()
            .filter(|slot| slot.request != 0 && deadline.is_none_or(|at| slot.sent <= at))
            .filter_map(|slot| RequestId::new(slot.request))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_is_never_used_twice() {
        let now = Instant::now();
        let pair = AccountPair { from: 0, to: 1 };
        let mut slots = Slots::new(3, now);
        let mut seen = std::collections::HashSet::new();
        for _ in 0..100 {
            let ids: Vec<_> = std::iter::from_fn(|| slots.take(now, now, pair)).collect();
            assert_eq!(ids.len(), 3);
            for id in ids {
                assert!(seen.insert(id));
                assert!(slots.release(id).is_some());
                assert!(slots.release(id).is_none(), "a second answer finds no slot");
            }
        }
    }
}
