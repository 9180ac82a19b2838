// Command lines of the peers. Bad input ends with a message and exit code 2.
import { parseArgs } from 'node:util';

const JOURNAL_MODES = ['WAL', 'DELETE', 'TRUNCATE', 'PERSIST', 'MEMORY'];
const SYNCHRONOUS = ['OFF', 'NORMAL', 'FULL', 'EXTRA'];

/** Most connections; further ones are closed at once. */
export const CONNECTIONS_MAX = 16_384;
/** Transfers in flight on a connection, past which it is not read. */
export const INFLIGHT_MAX = 16_384;

const FLAGS = {
  port: { default: '0' },
  database: {},
  'journal-mode': { default: 'WAL' },
  synchronous: { default: 'FULL' },
  'batch-size': { default: '100' },
  'batch-timeout-ms': { default: '2' },
  queue: { default: '65536' },
  'seed-accounts': { default: '100000' },
  'initial-balance': { default: '10000000' },
};

export function usage(message) {
  console.error(`error: ${message}`);
  process.exit(2);
}

export function readOptions(args = process.argv.slice(2)) {
  const options = { 'allow-seed': { type: 'boolean', default: false } };
  for (const [name, flag] of Object.entries(FLAGS)) options[name] = { type: 'string', ...flag };
  let given;
  try {
    given = parseArgs({ args, options }).values;
  } catch (error) {
    usage(error.message);
  }
  const number = (name, least, most, isWhole = true) => {
    const value = Number(given[name]);
    const isGood = given[name].trim() !== '' && value >= least && value <= most && (!isWhole || Number.isInteger(value));
    return isGood ? value : usage(`--${name} '${given[name]}' is not a ${isWhole ? 'whole ' : ''}number from ${least} to ${most}`);
  };
  const word = (name, words) => {
    const value = given[name].toUpperCase();
    return words.includes(value) ? value : usage(`--${name} '${given[name]}' is none of ${words.join(', ')}`);
  };
  if (!given.database) usage('--database is missing: name the file of the ledger');
  return {
    port: number('port', 0, 65_535),
    database: given.database,
    journalMode: word('journal-mode', JOURNAL_MODES),
    synchronous: word('synchronous', SYNCHRONOUS),
    batchSize: number('batch-size', 1, 1_048_576),
    batchTimeoutMs: number('batch-timeout-ms', 0, 60_000, false),
    queueTransfers: number('queue', 1, 1_048_576),
    seedAccounts: number('seed-accounts', 2, 10_000_000),
    initialBalance: number('initial-balance', 0, Number.MAX_SAFE_INTEGER),
    allowSeed: given['allow-seed'],
  };
}

/** The part of `info` that the command line decides. */
export function knobs(options) {
  return {
    encodings: ['json'],
    database: options.database,
    batch_size: options.batchSize,
    batch_timeout_us: options.batchSize === 1 ? 0 : options.batchTimeoutMs * 1000,
    queue_transfers: options.queueTransfers,
    max_inflight_per_connection: INFLIGHT_MAX,
  };
}
