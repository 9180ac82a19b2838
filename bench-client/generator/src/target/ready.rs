//! When a server that listens at a known place is ready.

use std::time::Duration;

use tokio::process::Child;

use super::{CONNECT_PAUSE, TargetError};
use crate::config::ConnectorKind;
use crate::connector::Endpoint;
use crate::control::{ControlClient, ControlError};

/// Longest wait for one connection to a server: one that takes longer is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Waits until somebody accepts connections at `place`, and answers a call of `health` where that
/// is asked for; `None` when the server ends before. `missing` says what is still waited for.
pub(super) async fn wait(
    place: &Endpoint,
    health_of: Option<ConnectorKind>,
    child: &mut Child,
    missing: &mut String,
) -> Option<(String, Endpoint)> {
    "nothing accepted connections".clone_into(missing);
    loop {
        if child.try_wait().ok()?.is_some() {
            return None;
        }
        let is_ready = answers(place).await
            && match health_of {
                Some(connector) => is_healthy(connector, place, missing).await,
                None => true,
            };
        if is_ready {
            return Some((String::new(), place.clone()));
        }
        tokio::time::sleep(CONNECT_PAUSE).await;
    }
}

/// Refuses a place that somebody has already: who starts a server there would reach that one.
///
/// # Errors
/// [`TargetError::Occupied`].
pub async fn vacant(place: Option<&Endpoint>) -> Result<(), TargetError> {
    match place {
        Some(place) if answers(place).await => Err(TargetError::Occupied {
            authority: place.authority.clone(),
        }),
        _ => Ok(()),
    }
}

/// Whether somebody accepts connections at `place`, asked once.
pub async fn answers(place: &Endpoint) -> bool {
    let connecting = tokio::net::TcpStream::connect(&place.authority);
    let Ok(Ok(stream)) = tokio::time::timeout(CONNECT_TIMEOUT, connecting).await else {
        return false;
    };
    // Where nobody listens, a connection to a port of the range that connections leave from may
    // meet itself.
    match (stream.local_addr(), stream.peer_addr()) {
        (Ok(local), Ok(peer)) => local != peer,
        _ => false,
    }
}

/// Whether the protocol is spoken there, asked once. One that does not know `health` speaks it.
async fn is_healthy(connector: ConnectorKind, place: &Endpoint, missing: &mut String) -> bool {
    let mut control = ControlClient::new(connector, place.clone());
    match control.health().await {
        Ok(()) | Err(ControlError::UnknownMethod(_)) => {
            control.close().await;
            true
        }
        Err(error) => {
            *missing = format!("nothing answered a call of health ({error})");
            false
        }
    }
}
