//! Control calls over a WebSocket.

use std::future::poll_fn;

use busload_net::frames::Incoming;
use busload_wire::RequestId;
use bytes::Bytes;
use http::StatusCode;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

use super::rpc::{NoAnswer, Transport};
use crate::config::Encoding;
use crate::connector::{Endpoint, ws};

/// A connection that is kept from call to call.
#[derive(Default)]
pub(super) struct Ws {
    socket: Option<ws::Socket>,
    last_id: u64,
}

impl Transport for Ws {
    const NAME: &'static str = "ws";

    fn next_id(&mut self) -> Option<RequestId> {
        self.last_id += 1;
        RequestId::new(self.last_id)
    }

    async fn exchange(
        &mut self,
        server: &Endpoint,
        text: Bytes,
        _: bool,
    ) -> Result<(Option<StatusCode>, Bytes), NoAnswer> {
        if let Some(used) = self.socket.take()
            && let Ok((used, answer)) = ask(used, &text).await
        {
            self.socket = Some(used);
            return Ok((None, answer));
        }
        // Not connected yet, or idle for so long that the server has closed it: every call of
        // the control plane can be asked twice.
        let fresh = ws::open(server, Encoding::Json).await?;
        let (fresh, answer) = ask(fresh, &text).await.map_err(NoAnswer::Broken)?;
        self.socket = Some(fresh);
        Ok((None, answer))
    }

    /// Waits for the server's word, for a second at most.
    async fn close(&mut self) {
        if let Some(mut socket) = self.socket.take() {
            socket.close().await;
        }
    }
}

/// One request and its answer on a connection that has no other in flight. Gives the
/// connection back when it can be used again.
async fn ask(mut open: ws::Socket, text: &[u8]) -> Result<(ws::Socket, Bytes), String> {
    let broken = |error: WsError| error.to_string();
    open.put_text(|out| out.extend_from_slice(text))
        .map_err(broken)?;
    loop {
        // Also what the library answers to a ping.
        poll_fn(|cx| open.poll_flush(cx)).await.map_err(broken)?;
        match open.next().await {
            Some(Ok(Incoming::Text(answer))) => {
                let answer = Bytes::copy_from_slice(open.payload(&answer));
                return Ok((open, answer));
            }
            Some(Ok(Incoming::Message(Message::Text(answer)))) => {
                return Ok((open, Bytes::from(answer)));
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(broken(error)),
            None => return Err("the connection was closed".to_owned()),
        }
    }
}
