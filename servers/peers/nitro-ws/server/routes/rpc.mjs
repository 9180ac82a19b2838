// The protocol over Nitro's WebSocket handler (crossws over ws).
import { defineWebSocketHandler } from 'h3';
import { call } from '../../lib/methods.mjs';
import { CONNECTIONS_MAX, INFLIGHT_MAX } from '../../lib/options.mjs';
import { answerText, MESSAGE_BYTES_MAX, readRequest } from '../../lib/protocol.mjs';
import { peers, service } from '../service.mjs';

/** A client that leaves so much unread is closed. */
const UNREAD_BYTES_MAX = 16 * 1024 * 1024;

/** Transfers in flight, by connection. */
const inFlight = new WeakMap();

export default defineWebSocketHandler({
  upgrade(request) {
    if (request.headers.get('origin') !== null) return new Response(null, { status: 403 }); // a web page
    if (peers.size >= CONNECTIONS_MAX || service.isStopping) return new Response(null, { status: 503 });
  },
  open(peer) {
    peers.add(peer);
    inFlight.set(peer, 0);
  },
  close: (peer) => peers.delete(peer),
  error: (peer) => peers.delete(peer),
  message(peer, message) {
    // Nitro leaves the limit of a message to ws, whose default is 100 MiB: only then is it seen here.
    const isGood = typeof message.rawData === 'string' || message.rawData.length <= MESSAGE_BYTES_MAX;
    const request = isGood ? readRequest(message.text()) : { id: null };
    if (request.id === null) request.error = 'invalid_request';
    // A handler cannot stop reading, so what is too much is refused.
    if (inFlight.get(peer) >= INFLIGHT_MAX) return void peer.send(answerText(request.id, 'overloaded'));
    inFlight.set(peer, inFlight.get(peer) + 1);
    call(service, request, (error, result) => {
      inFlight.set(peer, inFlight.get(peer) - 1);
      if (!peers.has(peer)) return;
      if (peer.websocket.bufferedAmount > UNREAD_BYTES_MAX) return peer.terminate();
      peer.send(answerText(request.id, error, result));
    });
  },
});
