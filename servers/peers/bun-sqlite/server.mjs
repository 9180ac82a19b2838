// Bun: its own WebSocket server and bun:sqlite, with the same group commit as the Node.js peers.
//
//   bun server.mjs --port 4107 --database ledger.sqlite --batch-size 100 --batch-timeout-ms 2
//
// Further flags: --journal-mode, --synchronous, --queue, --seed-accounts, --initial-balance,
// --allow-seed. Listens on 127.0.0.1.
import { Database } from 'bun:sqlite';
import { GroupCommit } from './lib/group-commit.mjs';
import { Ledger } from './lib/ledger.mjs';
import { call } from './lib/methods.mjs';
import { CONNECTIONS_MAX, INFLIGHT_MAX, knobs, readOptions } from './lib/options.mjs';
import { answerText, MESSAGE_BYTES_MAX, readRequest } from './lib/protocol.mjs';
import { sqliteInfo, sqliteStore } from './lib/sqlite.mjs';

const NAME = 'bun-sqlite';
/** A client that leaves so much unread is closed. */
const UNREAD_BYTES_MAX = 16 * 1024 * 1024;
/** How long answers have to leave, and clients to close their side, when the server stops. */
const CLOSE_TIMEOUT_MS = 1_000;

const options = readOptions(Bun.argv.slice(2));
const database = new Database(options.database, { create: true });
const ledger = new Ledger(sqliteStore(database, options), options);
const commits = new GroupCommit(ledger, options, (error) => {
  console.error(`the outcome of a batch is unknown, the server stops: ${error.message}`);
  stop(5);
});
const info = () => ({ server: NAME, version: Bun.version, transport: 'ws', ...knobs(options), ...sqliteInfo(database) });
const service = { ledger, commits, info };
const sockets = new Set();
let isStopping = false;

function fetch(request, server) {
  const { pathname } = new URL(request.url);
  const json = (status, error, result) =>
    new Response(answerText(undefined, error, result), { status, headers: { 'content-type': 'application/json' } });
  if (request.headers.get('upgrade')) {
    if (request.headers.get('origin') !== null) return json(403, 'forbidden'); // a web page
    if (!['/', '/rpc'].includes(pathname)) return json(404, 'unknown_method');
    if (sockets.size >= CONNECTIONS_MAX || isStopping) return json(503, 'overloaded');
    return server.upgrade(request, { data: { inFlight: 0 } }) ? undefined : json(400, 'invalid_request');
  }
  const isHealth = ['GET', 'HEAD'].includes(request.method) && ['/', '/health'].includes(pathname);
  return isHealth ? json(200, null, { status: 'ok' }) : json(404, 'unknown_method');
}

function message(socket, data) {
  const request = typeof data === 'string' ? readRequest(data) : { id: null, error: 'invalid_request' };
  if (request.id === null) request.error = 'invalid_request';
  // Bun's sockets cannot be paused, so what is too much is refused instead of left unread.
  if (socket.data.inFlight >= INFLIGHT_MAX) return socket.send(answerText(request.id, 'overloaded'));
  socket.data.inFlight++;
  call(service, request, (error, result) => {
    socket.data.inFlight--;
    if (socket.readyState === WebSocket.OPEN) socket.send(answerText(request.id, error, result));
  });
}

const server = Bun.serve({
  hostname: '127.0.0.1',
  port: options.port,
  fetch,
  error: () => new Response(null, { status: 500 }),
  websocket: {
    open: (socket) => sockets.add(socket),
    close: (socket) => sockets.delete(socket),
    message,
    maxPayloadLength: MESSAGE_BYTES_MAX,
    backpressureLimit: UNREAD_BYTES_MAX,
    closeOnBackpressureLimit: true,
    perMessageDeflate: false,
    idleTimeout: 120,
  },
});

function stop(code) {
  if (isStopping) return;
  isStopping = true;
  commits.stop(); // answers what was read
  for (const socket of sockets) socket.close(1001);
  const timer = setTimeout(finish, CLOSE_TIMEOUT_MS);
  server.stop().then(() => clearTimeout(timer)).then(finish);
  function finish() {
    database.close();
    process.exit(code);
  }
}
process.on('SIGTERM', () => stop(0));
process.on('SIGINT', () => stop(0));

console.log(`${NAME} listens on ws://127.0.0.1:${server.port}, ${info().durability}, batches of ${options.batchSize}`);
