// What the original's server and seeding tool share: the schema and the durability presets.
// "F<n>" throughout these files is the number of a fact in FACTS.md.
import Database from 'better-sqlite3';
import fs from 'node:fs';
import path from 'node:path';

// F31. The presets by their pragmas. `default` runs none: the file's own journal mode and the
// driver's compiled-in defaults decide (F32). `synchronous = MEMORY` is not a SQLite value; it is
// sent as it stands, because what SQLite makes of it (NORMAL) is the point of that preset.
const PRAGMAS = {
  baseline: ['journal_mode = DELETE', 'synchronous = FULL'],
  default: [],
  realistic: ['journal_mode = WAL', 'synchronous = FULL'],
  realistic_fast: ['journal_mode = WAL', 'synchronous = NORMAL', 'temp_store = MEMORY', 'cache_size = -64000'],
  realistic_cached: ['journal_mode = WAL', 'synchronous = MEMORY', 'temp_store = MEMORY', 'cache_size = -64000'],
  fastest: ['journal_mode = MEMORY', 'synchronous = OFF', 'temp_store = MEMORY', 'cache_size = -64000', 'foreign_keys = OFF'],
};

/** F30. Unset and unknown values both mean `realistic_cached`, without a word. */
export function modeFromEnvironment() {
  const asked = (process.env.SQLITE_MODE ?? '').toLowerCase();
  return Object.hasOwn(PRAGMAS, asked) ? asked : 'realistic_cached';
}

/** Opens the database; `mode` null means "the seeding tool's way": no pragma at all (F35). */
export function openLedger(file, mode) {
  const inMemory = mode === 'fastest'; // F31: the only preset that ignores the file
  if (!inMemory) fs.mkdirSync(path.dirname(path.resolve(file)), { recursive: true });
  const db = new Database(inMemory ? ':memory:' : file);
  for (const pragma of PRAGMAS[mode] ?? []) db.pragma(pragma);
  db.exec('CREATE TABLE IF NOT EXISTS accounts (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL)'); // F33
  return db;
}
