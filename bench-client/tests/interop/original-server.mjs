// A peer that answers on the wire as the original benchmark's servers do: HTTP as in upstream's
// sqlite RPC server, WebSocket as in the article author's fork. Our own code, written from FACTS.md.
//
//   node original-server.mjs http|ws PORT DBFILE
//
// Prints one line, `listening <port>`, when ready (PORT 0 picks a free one). Stops on SIGTERM.
// ORIGINAL_FAKE=1 reads the balances and never writes them, which is what upstream does (F24).
import http from 'node:http';
import { WebSocketServer } from 'ws';
import { modeFromEnvironment, openLedger } from './common.mjs';

const [transport, portText, file] = process.argv.slice(2);
const port = Number(portText);
if (!['http', 'ws'].includes(transport) || !Number.isInteger(port) || !file) {
  console.error('usage: original-server.mjs http|ws PORT DBFILE');
  process.exit(64);
}

const db = openLedger(file, modeFromEnvironment());
const fake = process.env.ORIGINAL_FAKE === '1';
const readBalance = db.prepare('SELECT balance FROM accounts WHERE id = ?').pluck();
const writeBalance = db.prepare('UPDATE accounts SET balance = ? WHERE id = ?');

/** F20-F23. The rules of a transfer, in the original's order. Must run inside a transaction. */
function applyTransfer(args) {
  const from = Number(args.from_id ?? args.from); // F20: numbers and numeric strings alike
  const to = Number(args.to_id ?? args.to);
  const amount = Number(args.amount);
  if (!Number.isInteger(from) || !Number.isInteger(to) || !Number.isFinite(amount)) throw new Error('bad transfer');
  if (from === to || amount <= 0) return; // F21: a no-op is ok, even between accounts that do not exist
  const delta = BigInt(amount); // F20: a fraction throws here, so it is an error and not a no-op
  const fromBalance = readBalance.get(from);
  const toBalance = readBalance.get(to);
  if (fromBalance === undefined || toBalance === undefined) throw new Error('account missing'); // F22
  if (BigInt(fromBalance) < delta) return; // F21: insufficient funds is ok as well
  if (fake) return; // F24
  writeBalance.run(Number(BigInt(fromBalance) - delta), from); // F23: balances pass through doubles
  writeBalance.run(Number(BigInt(toBalance) + delta), to);
}
const transferAlone = db.transaction(applyTransfer);

// F60-F64. Group commit, WebSocket server only. The size is a trigger and not a cap: the batch is
// taken when it is reached, and all that arrives before its commit (the rest of the same chunk from
// the socket) is committed right after it, with a sync of its own.
const flag = (name) => !['0', 'false'].includes((process.env[name] ?? '1').toLowerCase());
const setting = (name, otherwise) => {
  const value = Number(process.env[name] ?? otherwise);
  return Math.max(0, Number.isFinite(value) ? value : otherwise); // F60: nonsense falls back, silently
};
const batching = transport === 'ws' && flag('SQLITE_WS_RPC_BATCHING');
const groupCommit = flag('SQLITE_WS_RPC_GROUP_COMMIT');
const triggerSize = Math.floor(setting('SQLITE_WS_RPC_BATCH_SIZE', 64));
const windowMs = setting('SQLITE_WS_RPC_BATCH_MS', 1);
let waiting = [];
let committing = false;
let timer;

/** Runs a batch, and answers it only after COMMIT has returned. A failing COMMIT ends the process (F65). */
function commit(batch) {
  const attempt = (run, { args }) => {
    try {
      run(args);
      return null;
    } catch (error) {
      return error;
    }
  };
  const outcomes = groupCommit
    ? db.transaction(() => batch.map((item) => attempt(applyTransfer, item)))() // F63: one failure spares the rest
    : batch.map((item) => attempt(transferAlone, item)); // F64
  batch.forEach((item, i) => (outcomes[i] ? item.reject(outcomes[i]) : item.resolve()));
}

function takeWaiting() {
  const batch = waiting;
  waiting = [];
  return batch;
}

function flush() {
  clearTimeout(timer);
  timer = undefined;
  if (committing || waiting.length === 0) return;
  committing = true;
  const first = takeWaiting();
  queueMicrotask(() => {
    commit(first);
    while (waiting.length > 0) commit(takeWaiting()); // F61: the leftover
    committing = false;
  });
}

function transferInBatch(args) {
  return new Promise((resolve, reject) => {
    waiting.push({ args, resolve, reject });
    if (committing) return;
    if (windowMs === 0 || (triggerSize > 0 && waiting.length >= triggerSize)) flush();
    else timer ??= setTimeout(flush, windowMs); // F62: the first to wait starts the clock
  });
}

/** F40-F42 */
function getAccount(args) {
  const id = Number(args.id);
  if (!Number.isInteger(id)) throw new Error('bad id');
  const balance = readBalance.get(id);
  return balance === undefined ? null : { id, balance: BigInt(balance).toString() };
}

