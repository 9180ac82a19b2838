//! A connection from its acceptance to its end, or to its upgrade.

use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::access::Access;
use crate::guarded::Guarded;
use crate::http;
use crate::limits::{HTTP_BUFFER_BYTES, STOP_HEADER_TIMEOUT};
use crate::listener::Listener;
use crate::phases::Phases;
use crate::server::Transport;
use crate::shared::{Client, Shared};
use crate::stream::Stream;

/// Pause after an accept that failed, for example for want of descriptors: long enough
/// not to spin, short enough not to be felt.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts connections for ever.
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
    let phases = Arc::new(Phases::new(shared.transport == Transport::Ws));
    let stream = Guarded::new(
        stream,
        Arc::clone(&phases),
        Arc::clone(&input),
        limits.write_timeout,
    );
    let (steps, read) = (&phases, &input);
    let service = service_fn(move |request| {
        steps.asked();
        let answer = http::handle(request, Arc::clone(&shared), Arc::clone(&client));
        async move {
            let answer = answer.await;
            steps.answered();
            read.whole(0);
            answer
        }
    });
    // The time limits are those of `phases`, which costs no timer per request.
    let connection = http1::Builder::new()
        .header_read_timeout(None)
        .max_header_size(limits.header_bytes)
        .max_buf_size(limits.header_bytes.max(HTTP_BUFFER_BYTES))
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(connection);
    // In this order: what is there to be read comes before what is overdue.
    let header_timeout = tokio::select! {
        biased;
        _ = &mut connection => return,
        () = phases.overstayed(limits.header_timeout, limits.idle_timeout) => return,
        // A request whose body is being read is answered; headers are not waited for.
        () = input.refused() => Duration::ZERO,
        _ = stopped.wait_for(|stopped| *stopped) => {
            limits.header_timeout.min(STOP_HEADER_TIMEOUT)
        }
    };
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        biased;
        _ = connection => {}
        () = phases.overstayed(header_timeout, limits.idle_timeout) => {}
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
