// A peer that drives a server as the original benchmark's client does, and judges what comes back.
// Our own code, written from FACTS.md ("F<n>" below).
//
//   node original-client.mjs http|ws URL ACCOUNTS CONCURRENCY INFLIGHT SECONDS
//
// Environment: SEED_INITIAL_BALANCE (default 10000000), SKIP_SEED=1 (keep the server's database),
// ALPHA (default 1.5), BENCH_OP_TIMEOUT_MS (default 15000).
// Prints one JSON line. Exit: 0 fine; 2 the wire protocol was broken; 3 money is wrong (verify failed,
// or balances disagree with what was acknowledged); 4 nothing completed, or no server; 5 overran.
import WebSocket from 'ws';

const [transport, url, ...numbers] = process.argv.slice(2);
const [accounts, concurrency, inflight, seconds] = numbers.map(Number);
if (!['http', 'ws'].includes(transport) || !url || ![accounts, concurrency, inflight, seconds].every((n) => n > 0) || accounts < 2) {
  console.error('usage: original-client.mjs http|ws URL ACCOUNTS CONCURRENCY INFLIGHT SECONDS');
  process.exit(64);
}
const initialBalance = Number(process.env.SEED_INITIAL_BALANCE ?? 10_000_000);
const opTimeoutMs = Number(process.env.BENCH_OP_TIMEOUT_MS ?? 15_000);
const alpha = Number(process.env.ALPHA ?? 1.5);

const report = { peer: 'original-client', transport, completed: 0, errors: 0, completedInWindow: 0, tps: 0, retries: 0, timeouts: 0, sent: 0 };
const breaches = new Map(); // text -> how often: what the original would choke on, or never expects
const errorTexts = new Map();
const tally = (map, text) => map.set(text, (map.get(text) ?? 0) + 1);
const breach = (text) => tally(breaches, text);

function finish(code) {
  report.breaches = Object.fromEntries(breaches);
  report.errorTexts = Object.fromEntries([...errorTexts].slice(0, 8));
  console.log(JSON.stringify(report));
  process.exit(breaches.size > 0 ? 2 : code);
}
setTimeout(() => finish(5), seconds * 1000 + opTimeoutMs + 30_000).unref();

/** F70-F74. One HTTP POST per call; the platform's fetch keeps and pools the connections. */
function httpConnector() {
  const rpc = new URL('/rpc', url); // F70: whatever path the URL had is replaced
  return {
    async call(name, args) {
      const response = await fetch(rpc, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ name, args }), // F71: absent args vanish
      });
      const text = await response.text();
      let body;
      try {
        body = JSON.parse(text);
      } catch {
        // F73: only here does the status enter the error text, and so make a 503 retriable
        breach(`${name}: not JSON, HTTP ${response.status}`);
        throw new Error(`${name} invalid JSON: HTTP ${response.status} ${response.statusText} body=${text.slice(0, 200)}`);
      }
      if (!response.ok || !body.ok) {
        if (response.ok || body.ok) breach(`${name}: HTTP ${response.status} disagrees with ok=${body.ok}`);
        if (typeof body.error !== 'string' || !body.error) breach(`${name}: an error without a text`);
        throw new Error(`${name} failed: ${body.error || `HTTP ${response.status} ${response.statusText}`} body=${text.slice(0, 200)}`); // F72
      }
      return body.result;
    },
    close() {},
  };
}

