// The article's own stack: Node.js, the package ws, better-sqlite3, group commit on one thread.
//
//   node server.mjs --port 4107 --database ledger.sqlite --batch-size 100 --batch-timeout-ms 2
//
// Further flags: --journal-mode, --synchronous, --queue, --seed-accounts, --initial-balance,
// --allow-seed. Listens on 127.0.0.1.
import http from 'node:http';
import Database from 'better-sqlite3';
import { WebSocketServer } from 'ws';
import { GroupCommit } from './lib/group-commit.mjs';
import { Ledger } from './lib/ledger.mjs';
import { call } from './lib/methods.mjs';
import { CONNECTIONS_MAX, INFLIGHT_MAX, knobs, readOptions } from './lib/options.mjs';
import { answerText, MESSAGE_BYTES_MAX, readRequest } from './lib/protocol.mjs';
import { sqliteInfo, sqliteStore } from './lib/sqlite.mjs';

const NAME = 'node-sqlite-ws';
/** A client that leaves so much unread is closed. */
const UNREAD_BYTES_MAX = 16 * 1024 * 1024;
/** How long clients have to close their side when the server stops. */
const CLOSE_TIMEOUT_MS = 1_000;

const options = readOptions();
const database = new Database(options.database);
const ledger = new Ledger(sqliteStore(database, options), options);
const commits = new GroupCommit(ledger, options, (error) => {
  console.error(`the outcome of a batch is unknown, the server stops: ${error.message}`);
  stop(5);
});
const info = () => ({ server: NAME, version: process.version, transport: 'ws', ...knobs(options), ...sqliteInfo(database) });
const service = { ledger, commits, info };

const server = http.createServer((request, response) => {
  const isHealth = ['GET', 'HEAD'].includes(request.method) && ['/', '/health'].includes(request.url);
  response.statusCode = isHealth ? 200 : 404;
  response.setHeader('content-type', 'application/json');
  response.end(isHealth ? answerText(undefined, null, { status: 'ok' }) : answerText(undefined, 'unknown_method'));
});
server.maxConnections = CONNECTIONS_MAX;

const sockets = new WebSocketServer({
  noServer: true,
  maxPayload: MESSAGE_BYTES_MAX,
  perMessageDeflate: false,
  handleProtocols: () => false,
});
server.on('upgrade', (request, socket, head) => {
  socket.on('error', () => socket.destroy());
  const refuse = (status) => socket.end(`HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
  if (request.headers.origin !== undefined) return refuse('403 Forbidden'); // a web page
  if (!['/', '/rpc'].includes(request.url)) return refuse('404 Not Found');
  sockets.handleUpgrade(request, socket, head, serve);
});

function serve(socket) {
  let inFlight = 0;
  socket.on('error', () => {}); // a breach of the protocol: ws closes with its code
  socket.on('message', (data, isBinary) => {
    const request = isBinary ? { id: null, error: 'invalid_request' } : readRequest(data.toString());
    if (request.id === null) request.error = 'invalid_request';
    if (++inFlight === INFLIGHT_MAX) socket.pause();
    call(service, request, (error, result) => {
      if (inFlight-- === INFLIGHT_MAX) socket.resume();
      if (socket.readyState !== socket.OPEN) return;
      if (socket.bufferedAmount > UNREAD_BYTES_MAX) return socket.terminate();
      socket.send(answerText(request.id, error, result));
    });
  });
}

let isStopping = false;
function stop(code) {
  if (isStopping) return;
  isStopping = true;
  commits.stop(); // answers what was read
  for (const socket of sockets.clients) socket.close(1001);
  setTimeout(() => {
    for (const socket of sockets.clients) socket.terminate();
    server.closeAllConnections();
  }, CLOSE_TIMEOUT_MS).unref();
  server.close(() => {
    database.close();
    process.exit(code);
  });
  server.closeIdleConnections();
}
process.on('SIGTERM', () => stop(0));
process.on('SIGINT', () => stop(0));

server.on('error', (error) => {
  console.error(`error: ${error.message}`);
  process.exit(5);
});
server.listen(options.port, '127.0.0.1', () => {
  const { durability } = info();
  console.log(`${NAME} listens on ws://127.0.0.1:${server.address().port}, ${durability}, batches of ${options.batchSize}`);
});
