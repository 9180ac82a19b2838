//! When a server that listens at a known place is ready.

use std::time::Duration;

use tokio::process::Child;

use super::{CONNECT_PAUSE, TargetError};
use crate::config::ConnectorKind;
use crate::connector::Endpoint;
use crate::control::{ControlClient, ControlError};

/// Pause between two words about a server that is not ready.
pub(super) const TELL_INTERVAL: Duration = Duration::from_secs(1);
/// Longest wait for one connection to a server: one that takes longer is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Follows the start of a server that is not ready yet.
pub trait Waiting {
    /// Told again and again: why it is not ready until now.
    fn still(&mut self, what: &str);
    /// Told once: what a person should know before the time is over.
    fn notice(&mut self, what: &str);
}

/// Nobody is told.
impl Waiting for () {
    fn still(&mut self, _: &str) {}
    fn notice(&mut self, _: &str) {}
}

/// Waits until somebody accepts connections at `place`, and answers a call of `health` where that
/// is asked for; `None` when the server ends before. `missing` says why it is not ready.
pub(super) async fn wait(
    place: &Endpoint,
    health_of: Option<ConnectorKind>,
    child: &mut Child,
    missing: &mut String,
    waiting: &mut dyn Waiting,
) -> Option<(String, Endpoint)> {
    let authority = &place.authority;
    *missing = format!("nothing accepted connections at {authority}");
    let mut told = tokio::time::Instant::now();
    let mut is_noticed = false;
    loop {
        if child.try_wait().ok()?.is_some() {
            return None;
        }
        if answers(place).await {
            let Some(connector) = health_of else {
                return Some((String::new(), place.clone()));
            };
            match health(connector, place).await {
                Health::Well => return Some((String::new(), place.clone())),
                Health::Silent(why) => {
                    *missing = format!("nothing answered a call of health at {authority} ({why})");
                }
                Health::Unwell(why) => {
                    *missing = format!("health at {authority} was answered with an error: {why}");
                    if !std::mem::replace(&mut is_noticed, true) {
                        waiting.notice(&format!("the server is not ready: {missing}"));
                    }
                }
            }
        }
        if told.elapsed() >= TELL_INTERVAL {
            waiting.still(missing);
            told = tokio::time::Instant::now();
        }
        tokio::time::sleep(CONNECT_PAUSE).await;
    }
}

/// What a call of `health` came to.
enum Health {
    Well,
    /// No answer came.
    Silent(String),
    /// An answer came, and it is an error.
    Unwell(String),
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
async fn health(connector: ConnectorKind, place: &Endpoint) -> Health {
    let mut control = ControlClient::new(connector, place.clone());
    match control.health().await {
        Ok(()) | Err(ControlError::UnknownMethod(_)) => {
            control.close().await;
            Health::Well
        }
        Err(ControlError::Refused { error, .. }) => Health::Unwell(error),
        Err(error @ (ControlError::Protocol { .. } | ControlError::Contradiction { .. })) => {
            Health::Unwell(error.to_string())
        }
        Err(error) => Health::Silent(error.to_string()),
    }
}