/** F80-F88. One socket per worker, opened by its first call; ids count up from 1. */
function wsConnector() {
  const rpc = new URL(url); // F80
  rpc.protocol = rpc.protocol.replace('http', 'ws');
  rpc.pathname = '/rpc';
  rpc.search = rpc.hash = '';
  const pending = new Map();
  let socket;
  let connecting;
  let nextId = 1;
  let closing = false;

  const dropAll = (reason) => {
    for (const { reject } of pending.values()) reject(new Error(reason));
    pending.clear();
  };
  // F84: an answer that cannot be matched costs the client everything it has in flight
  const abandon = (reason) => {
    breach(reason);
    dropAll(reason);
    socket?.close();
  };
  const receive = (data, isBinary) => {
    if (isBinary) return abandon('binary frame'); // F83
    let body;
    try {
      body = JSON.parse(data.toString());
    } catch {
      return abandon('answer is not JSON');
    }
    if (!Number.isInteger(body.id)) return abandon(`answer without an integer id: ${data.toString().slice(0, 100)}`);
    const waiter = pending.get(body.id);
    if (!waiter) return breach('answer to an id that is not waiting'); // the original ignores it (F85)
    pending.delete(body.id);
    if (body.ok) return waiter.resolve(body.result);
    if (typeof body.error !== 'string' || !body.error) breach('an error without a text');
    waiter.reject(new Error(`RPC failed: ${body.error || 'unknown error'}`)); // F86
  };
  const connect = () => {
    if (socket?.readyState === WebSocket.OPEN) return socket;
    connecting ??= new Promise((resolve, reject) => {
      // F81: no subprotocol; permessage-deflate is offered, as the platform's WebSocket does
      const opening = new WebSocket(rpc.href);
      opening.on('message', receive);
      opening.on('open', () => resolve((socket = opening)));
      opening.on('error', (error) => {
        if (!closing && opening === socket) breach(`websocket error: ${error.code ?? error.message}`);
        reject(error);
      });
      opening.on('close', (code) => {
        if (socket === opening) socket = undefined; // F87: the next call opens another
        if (!closing && pending.size > 0) breach(`server closed with calls waiting, code ${code}`);
        dropAll('websocket closed');
        reject(new Error('websocket closed'));
      });
    }).finally(() => (connecting = undefined));
    return connecting;
  };
  return {
    async call(name, args) {
      const open = await connect();
      const id = nextId++;
      return new Promise((resolve, reject) => {
        pending.set(id, { resolve, reject }); // F88: a timed-out call stays here, its late answer is no stray
        open.send(JSON.stringify({ id, name, args })); // F82
      });
    },
    close() {
      closing = true;
      socket?.close();
    },
  };
}

const connector = transport === 'http' ? httpConnector : wsConnector;
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function within(promise, ms) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => {
      report.timeouts++;
      reject(new Error(`timed out after ${ms} ms`));
    }, ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** F90, F91. The call of the workload, with the original's retry rule: by the digits in the text. */
async function transfer(worker, from, to) {
  for (let attempt = 1; ; attempt++) {
    try {
      report.sent++;
      const result = await worker.call('transfer', { amount: 1, from_id: from, to_id: to });
      if (result !== undefined) breach('transfer: an unexpected result');
      return;
    } catch (error) {
      if (attempt === 3 || !/429|502|503|504/.test(error.message)) throw error;
      report.retries++;
      await sleep(50 * attempt);
    }
  }
}

