// What each method of the protocol does, whatever carries it.
import { readAccount, readSeed, readTransfer, Refused } from './protocol.mjs';

/**
 * Answers a request as `readRequest` gives it by `answer(error, result)`, now or, for a transfer,
 * when its batch is committed. `info` is what the server says of itself; without it the method is
 * unknown, which is right for a server that cannot read back what it runs with.
 */
export function call({ ledger, commits, info }, { name, args, error }, answer) {
  try {
    if (error) throw new Refused(error);
    if (name === 'transfer') return commits.submit(readTransfer(args), answer);
    // One thread: the others see every transfer that came before them.
    if (name === 'getAccount' || name === 'seed' || name === 'verify' || args.balances === true) commits.flush();
    switch (name) {
      case 'health':
        return answer(null, { status: 'ok' });
      case 'getAccount':
        return answer(null, ledger.account(readAccount(args)));
      case 'seed':
        return answer(null, ledger.seed(readSeed(args)));
      case 'verify':
        return answer(null, ledger.verify());
      case 'stats':
        return answer(null, stats(commits, args.balances === true ? ledger.balances() : undefined));
      case 'info':
        if (info) return answer(null, info());
    }
    throw new Refused('unknown_method');
  } catch (thrown) {
    if (!(thrown instanceof Refused)) console.error(`${name} failed: ${thrown}`);
    answer(thrown instanceof Refused ? thrown.code : 'internal');
  }
}

/**
 * Counters since the start. No driver for JavaScript counts syncs or bytes, so `commit_syncs`,
 * `syncs`, `bytes_written` and `checkpoints` are left out. `leftovers` is a key of the peers' own.
 */
function stats({ counters, depth }, balances) {
  return {
    committed: counters.committed,
    rejected: counters.rejected,
    failed: counters.failed,
    unknown: counters.unknown,
    applied: counters.rowChanges / 2 - counters.refunds,
    row_changes: counters.rowChanges,
    refunds: counters.refunds,
    batches: counters.batches,
    batches_that_wrote: counters.batchesThatWrote,
    leftovers: counters.leftovers,
    queue: { depth, peak: counters.peak, overloaded: counters.failed.overloaded ?? 0 },
    stages: { batch_size: { count: counters.batches, sum: counters.batched, histogram: '' } },
    balances,
  };
}
