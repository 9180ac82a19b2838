// Group commit as the article's server does it, on one thread. Knows neither SQL nor sockets.
import { OutcomeUnknown } from './ledger.mjs';

/**
 * The rule, which design.md of this project calls the leftover rule:
 *
 * - The batch size is a trigger. When so many transfers wait, all that wait are committed; so they
 *   are when the oldest has waited for the batch timeout.
 * - The commit begins at the end of the turn of the event loop, when the whole chunk that was read
 *   from a socket has been queued. What of it is more than the batch size is left over, and is
 *   committed alone, with a sync of its own, instead of going first in the next batch.
 *
 * With 50 connections, 8 in flight each and a batch size of 100, the thirteenth chunk fills the
 * batch (104 ≥ 100): a commit of 100 and a commit of 4. A batch size of 1 is no group commit:
 * every transfer is a transaction of its own at once.
 */
export class GroupCommit {
  #ledger;
  #options;
  #waiting = [];
  #timer;
  #isDue = false;
  #isStopped = false;
  /** Called after everything was answered when a COMMIT's outcome is unknown. */
  #failed;
  counters = {
    committed: 0, rejected: {}, failed: {}, unknown: 0, rowChanges: 0, refunds: 0,
    batches: 0, batchesThatWrote: 0, batched: 0, leftovers: 0, peak: 0,
  };

  constructor(ledger, { batchSize, batchTimeoutMs, queueTransfers }, failed) {
    this.#ledger = ledger;
    this.#options = { batchSize, batchTimeoutMs, queueTransfers };
    this.#failed = failed;
  }

  get options() {
    return this.#options;
  }

  get depth() {
    return this.#waiting.length;
  }

  /** Queues a transfer; `answer(error)` is called once, with null after the COMMIT that covers it. */
  submit(transfer, answer) {
    const { batchSize, batchTimeoutMs, queueTransfers } = this.#options;
    if (this.#isStopped) return this.#refuse(answer, 'shutting_down');
    if (this.#waiting.length >= queueTransfers) return this.#refuse(answer, 'overloaded');
    this.#waiting.push({ transfer, answer });
    this.counters.peak = Math.max(this.counters.peak, this.#waiting.length);
    if (batchSize === 1) return this.flush();
    if (this.#isDue) return; // belongs to the chunk that is being read: a leftover
    if (this.#waiting.length >= batchSize || batchTimeoutMs === 0) {
      this.#isDue = true;
      queueMicrotask(() => this.flush());
    } else {
      this.#timer ??= setTimeout(() => this.flush(), batchTimeoutMs);
    }
  }

  /** Commits everything that waits, in batches of at most the batch size. */
  flush() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#isDue = false;
    for (let count = 0; this.#waiting.length > 0; count++) {
      if (this.#isStopped) return this.#refuseAll();
      if (count > 0) this.counters.leftovers++;
      this.#commit(this.#waiting.splice(0, this.#options.batchSize));
    }
  }

  /** Commits what waits; refuses what comes after. */
  stop() {
    this.flush();
    this.#isStopped = true;
  }

  #commit(batch) {
    const { counters } = this;
    let outcomes;
    try {
      outcomes = this.#ledger.atomically(() => batch.map(({ transfer }) => this.#ledger.transfer(transfer)));
    } catch (error) {
      return this.#abandon(batch, error);
    }
    counters.batches++;
    counters.batched += batch.length;
    let changes = 0;
    for (const { error, ...reported } of outcomes) {
      changes += reported.changes;
      counters.refunds += reported.refunds;
      if (error) counters.rejected[error] = (counters.rejected[error] ?? 0) + 1;
      else counters.committed++;
    }
    counters.rowChanges += changes;
    if (changes > 0) counters.batchesThatWrote++;
    batch.forEach(({ answer }, place) => answer(outcomes[place].error));
  }

  /** The batch was rolled back for a reason that passes, or nobody knows what became of it. */
  #abandon(batch, error) {
    const passes = { SQLITE_FULL: 'storage_full', SQLITE_BUSY: 'overloaded' }[error.code];
    if (passes && !(error instanceof OutcomeUnknown)) {
      for (const { answer } of batch) this.#refuse(answer, passes);
      return;
    }
    this.counters.unknown += batch.length;
    this.#isStopped = true;
    for (const { answer } of batch) answer('unknown_outcome');
    this.#refuseAll();
    this.#failed(error);
  }

  #refuseAll() {
    for (const { answer } of this.#waiting.splice(0)) this.#refuse(answer, 'shutting_down');
  }

  #refuse(answer, code) {
    this.counters.failed[code] = (this.counters.failed[code] ?? 0) + 1;
    answer(code);
  }
}
