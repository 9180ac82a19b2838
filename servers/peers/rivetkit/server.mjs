// A RivetKit actor that holds the ledger in its state, behind a WebSocket of the package ws.
//
//   node server.mjs --port 4107 --data-dir DIR
//
// Not durable: an action is answered from memory. The file system driver writes the state at most
// once in 10 seconds, and syncs nothing. Listens on 127.0.0.1; RivetKit's own server and inspector
// stay off, so that nothing else listens.
import http from 'node:http';
import { parseArgs } from 'node:util';
import { actor, createFileSystemDriver, setup } from 'rivetkit';
import { WebSocketServer } from 'ws';
import { CONNECTIONS_MAX, INFLIGHT_MAX, usage } from './lib/options.mjs';
import { answerText, MESSAGE_BYTES_MAX, readAccount, readRequest, readSeed, readTransfer, Refused } from './lib/protocol.mjs';

/** A client that leaves so much unread is closed. */
const UNREAD_BYTES_MAX = 16 * 1024 * 1024;
const CLOSE_TIMEOUT_MS = 1_000;

const { port, 'data-dir': path } = parseArgs({ options: { port: { type: 'string', default: '0' }, 'data-dir': { type: 'string' } } }).values;
if (!path || !/^\d{1,5}$/.test(port)) usage('give --port NUMBER and --data-dir DIR, the folder of the state');

/** Whether this process made the ledger: only then may `seed` wipe it. */
let isOurs = false;

/** The methods, on the actor's state. Balances are JavaScript's numbers here: exact to 2^53. */
const METHODS = {
  transfer({ balances }, args) {
    const { from, to, amount } = readTransfer(args);
    if (balances[from] === undefined || balances[to] === undefined) throw new Refused('account_missing');
    if (balances[from] < amount) throw new Refused('insufficient_funds');
    if (!Number.isSafeInteger(balances[to] + amount)) throw new Refused('balance_overflow');
    balances[from] -= amount;
    balances[to] += amount;
  },
  getAccount({ balances }, args) {
    const id = readAccount(args);
    return balances[id] === undefined ? null : { id, balance: String(balances[id]) };
  },
  seed(state, args) {
    const { accounts, initialBalance } = readSeed(args);
    if (initialBalance > Number.MAX_SAFE_INTEGER) throw new Refused('invalid_request');
    const balance = Number(initialBalance);
    if (!isOurs) {
      if (state.balances.length === accounts && state.balances.every((one) => one === balance)) return;
      throw new Refused('forbidden');
    }
    state.initialBalance = balance;
    state.balances = Array(accounts).fill(balance);
  },
  verify({ balances, initialBalance }) {
    const total = balances.reduce((sum, balance) => sum + BigInt(balance), 0n);
    const changed = balances.filter((balance) => balance !== initialBalance).length;
    if (total !== BigInt(initialBalance) * BigInt(balances.length) || changed === 0) throw new Refused('verify_failed');
    return { accounts: String(balances.length), total: String(total), changed: String(changed) };
  },
};

const ledger = actor({
  createState() {
    isOurs = true;
    return { initialBalance: 10_000_000, balances: Array(100_000).fill(10_000_000) };
  },
  options: { noSleep: true },
  actions: {
    /** `[error, result]`. */
    async call(c, name, args) {
      try {
        const result = METHODS[name](c.state, args);
        // Written at once, so that a killed process loses transfers and not the ledger.
        if (name === 'seed') await c.saveState({ immediate: true });
        return [null, result];
      } catch (error) {
        if (error instanceof Refused) return [error.code];
        throw error;
      }
    },
    save: (c) => c.saveState({ immediate: true }),
  },
});
const { client } = setup({ use: { ledger } }).start({
  driver: createFileSystemDriver({ path }),
  disableDefaultServer: true,
  noWelcome: true,
  inspector: { enabled: false },
  logging: { level: 'error' },
});
const handle = client.ledger.getOrCreate(['ledger']);
const connection = handle.connect();

async function answer({ name, args, error }) {
  if (error) return [error];
  if (name === 'health') return [null, { status: 'ok' }];
  if (isStopping) return ['shutting_down'];
  if (!Object.hasOwn(METHODS, name)) return ['unknown_method'];
  return connection.call(name, args);
}

const server = http.createServer((request, response) => {
  const isHealth = ['GET', 'HEAD'].includes(request.method) && ['/', '/health'].includes(request.url);
  response.statusCode = isHealth ? 200 : 404;
  response.setHeader('content-type', 'application/json');
  response.end(isHealth ? answerText(undefined, null, { status: 'ok' }) : answerText(undefined, 'unknown_method'));
});
server.maxConnections = CONNECTIONS_MAX;
const sockets = new WebSocketServer({ noServer: true, maxPayload: MESSAGE_BYTES_MAX, perMessageDeflate: false, handleProtocols: () => false });
server.on('upgrade', (request, socket, head) => {
  socket.on('error', () => socket.destroy());
  const refuse = (status) => socket.end(`HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
  if (request.headers.origin !== undefined) return refuse('403 Forbidden'); // a web page
  if (!['/', '/rpc'].includes(request.url)) return refuse('404 Not Found');
  sockets.handleUpgrade(request, socket, head, serve);
});

/** Requests that the actor has not answered, of all connections. */
let underWay = 0;

function serve(socket) {
  let inFlight = 0;
  socket.on('error', () => {}); // a breach of the protocol: ws closes with its code
  socket.on('message', async (data, isBinary) => {
    const request = isBinary ? { id: null, error: 'invalid_request' } : readRequest(data.toString());
    if (request.id === null) request.error = 'invalid_request';
    if (++inFlight === INFLIGHT_MAX) socket.pause();
    underWay++;
    // What the actor throws, its own stop included, leaves open whether it had applied the transfer.
    const [error, result] = await answer(request).catch(() => ['unknown_outcome']);
    underWay--;
    if (inFlight-- === INFLIGHT_MAX) socket.resume();
    if (socket.readyState !== socket.OPEN) return;
    if (socket.bufferedAmount > UNREAD_BYTES_MAX) return socket.terminate();
    // JSON has null where the actor's encoding knows no undefined.
    socket.send(answerText(request.id, error, result ?? (request.name === 'getAccount' ? null : undefined)));
  });
}

let isStopping = false;
async function stop() {
  if (isStopping) return;
  isStopping = true;
  const until = Date.now() + CLOSE_TIMEOUT_MS;
  while (underWay > 0 && Date.now() < until) await new Promise((resolve) => setTimeout(resolve, 5));
  await connection.save();
  for (const socket of sockets.clients) socket.close(1001);
  setTimeout(() => process.exit(0), CLOSE_TIMEOUT_MS).unref();
  server.close(() => process.exit(0));
  server.closeIdleConnections();
}
process.on('SIGTERM', stop);
process.on('SIGINT', stop);

server.on('error', (error) => {
  console.error(`error: ${error.message}`);
  process.exit(5);
});
await connection.call('getAccount', { id: 0 }); // the actor has its state
server.listen(Number(port), '127.0.0.1', () => console.log(`rivetkit listens on ws://127.0.0.1:${server.address().port}, not durable`));
