//! The mock stands in for all of them: the same promises, without a server.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bench_client::connector::{MockAnswer, MockConnector, Outcome, Reason, Session as _};
use busload_wire::Transfer;

use crate::common::within;
use crate::subject::{collect, each_once, id, open, small, submit};

fn answering(delay: Duration) -> MockConnector {
    MockConnector::new(Arc::new(move |number, transfer| {
        let reason = (transfer.from == transfer.to).then_some(Reason::InvalidTransfer);
        let outcome = reason.map_or(Outcome::Committed, Outcome::Rejected);
        MockAnswer::After(delay * u32::try_from(number % 7).expect("small"), outcome)
    }))
}

#[test]
fn no_answer_is_lost_to_a_dropped_future() {
    within(async {
        let connector = answering(Duration::from_micros(200));
        let mut session = open(&connector).await;
        let mut expected = BTreeMap::new();
        let mut out = Vec::new();
        for number in 1..=500 {
            let transfer = small(number);
            let to = if number % 5 == 0 {
                transfer.from
            } else {
                transfer.to
            };
            session
                .submit(id(number), Transfer { to, ..transfer })
                .expect("it is taken");
            let refused = Outcome::Rejected(Reason::InvalidTransfer);
            expected.insert(
                id(number),
                if number % 5 == 0 {
                    refused
                } else {
                    Outcome::Committed
                },
            );
            drop(session.replies(&mut out));
            let patience = Duration::from_micros(90);
            let _ = tokio::time::timeout(patience, session.replies(&mut out)).await;
        }
        collect(&mut session, &mut out, 500).await;
        each_once(&out, &expected);
        assert_eq!(connector.seen(), 500);
    });
}

#[test]
fn a_forgotten_request_is_answered_in_vain() {
    within(async {
        let connector = answering(Duration::from_millis(5));
        let mut session = open(&connector).await;
        let mut out = Vec::new();
        submit(&mut session, 1..=14);
        for number in 1..=7 {
            session.forget(id(number));
        }
        collect(&mut session, &mut out, 7).await;
        each_once(
            &out,
            &(8..=14).map(|n| (id(n), Outcome::Committed)).collect(),
        );
        assert_eq!(session.late_answers(), 7);
    });
}

#[test]
fn a_disconnect_ends_the_session() {
    within(async {
        let connector = MockConnector::new(Arc::new(|_, _| MockAnswer::Disconnect));
        let mut session = open(&connector).await;
        session.submit(id(1), small(1)).expect("it is taken");
        assert!(session.replies(&mut Vec::new()).await.is_err());
    });
}
