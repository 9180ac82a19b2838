// An SQLite-backed Durable Object with WebSocket, under workerd. The worker hands every request to
// the one object that owns the ledger. BATCH_SIZE and BATCH_TIMEOUT_MS come from config.capnp.
//
// Nothing here waits for the disk: the object's output gate holds every message back until what
// was written before it is synced.
import { DurableObject } from 'cloudflare:workers';
import { GroupCommit } from './lib/group-commit.mjs';
import { Ledger } from './lib/ledger.mjs';
import { call } from './lib/methods.mjs';
import { answerText, MESSAGE_BYTES_MAX, readRequest } from './lib/protocol.mjs';

/** Transfers in flight on a connection; an object cannot stop reading, so further ones are refused. */
const INFLIGHT_MAX = 16_384;
/** Connections of one object; the platform's own limit is 32,768. */
const CONNECTIONS_MAX = 16_384;

/** What a `Ledger` wants of its database, over the object's storage. */
function objectStore(storage) {
  const { sql } = storage;
  return {
    prepare: (text) => ({
      run: (...values) => ({ changes: sql.exec(text, ...values).rowsWritten }),
      get: (...values) => sql.exec(text, ...values).toArray()[0],
      all: (...values) => sql.exec(text, ...values).toArray(),
    }),
    atomically: (work) => storage.transactionSync(work),
  };
}

export class LedgerObject extends DurableObject {
  #service;
  /** Transfers in flight, by connection. */
  #inFlight = new Map();

  constructor(ctx, env) {
    super(ctx, env);
    const ledger = new Ledger(objectStore(ctx.storage), { seedAccounts: 100_000, initialBalance: 10_000_000 });
    const batching = { batchSize: Number(env.BATCH_SIZE), batchTimeoutMs: Number(env.BATCH_TIMEOUT_MS), queueTransfers: 65_536 };
    const commits = new GroupCommit(ledger, batching, (error) => ctx.abort(String(error)));
    // No `info`: an object may not read the pragmas that say what it runs with.
    this.#service = { ledger, commits };
  }

  fetch(request) {
    if (request.headers.get('Upgrade')?.toLowerCase() !== 'websocket') {
      return new Response(answerText(undefined, null, { status: 'ok' }), { headers: { 'content-type': 'application/json' } });
    }
    if (this.ctx.getWebSockets().length >= CONNECTIONS_MAX) return new Response(null, { status: 503 });
    const [client, server] = Object.values(new WebSocketPair());
    this.ctx.acceptWebSocket(server);
    return new Response(null, { status: 101, webSocket: client });
  }

  webSocketMessage(socket, data) {
    const isText = typeof data === 'string' && data.length <= MESSAGE_BYTES_MAX;
    const request = isText ? readRequest(data) : { id: null, error: 'invalid_request' };
    if (request.id === null) request.error = 'invalid_request';
    const inFlight = (this.#inFlight.get(socket) ?? 0) + 1;
    if (inFlight > INFLIGHT_MAX) return socket.send(answerText(request.id, 'overloaded'));
    this.#inFlight.set(socket, inFlight);
    call(this.#service, request, (error, result) => {
      this.#inFlight.set(socket, this.#inFlight.get(socket) - 1);
      if (socket.readyState === WebSocket.OPEN) socket.send(answerText(request.id, error, result));
    });
  }

  webSocketClose(socket, code) {
    this.#inFlight.delete(socket);
    socket.close(code === 1005 || code === 1006 ? 1000 : code);
  }

  webSocketError(socket) {
    this.#inFlight.delete(socket);
  }
}

export default {
  fetch(request, env) {
    const { pathname } = new URL(request.url);
    const isUpgrade = request.headers.get('Upgrade') !== null;
    const isKnown = isUpgrade ? ['/', '/rpc'].includes(pathname) : ['GET', 'HEAD'].includes(request.method) && ['/', '/health'].includes(pathname);
    if (!isKnown) return new Response(answerText(undefined, 'unknown_method'), { status: 404 });
    if (request.headers.get('Origin') !== null) return new Response(null, { status: 403 }); // a web page
    return env.LEDGER.get(env.LEDGER.idFromName('ledger')).fetch(request);
  },
};
