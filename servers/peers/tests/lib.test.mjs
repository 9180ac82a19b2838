// The rules that the peers share, without sockets and without a database.
//
//   node --test tests/*.test.mjs
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GroupCommit } from '../lib/group-commit.mjs';
import { OutcomeUnknown } from '../lib/ledger.mjs';
import { answerText, readRequest, readSeed, readTransfer, STATUS } from '../lib/protocol.mjs';

const refusal = (work) => {
  try {
    work();
  } catch (error) {
    return error.code;
  }
  return null;
};

test('requests are read as the protocol says', () => {
  const good = '{"id":7,"name":"transfer","args":{"from_id":1,"to_id":2,"amount":3}}';
  assert.deepEqual(readRequest(good), { id: 7, name: 'transfer', args: { from_id: 1, to_id: 2, amount: 3 } });
  assert.deepEqual(readRequest('{"id":7,"name":"verify","args":null}'), { id: 7, name: 'verify', args: {} });
  for (const [text, id] of [['', null], ['[]', null], ['null', null], ['{"id":3}', 3], ['{"id":-1,"name":1}', null], ['{"id":4,"name":"x","args":[]}', 4]]) {
    assert.deepEqual(readRequest(text), { id, error: 'invalid_request' }, text);
  }
});

test('arguments are whole numbers, and each is given once', () => {
  assert.deepEqual(readTransfer({ from: 1, to: 2, amount: 3 }), { from: 1, to: 2, amount: 3 });
  const base = { from_id: 1, to_id: 2, amount: 3 };
  for (const [change, code] of [
    [{ amount: '3' }, 'invalid_request'],
    [{ amount: 1.5 }, 'invalid_request'],
    [{ amount: 2 ** 53 }, 'invalid_request'],
    [{ from: 1 }, 'invalid_request'],
    [{ transfer_id: 7 }, 'invalid_request'],
    [{ to_id: undefined }, 'invalid_request'],
    [{ amount: 0 }, 'invalid_transfer'],
    [{ amount: Number('-9223372036854775808') }, 'invalid_transfer'],
    [{ to_id: 1 }, 'invalid_transfer'],
  ]) {
    assert.equal(refusal(() => readTransfer({ ...base, ...change })), code, JSON.stringify(change));
  }
  assert.deepEqual(readSeed({ accounts: 2, initialBalance: '9223372036854775807' }).initialBalance, 2n ** 63n - 1n);
  for (const args of [{ accounts: 1, initialBalance: 1 }, { accounts: 2 }, { accounts: 2, initialBalance: '9223372036854775808' }, { accounts: 2, initialBalance: -1 }]) {
    assert.equal(refusal(() => readSeed(args)), 'invalid_request', JSON.stringify(args));
  }
});

test('answers carry the id, and no error text holds a digit', () => {
  assert.equal(answerText(7, null), '{"id":7,"ok":true}');
  assert.equal(answerText(null, 'invalid_request'), '{"id":null,"ok":false,"error":"invalid_request"}');
  assert.equal(answerText(undefined, null, null), '{"ok":true,"result":null}');
  for (const code of Object.keys(STATUS)) assert.doesNotMatch(code, /\d/);
});

/** Remembers the batches; `fail` is thrown by the COMMIT. */
class FakeLedger {
  batches = [];
  fail;

  atomically(work) {
    this.batches.push(0);
    const result = work();
    if (this.fail) throw this.fail;
    return result;
  }

  transfer({ isRejected }) {
    this.batches[this.batches.length - 1]++;
    return isRejected ? { error: 'insufficient_funds', changes: 0, refunds: 0 } : { error: null, changes: 2, refunds: 0 };
  }
}

