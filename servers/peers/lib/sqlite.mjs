// A database file under better-sqlite3 or bun:sqlite, whose APIs agree in what is used here.
import { OutcomeUnknown } from './ledger.mjs';

const PRAGMAS = ['journal_mode', 'synchronous', 'page_size', 'wal_autocheckpoint', 'cache_size', 'locking_mode'];
const SYNCHRONOUS = ['OFF', 'NORMAL', 'FULL', 'EXTRA'];

/** The durability modes of docs/protocol-stats.md, by the pragmas as read back. */
const DURABILITY = {
  'wal FULL': 'wal-full',
  'wal NORMAL': 'wal-normal',
  'delete FULL': 'delete-full',
  'delete EXTRA': 'delete-extra',
  'memory OFF': 'memory',
};

/** Sets the pragmas, and gives the store that a `Ledger` wants. */
export function sqliteStore(database, { journalMode, synchronous }) {
  database.exec(`PRAGMA journal_mode = ${journalMode}`);
  database.exec(`PRAGMA synchronous = ${synchronous}`);
  const [begin, commit] = ['BEGIN IMMEDIATE', 'COMMIT'].map((sql) => database.prepare(sql));
  return {
    prepare: (sql) => database.prepare(sql),
    atomically(work) {
      begin.run();
      let result;
      try {
        result = work();
      } catch (error) {
        rollBack(database);
        throw error;
      }
      try {
        commit.run();
      } catch (error) {
        // Even a transaction that SQLite could still roll back may have reached the log.
        throw new OutcomeUnknown(`COMMIT: ${error.message}`, { cause: error });
      }
      return result;
    },
  };
}

function rollBack(database) {
  if (!database.inTransaction) return; // SQLite has done it, as after an I/O error
  try {
    database.exec('ROLLBACK');
  } catch (error) {
    throw new OutcomeUnknown(`ROLLBACK: ${error.message}`, { cause: error });
  }
}

/** What the server runs with, as SQLite says now, whatever it was told at the start. */
export function sqliteInfo(database) {
  const pragmas = {};
  for (const name of PRAGMAS) pragmas[name] = String(Object.values(database.prepare(`PRAGMA ${name}`).get())[0]);
  const version = database.prepare('SELECT sqlite_version() AS version').get().version;
  const mode = `${pragmas.journal_mode} ${SYNCHRONOUS[pragmas.synchronous]}`;
  return {
    engine: { name: 'sqlite', version, settings: pragmas },
    durability: DURABILITY[mode] ?? 'custom',
    pragmas,
    sqlite_version: version,
    apply: 'per-transfer',
    exactly_once: false,
    pid: process.pid,
    tls: false,
    authenticated: false,
  };
}
