// Every peer that is installed, on the wire, started as its target file says. One whose packages are
// missing is skipped by name.
//
//   node --test tests/*.test.mjs             (npm ci in each folder first; npm run build in nitro-ws)
//   BUSLOAD_PEERS=bun-sqlite node --test tests/peers.test.mjs
//
// The WebSocket client is the package ws of node-sqlite-ws.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { describe, test } from 'node:test';
import { STATUS } from '../lib/protocol.mjs';

const ROOT = path.resolve(import.meta.dirname, '..');
const require = createRequire(path.join(ROOT, 'node-sqlite-ws/package.json'));

/** The parts of a target file that are needed here: its lists and tables are on one line each. */
function readTarget(folder) {
  const text = fs.readFileSync(path.join(folder, 'target.toml'), 'utf8');
  const start = text.slice(text.indexOf('[start]'));
  return {
    name: /^name = "(.*)"/m.exec(text)[1],
    isHttp: /^connector = "sqlite_rpc"/m.test(text),
    isDurable: /^durability = "durable"/m.test(text),
    isStarted: text.includes('\n[start]') && !/^untested = true/m.test(text),
    command: JSON.parse(/^command = (\[.*\])/m.exec(start)?.[1] ?? '[]'),
    environment: Object.fromEntries([.../^environment = \{(.*)\}/m.exec(start)?.[1].matchAll(/(\w+) = "(.*?)"/g) ?? []].map(([, key, value]) => [key, value])),
  };
}

async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

class Peer {
  constructor(folder, target, directory) {
    Object.assign(this, { folder, target, directory });
  }