function commitsOf(options) {
  const ledger = new FakeLedger();
  const failures = [];
  const defaults = { batchSize: 100, batchTimeoutMs: 60_000, queueTransfers: 1_000 };
  const commits = new GroupCommit(ledger, { ...defaults, ...options }, (error) => failures.push(error));
  const answers = [];
  const chunk = async (count, transfer = {}) => {
    for (let one = 0; one < count; one++) commits.submit(transfer, (error) => answers.push(error));
    await null; // the end of the turn of the event loop
  };
  return { ledger, commits, answers, failures, chunk };
}

test('the batch size is a trigger, and what is left of a chunk is committed alone', async () => {
  const { ledger, commits, chunk } = commitsOf({});
  for (let connection = 0; connection < 12; connection++) await chunk(8);
  assert.deepEqual(ledger.batches, []);
  await chunk(8);
  assert.deepEqual(ledger.batches, [100, 4]);
  assert.equal(commits.counters.leftovers, 1);
});

test('a chunk of several batches is cut', async () => {
  const { ledger, chunk } = commitsOf({ batchSize: 10 });
  await chunk(25);
  assert.deepEqual(ledger.batches, [10, 10, 5]);
});

test('the oldest waits no longer than the batch timeout', async () => {
  const { ledger, chunk, answers } = commitsOf({ batchTimeoutMs: 5 });
  await chunk(3);
  assert.deepEqual(ledger.batches, []);
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.deepEqual([ledger.batches, answers], [[3], [null, null, null]]);
});

test('a batch size of one commits at once', async () => {
  const { ledger, chunk } = commitsOf({ batchSize: 1 });
  await chunk(3);
  assert.deepEqual(ledger.batches, [1, 1, 1]);
});

test('a timeout of zero commits what the turn has read', async () => {
  const { ledger, chunk } = commitsOf({ batchTimeoutMs: 0 });
  await chunk(8);
  assert.deepEqual(ledger.batches, [8]);
});

test('a rejected transfer does not abort its batch', async () => {
  const { commits, answers, chunk } = commitsOf({ batchSize: 3 });
  commits.submit({}, (error) => answers.push(error));
  commits.submit({ isRejected: true }, (error) => answers.push(error));
  await chunk(1);
  assert.deepEqual(answers, [null, 'insufficient_funds', null]);
  const { committed, rejected, rowChanges, batches } = commits.counters;
  assert.deepEqual([committed, rejected, rowChanges, batches], [2, { insufficient_funds: 1 }, 4, 1]);
});

test('the queue is bounded', async () => {
  const { commits, answers, chunk } = commitsOf({ queueTransfers: 5 });
  await chunk(7);
  assert.deepEqual(answers, ['overloaded', 'overloaded']);
  commits.flush();
  assert.deepEqual(answers.slice(2), Array(5).fill(null));
});

test('nothing is acknowledged whose COMMIT failed, and the server stops', async () => {
  const { ledger, answers, failures, chunk } = commitsOf({ batchSize: 2 });
  ledger.fail = new OutcomeUnknown('disk I/O error');
  await chunk(3);
  assert.deepEqual(answers, ['unknown_outcome', 'unknown_outcome', 'shutting_down']);
  assert.deepEqual(failures, [ledger.fail]);
  await chunk(1);
  assert.equal(answers[3], 'shutting_down');
});

test('a batch that was rolled back is answered with the reason, and the server goes on', async () => {
  const { ledger, answers, failures, chunk } = commitsOf({ batchSize: 2 });
  ledger.fail = Object.assign(new Error('full'), { code: 'SQLITE_FULL' });
  await chunk(2);
  ledger.fail = Object.assign(new Error('busy'), { code: 'SQLITE_BUSY' });
  await chunk(2);
  ledger.fail = undefined;
  await chunk(2);
  assert.deepEqual(answers, ['storage_full', 'storage_full', 'overloaded', 'overloaded', null, null]);
  assert.deepEqual(failures, []);
});

test('what waits when the server stops is committed, and what comes after is refused', async () => {
  const { commits, answers, chunk } = commitsOf({});
  await chunk(3);
  commits.stop();
  await chunk(1);
  assert.deepEqual(answers, [null, null, null, 'shutting_down']);
});