/** F43-F45. The initial balance is the server's environment's, never what `seed` was told. */
function verify() {
  if (!process.env.SEED_INITIAL_BALANCE) return { skipped: true };
  const initial = BigInt(process.env.SEED_INITIAL_BALANCE);
  const { accounts, total, changed } = db
    .prepare('SELECT count(*) AS accounts, ifnull(sum(balance), 0) AS total, count(*) FILTER (WHERE balance <> ?) AS changed FROM accounts')
    .get(initial.toString());
  if (accounts === 0 || BigInt(total) !== initial * BigInt(accounts) || changed === 0) throw new Error('verify');
  return { accounts: String(accounts), total: String(total), changed: String(changed) };
}

/** F46-F48. Returns nothing, so the answer has no `result`. */
function seed(args) {
  const accounts = Number(args.accounts ?? process.env.SEED_ACCOUNTS ?? '0');
  const initial = args.initialBalance ?? process.env.SEED_INITIAL_BALANCE;
  if (!Number.isInteger(accounts) || accounts <= 0 || initial == null) throw new Error('bad seed');
  const balance = Number(BigInt(initial));
  db.transaction(() => {
    db.exec('DELETE FROM accounts');
    const insert = db.prepare('INSERT INTO accounts (id, balance) VALUES (?, ?)');
    for (let id = 0; id < accounts; id++) insert.run(id, balance);
  })();
}

/** F10-F14. Every failure inside a method is the same two words (F13). */
async function answer(request) {
  const name = request?.name;
  const args = request?.args ?? {};
  if (!name) return { ok: false, error: 'missing name' };
  try {
    if (name !== 'transfer') flush(); // F66: the others see what was queued before them ...
    while (name !== 'transfer' && committing) await null; // ... once it is committed
    switch (name) {
      case 'health':
        return { ok: true, result: { status: 'ok' } };
      case 'transfer':
        if (batching) await transferInBatch(args);
        else transferAlone(args);
        return { ok: true };
      case 'getAccount':
        return { ok: true, result: getAccount(args) };
      case 'verify':
        return { ok: true, result: verify() };
      case 'seed':
        return { ok: true, result: seed(args) };
      default:
        return { ok: false, error: `unknown method: ${name}` };
    }
  } catch {
    return { ok: false, error: 'internal error' };
  }
}

const server = http.createServer((req, res) => {
  const { pathname } = new URL(req.url, 'http://peer');
  if (transport === 'http' && req.method === 'POST' && pathname === '/rpc') {
    let text = ''; // F15: no limit on the body
    req.setEncoding('utf8').on('data', (chunk) => (text += chunk));
    req.on('end', async () => {
      let status = 400;
      let body = { ok: false, error: 'invalid json' };
      let request;
      try {
        request = JSON.parse(text);
        status = 0;
      } catch {}
      if (status === 0) {
        body = await answer(request);
        status = body.ok ? 200 : 500; // F12: a refused transfer has the status of a broken server
      }
      res.statusCode = status; // not writeHead(): that would make the body chunked, and F17 is content-length
      res.setHeader('content-type', 'application/json');
      res.end(JSON.stringify(body));
    });
    return;
  }
  // F16: these two have no content-type, and there is no /health.
  if (req.method === 'GET' && pathname === '/') res.end(`original ${transport} rpc server`);
  else {
    res.statusCode = 404;
    res.end('not found');
  }
});

if (transport === 'ws') {
  // F50-F52: only /rpc upgrades; neither an extension nor a subprotocol is ever accepted. (The ws
  // package would otherwise pick the first subprotocol offered.)
  const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false, handleProtocols: () => false });
  server.on('upgrade', (req, socket, head) => {
    if (new URL(req.url, 'http://peer').pathname !== '/rpc') socket.end('HTTP/1.1 404 Not Found\r\n\r\n');
    else sockets.handleUpgrade(req, socket, head, serve);
  });
}

function serve(socket) {
  socket.on('error', () => {}); // F57: resets and protocol errors end that connection only
  socket.on('message', (data, isBinary) => {
    if (isBinary) return socket.close(1003); // F53
    let request;
    try {
      request = JSON.parse(data.toString());
    } catch {
      return socket.send('{"ok":false,"error":"invalid json"}'); // F55: no id, the connection lives on
    }
    answer(request).then((body) => {
      if (socket.readyState !== socket.OPEN) return;
      const id = request?.id;
      socket.send(JSON.stringify(Number.isInteger(id) ? { ...body, id } : body)); // F54: id last, or none
    });
  });
}

server.listen(port, '127.0.0.1', () => console.log(`listening ${server.address().port}`));
for (const signal of ['SIGTERM', 'SIGINT']) {
  process.on(signal, () => {
    db.close();
    process.exit(0);
  });
}