  async start(extra = []) {
    this.port = await freePort();
    const words = { port: this.port, data_dir: this.directory, database: path.join(this.directory, 'ledger.sqlite') };
    const fill = (text) => text.replace(/\{(\w+)\}/g, (_, word) => words[word]);
    const [program, ...args] = [...this.target.command, ...extra].map(fill);
    const environment = Object.fromEntries(Object.entries(this.target.environment).map(([key, value]) => [key, fill(value)]));
    this.output = '';
    this.process = spawn(program, args, { cwd: this.folder, env: { ...process.env, ...environment }, stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [this.process.stdout, this.process.stderr]) stream.on('data', (data) => (this.output += data));
    this.ended = once(this.process, 'exit');
    for (let tries = 0; tries < 300; tries++) {
      const health = await fetch(`http://127.0.0.1:${this.port}/health`).catch(() => null);
      if (health?.ok) return assert.equal((await health.json()).ok, true);
      assert.equal(this.process.exitCode, null, this.output);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    assert.fail(`no health: ${this.output}`);
  }

  /** The exit code, or the signal. */
  async end(signal) {
    this.process.kill(signal);
    const timer = setTimeout(() => this.process.kill('SIGKILL'), 10_000);
    const [code, by] = await this.ended;
    clearTimeout(timer);
    return by ?? code;
  }

  async connect() {
    return this.target.isHttp ? new HttpClient(this.port) : WsClient.open(this.port);
  }
}

class HttpClient {
  constructor(port) {
    this.url = `http://127.0.0.1:${port}/rpc`;
  }

  async send(body, headers = {}) {
    const response = await fetch(this.url, { method: 'POST', body, headers: { 'content-type': 'application/json', ...headers } });
    const answer = await response.json();
    assert.equal(response.status, answer.ok ? 200 : STATUS[answer.error], JSON.stringify(answer));
    return answer;
  }

  ask = (name, args) => this.send(JSON.stringify({ name, args }));
  close() {}
}

class WsClient {
  #next = 1;
  #waiting = new Map();

  static async open(port, headers) {
    const client = new WsClient();
    const { WebSocket } = require('ws');
    client.socket = new WebSocket(`ws://127.0.0.1:${port}/rpc`, { headers, perMessageDeflate: false });
    client.socket.on('message', (data) => {
      const answer = JSON.parse(data);
      client.#waiting.get(answer.id)?.(answer);
      client.#waiting.delete(answer.id);
    });
    await once(client.socket, 'open');
    return client;
  }

  send(text, id = null) {
    this.socket.send(text);
    return new Promise((resolve) => this.#waiting.set(id, resolve));
  }

  ask(name, args) {
    const id = this.#next++;
    return this.send(JSON.stringify({ id, name, args }), id);
  }

  close() {
    this.socket.close();
  }
}

const transfer = (from_id, to_id, amount = 1) => ['transfer', { from_id, to_id, amount }];
const wanted = process.env.BUSLOAD_PEERS?.split(',');

for (const name of fs.readdirSync(ROOT).sort()) {
  const folder = path.join(ROOT, name);
  if (!fs.existsSync(path.join(folder, 'target.toml'))) continue;
  const target = readTarget(folder);
  if (!target.isStarted || (wanted && !wanted.includes(name))) continue;
  const built = target.command[1]?.startsWith('.output') ? target.command[1] : 'node_modules';
  const skip = !fs.existsSync(path.join(folder, built)) && `${built} is missing in ${name}`;

  describe(name, { skip }, () => {
    const within = async (work) => {
      const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'busload-peer-'));
      const peer = new Peer(folder, target, directory);
      try {
        await peer.start();
        await work(peer);
      } finally {
        await peer.end('SIGKILL');
        fs.rmSync(directory, { recursive: true });
      }
    };

    test('serves the protocol', () => within(async (peer) => {
      assert.equal(target.name, name);
      const client = await peer.connect();
      const ask = (...call) => client.ask(...call);
      const ok = async (...call) => {
        const answer = await ask(...call);
        assert.equal(answer.ok, true, `${JSON.stringify(call)}: ${JSON.stringify(answer)}`);
        return answer.result;
      };
      const refused = async (code, ...call) => assert.equal((await ask(...call)).error, code, JSON.stringify(call));

      await ok('health');
      await ok('seed', { accounts: 10, initialBalance: 100 });
      await refused('verify_failed', 'verify');
      const counts = async () => {
        const answer = await ask('stats', { balances: true });
        assert.ok(answer.ok || answer.error === 'unknown_method', answer.error);
        return answer.result;
      };
      const before = await counts();
      assert.equal(await ok(...transfer(1, 2, 30)), undefined);
      assert.deepEqual(await ok('getAccount', { id: 1 }), { id: 1, balance: '70' });
      assert.deepEqual(await ok('getAccount', { id: 2 }), { id: 2, balance: '130' });
      assert.equal(await ok('getAccount', { id: 10 }), null);
      assert.deepEqual(await ok('verify'), { accounts: '10', total: '1000', changed: '2' });

      await refused('insufficient_funds', ...transfer(1, 2, 71));
      await refused('account_missing', ...transfer(1, 10));
      await refused('account_missing', ...transfer(10, 1));
      await refused('account_missing', ...transfer(-1, 1, 1_000));
      await refused('invalid_transfer', ...transfer(1, 1));
      await refused('invalid_transfer', ...transfer(1, 2, 0));
      await refused('invalid_request', ...transfer(1, 2, '1'));
      await refused('invalid_request', 'transfer', {});
      await refused('unknown_method', 'nonsense');
      assert.equal((await client.send('{"name":')).error, 'invalid_request');

      // In one go, so that they share batches: the refused one takes none with it.
      const calls = Array.from({ length: 200 }, (_, one) => (one % 2 ? transfer(3, 99) : transfer(3 + (one % 4), 7)));
      const answers = await Promise.all(calls.map((call) => ask(...call)));
      answers.forEach(({ ok, error }, one) => assert.equal(ok ? null : error, one % 2 ? 'account_missing' : null));

      const after = await counts();
      if (after) {
        assert.deepEqual({ ...after.balances, digest: 0 }, { accounts: 10, total: '1000', lowest: '50', digest: 0 });
        assert.notEqual(after.balances.digest, before.balances.digest);
        const grown = (key) => after[key] - before[key];
        assert.deepEqual([grown('committed'), grown('applied'), grown('unknown')], [101, 101, 0]);
        assert.equal(after.row_changes, 2 * (after.applied + after.refunds));
        assert.equal(after.rejected.account_missing, 103);
        assert.equal(after.commit_syncs, undefined, 'nobody here can count syncs');
      }

      // What is not exact to 64 bits must say so.
      const largest = '9223372036854775807';
      const seeded = await ask('seed', { accounts: 2, initialBalance: largest });
      if (seeded.ok) {
        await refused('balance_overflow', ...transfer(0, 1));
        assert.deepEqual(await ok('getAccount', { id: 0 }), { id: 0, balance: largest });
        assert.equal((await counts()).balances.total, '18446744073709551614');
      } else {
        assert.deepEqual([seeded.error, target.isDurable], ['invalid_request', false]);
      }

      const info = await ask('info');
      if (info.ok) {
        assert.equal(info.result.durability, 'wal-full');
        assert.deepEqual([info.result.pragmas.journal_mode, info.result.pragmas.synchronous], ['wal', '2']);
        assert.deepEqual([info.result.pid, info.result.exactly_once], [peer.process.pid, false]);
      } else {
        assert.equal(info.error, 'unknown_method');
      }
      client.close();
    }));

    test('lets no web page in', () => within(async (peer) => {
      const headers = { origin: 'http://example.org' };
      if (target.isHttp) {
        const answer = await new HttpClient(peer.port).send('{"name":"health"}', headers);
        assert.equal(answer.error, 'forbidden');
      } else {
        await assert.rejects(WsClient.open(peer.port, headers), /403/);
      }
    }));

    test('answers on SIGTERM what waits for its batch, and ends with 0', () => within(async (peer) => {
      if (target.command[1] === 'serve' || !target.isDurable) {
        // No flags for the batches. And workerd waits for its WebSockets to be closed.
        const client = await peer.connect();
        assert.equal((await client.ask(...transfer(1, 2))).ok, true);
        client.close();
        assert.equal(await peer.end('SIGTERM'), 0, peer.output);
        await peer.start();
        const again = await peer.connect();
        assert.equal((await again.ask('getAccount', { id: 2 })).result.balance, '10000001');
        return again.close();
      }
      await peer.end('SIGKILL');
      await peer.start(['--batch-size', '100', '--batch-timeout-ms', '60000']);
      const client = await peer.connect();
      const answers = Array.from({ length: 20 }, () => client.ask(...transfer(1, 2)));
      const depth = async () => (await client.ask('stats')).result.queue.depth;
      while ((await depth()) < 20) await new Promise((resolve) => setTimeout(resolve, 20));
      assert.equal(await peer.end('SIGTERM'), 0, peer.output);
      for (const { ok } of await Promise.all(answers)) assert.equal(ok, true);
      await peer.start();
      const again = await peer.connect();
      assert.equal((await again.ask('getAccount', { id: 2 })).result.balance, '10000020');
      again.close();
    }));

    test('has after kill -9 what it promises, and lets nobody wipe it', () => within(async (peer) => {
      const client = await peer.connect();
      let acknowledged = 0;
      const load = Array.from({ length: 8 }, async (_, worker) => {
        for (;;) {
          const answer = await client.ask(...transfer(worker, 100 + worker)).catch(() => null);
          if (!answer?.ok) return;
          acknowledged++;
        }
      });
      await new Promise((resolve) => setTimeout(resolve, 500));
      await peer.end('SIGKILL');
      await Promise.race([Promise.all(load), new Promise((resolve) => setTimeout(resolve, 200))]);
      assert.ok(acknowledged > 0);
      await peer.start();
      const again = await peer.connect();
      let moved = 0;
      for (let worker = 0; worker < 8; worker++) {
        const { result } = await again.ask('getAccount', { id: 100 + worker });
        moved += Number(result.balance) - 10_000_000;
      }
      const least = target.isDurable ? acknowledged : 0;
      assert.ok(moved >= least && moved <= acknowledged + 8, `${moved} of ${acknowledged}`);
      if (moved > 0) assert.equal((await again.ask('verify')).ok, true);
      assert.equal((await again.ask('seed', { accounts: 10, initialBalance: 100 })).error, 'forbidden');
      again.close();
    }));
  });
}
