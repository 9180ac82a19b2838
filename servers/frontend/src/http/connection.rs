//! A connection from its acceptance to its end, or to its upgrade.

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use busload_net::Stream;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::access::Access;
use crate::limits::{HTTP_BUFFER_BYTES, STOP_HEADER_TIMEOUT};
use crate::listener::Listener;
use crate::settings::Transport;
use crate::shared::{Client, Shared};
use crate::timeouts::{ConnectionState, WriteTimeout};

/// Pause after an accept that failed, for example for want of descriptors: long enough
/// not to spin, short enough not to be felt.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

pub(crate) async fn accept(
    listener: &Listener,
    shared: &Arc<Shared>,
    stopped: &watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(shared.limits.connections));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let (shared, stopped) = (Arc::clone(shared), stopped.clone());
                let tracker = Arc::clone(&shared);
                tracker.spawn(connection(stream, place, shared, stopped));
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// Serves one connection until either side closes it, or it becomes a WebSocket.
async fn connection(
    stream: TcpStream,
    place: OwnedSemaphorePermit,
    shared: Arc<Shared>,
    mut stopped: watch::Receiver<bool>,
) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let Some(stream) = greet(stream, &shared.access, &mut stopped).await else {
        return;
    };
    let mailbox = shared.mailbox();
    let input = shared.front.input_memory.connection(Arc::clone(&mailbox));
    let client = Arc::new(Client {
        mailbox,
        input: Arc::clone(&input),
        _place: place,
    });
    let limits = shared.limits.clone();
    let state = Arc::new(ConnectionState::new(shared.transport == Transport::Ws));
    let stream = WriteTimeout::new(
        stream,
        Arc::clone(&state),
        Arc::clone(&input),
        limits.write_timeout,
    );
    let (steps, read) = (&state, &input);
    let service = service_fn(|request| {
        steps.asked();
        let answer = super::requests::handle(request, Arc::clone(&shared), Arc::clone(&client));
        async move {
            let answer = answer.await;
            steps.answered();
            read.whole(0);
            answer
        }
    });
    // The time limits are those of `state`, which costs no timer per request. One buffer and
    // `send` cost less than two and `writev`: answers are short.
    let connection = http1::Builder::new()
        .header_read_timeout(None)
        .max_header_size(limits.header_bytes)
        .max_buf_size(limits.header_bytes.max(HTTP_BUFFER_BYTES))
        .writev(false)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(connection);
    let mut overstayed = pin!(state.overstayed(limits.header_timeout, limits.idle_timeout));
    // Polled twice for each request, so it costs two flags and no more futures than it must. In
    // this order: what is there to be read comes before what is overdue.
    let header_timeout = poll_fn(|cx| {
        if connection.as_mut().poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        // Whoever raises one of the flags wakes the mailbox afterwards.
        client.mailbox.register(cx.waker());
        if input.is_refused() {
            // A request whose body is being read is answered; headers are not waited for.
            return Poll::Ready(Some(Duration::ZERO));
        }
        if shared.stopping.load(Ordering::Acquire) {
            return Poll::Ready(Some(limits.header_timeout.min(STOP_HEADER_TIMEOUT)));
        }
        overstayed.as_mut().poll(cx).map(|()| None)
    });
    let Some(header_timeout) = header_timeout.await else {
        return;
    };
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        biased;
        _ = connection => {}
        () = state.overstayed(header_timeout, limits.idle_timeout) => {}
    }
}

/// The TLS handshake, if there is to be one; `None` when there was none, or the server stops.
async fn greet(
    stream: TcpStream,
    access: &Access,
    stopped: &mut watch::Receiver<bool>,
) -> Option<Stream> {
    let Some(tls) = &access.tls else {
        return Some(Stream::Plain(stream));
    };
    tokio::select! {
        // Its state is large, and most connections have none.
        stream = Box::pin(tls.accept(stream)) => stream.ok(),
        _ = stopped.wait_for(|stopped| *stopped) => None,
    }
}
