// The ledger, and what the route and the plugin share. Flags are those of the Node.js peers; Nitro
// takes port and host from NITRO_PORT and NITRO_HOST.
import Database from 'better-sqlite3';
import { GroupCommit } from '../lib/group-commit.mjs';
import { Ledger } from '../lib/ledger.mjs';
import { knobs, readOptions } from '../lib/options.mjs';
import { sqliteInfo, sqliteStore } from '../lib/sqlite.mjs';

const NAME = 'nitro-ws';

const options = readOptions();
const database = new Database(options.database);
const ledger = new Ledger(sqliteStore(database, options), options);
const commits = new GroupCommit(ledger, options, (error) => {
  console.error(`the outcome of a batch is unknown, the server stops: ${error.message}`);
  stop(5);
});
const info = () => ({ server: NAME, version: process.version, transport: 'ws', ...knobs(options), ...sqliteInfo(database) });

export const service = { ledger, commits, info, isStopping: false };
/** Open connections. */
export const peers = new Set();

/** How long clients have to close their side when the server stops. */
const CLOSE_TIMEOUT_MS = 1_000;

/** Answers what was read, closes the connections, and ends the process. */
export function stop(code) {
  if (service.isStopping) return;
  service.isStopping = true;
  commits.stop();
  for (const peer of peers) peer.close(1001);
  const until = Date.now() + CLOSE_TIMEOUT_MS;
  setInterval(() => {
    if (peers.size > 0 && Date.now() < until) return;
    database.close();
    process.exit(code);
  }, 10);
}