/** F92. Two different accounts, both from a Zipf distribution, by inverse transform; seeded. */
function makePairs(count) {
  const upTo = new Float64Array(accounts);
  let sum = 0;
  for (let rank = 0; rank < accounts; rank++) upTo[rank] = sum += 1 / (rank + 1) ** Math.max(alpha, 0);
  let state = 0x9e3779b9;
  const random = () => {
    state ^= state << 13; // xorshift32
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
  const pick = () => {
    const target = random() * sum;
    let low = 0;
    let high = accounts - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (upTo[middle] < target) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  return Array.from({ length: count }, () => {
    const from = pick();
    let to = pick();
    while (to === from) to = pick();
    return [from, to];
  });
}

/** F75. Reads one account and holds the answer to its shape. */
async function balanceOf(root, id) {
  const account = await root.call('getAccount', { id });
  if (account?.id !== id || typeof account.balance !== 'string' || !/^\d+$/.test(account.balance)) {
    breach(`getAccount: ${JSON.stringify(account)}`);
    return NaN;
  }
  return Number(account.balance);
}

/** Not in the original's run: would it survive this server's refusals? (F84, F91) */
async function probe(root) {
  const refusals = [
    ['no_such_method', undefined],
    ['transfer', { amount: 1, from_id: 0, to_id: accounts }],
    ['transfer', { amount: 1, from_id: 'x', to_id: 1 }],
  ];
  report.refusals = [];
  for (const [name, args] of refusals) {
    const text = await within(root.call(name, args), opTimeoutMs).then(
      () => 'ok', // F21 allows it nowhere here
      (error) => error.message,
    );
    if (text === 'ok') breach(`${name} ${JSON.stringify(args)}: not refused`);
    if (/429|502|503|504/.test(text)) breach(`${name}: its refusal looks retriable`);
    report.refusals.push(text.slice(0, 120));
  }
  if ((await root.call('getAccount', { id: accounts })) !== null) breach('getAccount of a missing account: not null');
}

async function main() {
  // F76. The preparation is a client of its own: health, seed, close.
  if (process.env.SKIP_SEED !== '1') {
    const seeder = connector();
    await seeder.call('health');
    const seeded = await seeder.call('seed', { accounts, initialBalance });
    if (seeded !== undefined) breach('seed: an unexpected result');
    seeder.close();
  }

  const root = connector();
  const health = await root.call('health'); // F77: on the root only; the original does not look at the result
  if (health?.status !== 'ok') breach(`health: ${JSON.stringify(health)}`);

  // The ledger check is ours: net change per account, for the hottest ids and some others.
  const sample = [...new Set([...Array(16).keys(), 100, 999, accounts - 1])].filter((id) => id < accounts);
  const before = await Promise.all(sample.map((id) => balanceOf(root, id)));
  const net = new Map();

  const workers = Array.from({ length: concurrency }, connector);
  const pairs = makePairs(100_000);
  const pipelined = inflight > 1; // F93: over HTTP the original needs BENCH_PIPELINED=1 for this
  const startedAt = performance.now();
  const endAt = startedAt + seconds * 1000;

  async function one(worker, [from, to]) {
    // F94: the timeout shrinks towards the end of the window
    const timeout = Math.max(250, Math.min(opTimeoutMs, endAt - performance.now() + 1000));
    try {
      await within(transfer(worker, from, to), timeout);
      report.completed++;
      if (performance.now() <= endAt) report.completedInWindow++; // F95: what its TPS counts
      net.set(from, (net.get(from) ?? 0) - 1);
      net.set(to, (net.get(to) ?? 0) + 1);
    } catch (error) {
      report.errors++;
      tally(errorTexts, error.message.slice(0, 160));
    }
  }
  async function run(worker, index) {
    let next = index * Math.max(1, Math.floor(pairs.length / concurrency));
    const flying = new Set();
    while (performance.now() < endAt) {
      const pair = pairs[next++ % pairs.length];
      if (!pipelined) await one(worker, pair);
      else if (flying.size < inflight) {
        const op = one(worker, pair).then(() => flying.delete(op));
        flying.add(op);
      } else await sleep(0); // F93: a full window is polled, so it refills in bursts
    }
    await Promise.all(flying);
  }
  await Promise.all(workers.map(run));
  report.tps = Math.round(report.completedInWindow / seconds);

  let wrong = false;
  try {
    const verified = await within(root.call('verify'), opTimeoutMs); // F78
    report.verify = verified?.skipped === true ? 'skipped' : verified;
    const decimal = (text) => typeof text === 'string' && /^\d+$/.test(text);
    if (report.verify !== 'skipped' && !['accounts', 'total', 'changed'].every((key) => decimal(verified?.[key]))) {
      breach(`verify: ${JSON.stringify(verified)}`);
    }
  } catch (error) {
    wrong = true; // the original only logs this
    report.verify = `failed: ${error.message.slice(0, 200)}`;
  }

  const after = await Promise.all(sample.map((id) => balanceOf(root, id)));
  const off = sample.filter((id, i) => after[i] - before[i] !== (net.get(id) ?? 0));
  report.ledger = report.errors > 0 ? 'not judged: some outcomes are unknown' : off.length > 0 ? `mismatch at ${off}` : 'match';
  wrong ||= report.ledger.startsWith('mismatch');

  await probe(root);
  for (const worker of [...workers, root]) worker.close();
  finish(wrong ? 3 : report.completed === 0 ? 4 : 0);
}

main().catch((error) => {
  report.fatal = String(error.cause ?? error.message ?? error);
  finish(4);
});
