// The peers against each other, and the client against servers that break a rule on purpose: a
// client that reports no breach proves nothing unless it is known to see one.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import Database from 'better-sqlite3';
import { WebSocketServer } from 'ws';

const here = path.dirname(fileURLToPath(import.meta.url));
const dir = mkdtempSync(path.join(tmpdir(), 'busload-peers-'));
after(() => rmSync(dir, { recursive: true, force: true }));
let files = 0;
const newFile = () => path.join(dir, `${files++}.sqlite`);

function start(script, args, env = {}) {
  const child = spawn(process.execPath, [path.join(here, script), ...args.map(String)], {
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  child.text = '';
  child.stdout.on('data', (chunk) => (child.text += chunk));
  return child;
}

async function finished(script, args, env) {
  const child = start(script, args, env);
  const [code] = await once(child, 'close');
  return { code, text: child.text };
}

async function client(transport, port, { env, inflight = 1, accounts = 200 } = {}) {
  const { code, text } = await finished('original-client.mjs', [transport, `http://127.0.0.1:${port}/ignored`, accounts, 2, inflight, 0.5], env);
  return { code, ...JSON.parse(text) };
}

async function withServer(transport, file, env, use) {
  const server = start('original-server.mjs', [transport, 0, file], env);
  const gone = once(server, 'close');
  try {
    while (!server.text.includes('\n')) await once(server.stdout, 'data');
    return await use(Number(server.text.split(' ')[1]));
  } finally {
    server.kill();
    await gone;
  }
}

const realistic = { SQLITE_MODE: 'realistic', SEED_INITIAL_BALANCE: '10000000' };

for (const [transport, inflight] of [['http', 1], ['http', 4], ['ws', 1], ['ws', 16]]) {
  test(`${transport}, ${inflight} in flight: the peers understand each other`, async () => {
    const result = await withServer(transport, newFile(), realistic, (port) => client(transport, port, { inflight }));
    assert.deepEqual({ code: result.code, errors: result.errors, ledger: result.ledger, breaches: result.breaches }, { code: 0, errors: 0, ledger: 'match', breaches: {} });
    assert.equal(result.verify.total, String(200 * 10_000_000));
  });
}

test('verify is skipped when the server was not told the initial balance', async () => {
  const result = await withServer('ws', newFile(), { SQLITE_MODE: 'realistic' }, (port) => client('ws', port));
  assert.deepEqual([result.code, result.verify], [0, 'skipped']);
});

for (const transport of ['http', 'ws']) {
  test(`${transport}: a server that writes nothing is found out`, async () => {
    const result = await withServer(transport, newFile(), { ...realistic, ORIGINAL_FAKE: '1' }, (port) => client(transport, port));
    assert.equal(result.code, 3);
    assert.match(result.verify, /^failed: .*internal error/);
    assert.match(result.ledger, /^mismatch/);
  });
}

for (const [way, journal] of [['prep', 'delete'], ['docker', 'wal']]) {
  test(`a file seeded the ${way} way has integers, ids from 0, journal ${journal}, and serves`, async () => {
    const file = newFile();
    assert.equal((await finished('original-seed.mjs', [file, 12_345, 500, way])).code, 0);
    const db = new Database(file);
    assert.equal(db.pragma('journal_mode', { simple: true }), journal);
    const row = db.prepare('SELECT min(id) low, max(id) high, count(*) n, sum(balance) total, group_concat(DISTINCT typeof(balance)) types FROM accounts').get();
    assert.deepEqual(row, { low: 0, high: 12_344, n: 12_345, total: 6_172_500, types: 'integer' });
    db.close();
    const env = { ...realistic, SEED_INITIAL_BALANCE: '500' };
    const result = await withServer('http', file, env, (port) => client('http', port, { env: { ...env, SKIP_SEED: '1' }, accounts: 12_345 }));
    assert.deepEqual([result.code, result.ledger, result.verify.total], [0, 'match', '6172500']);
  });
}

/** What a stub says to the calls around the transfers, so that a client gets as far as those. */
function polite({ name, args }) {
  if (name === 'health') return { ok: true, result: { status: 'ok' } };
  if (name === 'seed') return { ok: true };
  if (name === 'getAccount') return { ok: true, result: args.id < 200 ? { id: args.id, balance: '1' } : null };
  if (name === 'verify') return { ok: true, result: { skipped: true } };
  return { ok: false, error: 'no' };
}

async function httpStub(onTransfer, use) {
  const server = http.createServer(async (req, res) => {
    let text = '';
    for await (const chunk of req) text += chunk;
    const request = JSON.parse(text);
    const refused = request.name === 'transfer' ? onTransfer(res) : undefined;
    if (refused === undefined) {
      const body = polite(request);
      res.writeHead(body.ok ? 200 : 500, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    }
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  try {
    return await use(server.address().port);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

test('http: an error answer in JSON is not retried, whatever its status', async () => {
  const overloaded = (res) => res.writeHead(503).end('{"ok":false,"error":"overloaded"}');
  const result = await httpStub(overloaded, (port) => client('http', port));
  assert.deepEqual([result.code, result.retries, result.completed, result.breaches], [4, 0, 0, {}]);
});

test('http: an error answer that is not JSON is retried by its status, and is a breach', async () => {
  const plain = (res) => res.writeHead(503).end('busy');
  const result = await httpStub(plain, (port) => client('http', port));
  assert.equal(result.code, 2);
  assert.ok(result.retries > 0);
});

for (const [what, spoil, expected] of [
  ['an answer without an id', (body, { id, ...rest }) => JSON.stringify({ ...rest, ...body }), /without an integer id/],
  ['a binary frame', (body, request) => Buffer.from(JSON.stringify({ ...body, id: request.id })), /binary frame/],
  ['an answer to another id', (body, request) => JSON.stringify({ ...body, id: request.id + 1000 }), /not waiting/],
]) {
  test(`ws: ${what} is a breach`, async () => {
    const stub = new WebSocketServer({ port: 0, host: '127.0.0.1' });
    await once(stub, 'listening');
    stub.on('connection', (socket) => {
      socket.on('message', (data) => {
        const request = JSON.parse(data);
        const body = request.name === 'transfer' ? { ok: true } : polite(request);
        socket.send(request.name === 'transfer' ? spoil(body, request) : JSON.stringify({ ...body, id: request.id }));
      });
    });
    try {
      const result = await client('ws', stub.address().port, { inflight: 4, env: { BENCH_OP_TIMEOUT_MS: '300' } });
      assert.equal(result.code, 2);
      assert.match(Object.keys(result.breaches).join('; '), expected);
    } finally {
      for (const socket of stub.clients) socket.terminate();
      stub.close();
    }
  });
}
