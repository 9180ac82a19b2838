//! Which call a request id of 32 bits stands for.

use std::collections::VecDeque;

use busload_wire::RequestId;

use crate::connector::TransportError;

/// Most calls that wait for an answer: the worker's window, and what it has given up and the
/// server never answered.
const UNANSWERED_MAX: usize = 1 << 20;

/// Calls without an answer, in the order in which they were made. Nearly all answers come in that
/// order, so that nothing is searched for; refusals may overtake.
#[derive(Debug)]
pub(super) struct InFlight {
    /// The request id of the first one.
    first: u32,
    /// `None` was answered before one that was made earlier.
    calls: VecDeque<Option<RequestId>>,
}

impl InFlight {
    pub(super) const fn counting_from(first: u32) -> Self {
        Self {
            first,
            calls: VecDeque::new(),
        }
    }

    /// The request id of a new call.
    pub(super) fn add(&mut self, id: RequestId) -> Result<u32, TransportError> {
        if self.calls.len() == UNANSWERED_MAX {
            return Err(TransportError::Protocol(format!(
                "no answer to request {}, and {UNANSWERED_MAX} were made since",
                self.first
            )));
        }
        let place = u32::try_from(self.calls.len()).unwrap_or(u32::MAX);
        self.calls.push_back(Some(id));
        Ok(self.first.wrapping_add(place))
    }

    /// The call that is answered; `None` if it was not made or is answered already.
    pub(super) fn take(&mut self, request_id: u32) -> Option<RequestId> {
        let place = request_id.wrapping_sub(self.first) as usize;
        let id = self.calls.get_mut(place)?.take()?;
        while let Some(None) = self.calls.front() {
            self.calls.pop_front();
            self.first = self.first.wrapping_add(1);
        }
        Some(id)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn id(number: u64) -> RequestId {
        RequestId::new(number).unwrap()
    }

    proptest! {
        /// Whatever order answers come in, also where ids wrap: each call is found once, and
        /// nothing else is.
        #[test]
        fn each_call_is_found_once(
            first in prop_oneof![any::<u32>(), u32::MAX - 20..],
            steps in prop::collection::vec(any::<(bool, prop::sample::Index)>(), 0..200),
        ) {
            let mut in_flight = InFlight::counting_from(first);
            let mut expected = BTreeMap::new();
            let mut made = 0;
            for (makes, which) in steps {
                if makes || expected.is_empty() {
                    let request = in_flight.add(id(made)).unwrap();
                    prop_assert_eq!(request, first.wrapping_add(u32::try_from(made).unwrap()));
                    expected.insert(request, id(made));
                    made += 1;
                } else {
                    let request = *expected.keys().nth(which.index(expected.len())).unwrap();
                    prop_assert_eq!(in_flight.take(request), expected.remove(&request));
                    prop_assert_eq!(in_flight.take(request), None);
                }
                let next = first.wrapping_add(u32::try_from(made).unwrap());
                prop_assert_eq!(in_flight.take(next), None);
                prop_assert_eq!(in_flight.take(first.wrapping_sub(1)), None);
            }
        }
    }

    #[test]
    fn a_server_that_never_answers_meets_a_bound() {
        let mut in_flight = InFlight::counting_from(7);
        for number in 0..UNANSWERED_MAX as u64 {
            in_flight.add(id(number)).unwrap();
        }
        let error = in_flight.add(id(0)).unwrap_err().to_string();
        assert!(error.contains("no answer to request 7"), "{error}");
        assert_eq!(in_flight.take(7), Some(id(0)));
        assert!(in_flight.add(id(0)).is_ok());
    }
}
