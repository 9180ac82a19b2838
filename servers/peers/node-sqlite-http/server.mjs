// Node.js, node:http and better-sqlite3: the article's HTTP rows with batches of one, and group
// commit over HTTP otherwise.
//
//   node server.mjs --port 4103 --database ledger.sqlite --batch-size 1
//
// Further flags: --batch-timeout-ms, --journal-mode, --synchronous, --queue, --seed-accounts,
// --initial-balance, --allow-seed. Listens on 127.0.0.1.
import http from 'node:http';
import Database from 'better-sqlite3';
import { GroupCommit } from './lib/group-commit.mjs';
import { Ledger } from './lib/ledger.mjs';
import { call } from './lib/methods.mjs';
import { CONNECTIONS_MAX, knobs, readOptions } from './lib/options.mjs';
import { answerText, BODY_BYTES_MAX, readRequest, STATUS } from './lib/protocol.mjs';
import { sqliteInfo, sqliteStore } from './lib/sqlite.mjs';

const NAME = 'node-sqlite-http';
const IDLE_TIMEOUT_MS = 75_000;
/** How long requests under way have when the server stops. */
const CLOSE_TIMEOUT_MS = 1_000;

const options = readOptions();
const database = new Database(options.database);
const ledger = new Ledger(sqliteStore(database, options), options);
const commits = new GroupCommit(ledger, options, (error) => {
  console.error(`the outcome of a batch is unknown, the server stops: ${error.message}`);
  stop(5);
});
// Pipelined requests of a connection are queued all the same: Node.js puts the answers in order.
const info = () => ({ server: NAME, version: process.version, transport: 'http', ...knobs(options), ...sqliteInfo(database) });
const service = { ledger, commits, info };

let isStopping = false;

function respond(response, error, result) {
  const text = answerText(undefined, error, result);
  response.statusCode = error ? STATUS[error] : 200;
  response.setHeader('content-type', 'application/json');
  response.setHeader('content-length', Buffer.byteLength(text));
  if (isStopping || error === 'too_large') response.setHeader('connection', 'close');
  response.end(text);
}

const server = http.createServer({ requestTimeout: 20_000, headersTimeout: 10_000 }, (request, response) => {
  const { method, url, headers } = request;
  if (headers.origin !== undefined) return respond(response, 'forbidden'); // a web page
  if (['GET', 'HEAD'].includes(method) && ['/', '/health'].includes(url)) return respond(response, null, { status: 'ok' });
  if (method !== 'POST' || url !== '/rpc') return respond(response, 'unknown_method');
  if (!/^application\/json\s*(;|$)/i.test(headers['content-type'] ?? '')) return respond(response, 'invalid_request');
  const chunks = [];
  let bytes = 0;
  request.on('error', () => {}); // the client is gone: nothing of the request was queued
  request.on('data', (chunk) => {
    bytes += chunk.length;
    if (bytes <= BODY_BYTES_MAX) chunks.push(chunk);
    else if (!response.writableEnded) respond(response, 'too_large');
  });
  request.on('end', () => {
    if (response.writableEnded) return;
    call(service, readRequest(Buffer.concat(chunks).toString()), (error, result) => respond(response, error, result));
  });
});
server.maxConnections = CONNECTIONS_MAX;
server.keepAliveTimeout = IDLE_TIMEOUT_MS;

function stop(code) {
  if (isStopping) return;
  isStopping = true;
  commits.stop(); // answers what was read
  setTimeout(() => server.closeAllConnections(), CLOSE_TIMEOUT_MS).unref();
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
  console.log(`${NAME} listens on http://127.0.0.1:${server.address().port}, ${durability}, batches of ${options.batchSize}`);
});
