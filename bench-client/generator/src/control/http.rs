//! Control calls over HTTP.

use bytes::Bytes;
use http::StatusCode;

use super::rpc::{NoAnswer, Transport};
use crate::connector::Endpoint;
use crate::connector::http::{Exchange, Head, Lane};

/// Most connections that are opened for one call.
const ATTEMPTS_MAX: u32 = 3;

/// A connection that is kept from call to call.
#[derive(Default)]
pub(super) struct Http(Option<Lane>);

impl Transport for Http {
    const NAME: &'static str = "http";

    async fn exchange(
        &mut self,
        server: &Endpoint,
        text: Bytes,
        first: bool,
    ) -> Result<(Option<StatusCode>, Bytes), NoAnswer> {
        let request = Head::of(server).with(&text);
        if let Some(used) = self.0.take() {
            let (used, exchange) = used.exchange(&request).await;
            if let Exchange::Answered(status, body) = exchange {
                self.0 = used;
                return Ok((Some(status), body));
            }
            // It was idle for so long that the server has closed it. Every call of the control
            // plane can be asked twice.
        }
        let mut attempt = 1;
        let exchange = loop {
            let fresh = Lane::open(server).await?;
            let (fresh, exchange) = fresh.exchange(&request).await;
            self.0 = fresh;
            // Nobody has seen the call: the server was sooner to close than we to send.
            let again = matches!(exchange, Exchange::NotSent(_)) && attempt < ATTEMPTS_MAX;
            if !again {
                break exchange;
            }
            attempt += 1;
        };
        let remedy = if first {
            server.tls_remedy(Self::NAME)
        } else {
            String::new()
        };
        Err(NoAnswer::Broken(match exchange {
            Exchange::Answered(status, body) => return Ok((Some(status), body)),
            Exchange::NotSent(why) | Exchange::Lost(why) => why,
            Exchange::NotHttp => format!("what came is not HTTP{remedy}"),
            Exchange::Closed => format!("it closed the connection without one{remedy}"),
        }))
    }
}
