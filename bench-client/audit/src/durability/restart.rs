//! After a new start: is what was acknowledged there?

use super::Plan;
use super::asking::Asked;
use crate::control::ControlError;
use crate::record::durability::{Check, CheckKind, CheckOutcome};
use crate::target::ServerProcess;

/// A server that has forgotten its accounts gets them again, so that it can be asked for transfers.
/// What it has acknowledged by then is not among them.
pub(super) async fn seed_if_forgotten(plan: &Plan, server: &ServerProcess) {
    let mut control = plan.command.wire.control(server.target());
    if let Ok(None) = control.balance(0).await {
        let (accounts, balance) = plan.ledger();
        // Whoever refuses that acknowledges nothing, which is told of.
        let _ = control.seed(i64::from(accounts), balance).await;
    }
    control.close().await;
}

/// Whether the money that was acknowledged to have left account 0 has left it.
#[expect(clippy::cast_precision_loss, reason = "amounts far below 2^52")]
pub(super) async fn there_after_restart(
    plan: &Plan,
    server: &ServerProcess,
    asked: &Asked,
) -> Check {
    let kind = CheckKind::Restart;
    let acknowledged = asked.acknowledged.len();
    let mut control = plan.command.wire.control(server.target());
    let balance = control.balance(0).await;
    control.close().await;
    let balance = match balance {
        Ok(balance) => balance,
        Err(ControlError::UnknownMethod(method)) => {
            let why = format!("the server does not know {method}: torture finds what is lost");
            return Check::new(kind, CheckOutcome::ShowsNothing, why);
        }
        Err(error) => {
            let why = format!("the balance cannot be read: {}", crate::with_causes(&error));
            return Check::new(kind, CheckOutcome::ShowsNothing, why);
        }
    };
    let (_, initial) = plan.ledger();
    // An account that is not there has lost everything.
    let left = balance.map_or(0, |balance| initial.saturating_sub(balance));
    let (outcome, message) = if acknowledged == 0 {
        let why = "nothing was acknowledged";
        (CheckOutcome::ShowsNothing, why.to_owned())
    } else if (asked.moved..=asked.moved + asked.in_doubt).contains(&left) {
        let said = format!(
            "after kill -9 and a new start all {acknowledged} acknowledged transfers are there"
        );
        (CheckOutcome::Passed, said)
    } else {
        let said = format!(
            "after kill -9 and a new start account 0 is {left} lower, and {acknowledged} \
             acknowledged transfers took {} from it",
            asked.moved
        );
        (CheckOutcome::Failed, said)
    };
    let figures = [
        ("acknowledged", acknowledged as f64),
        ("amount_acknowledged", asked.moved as f64),
        ("amount_there", left as f64),
    ];
    Check::new(kind, outcome, message).with(figures)
}
