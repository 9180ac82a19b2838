// Makes a database file as the original's seeding tools do. Our own code, written from FACTS.md.
//
//   node original-seed.mjs DBFILE ACCOUNTS INITIAL [prep|docker]
//
// prep   (what `npm run prep` runs): no pragma, one INSERT from a recursive query, one transaction (F35)
// docker (the container's seeder): SQLITE_MODE's pragmas, so usually a WAL file, balances bound as
//        text, 10,000 rows to a transaction (F36)
import { modeFromEnvironment, openLedger } from './common.mjs';

const [file, accountsText, initialText, way = 'prep'] = process.argv.slice(2);
const accounts = Number(accountsText);
if (!file || !Number.isInteger(accounts) || accounts < 1 || !/^\d+$/.test(initialText ?? '') || !['prep', 'docker'].includes(way)) {
  console.error('usage: original-seed.mjs DBFILE ACCOUNTS INITIAL [prep|docker]');
  process.exit(64);
}

if (way === 'prep') {
  const db = openLedger(file, null);
  db.exec(`BEGIN;
    DELETE FROM accounts;
    INSERT INTO accounts (id, balance)
      WITH RECURSIVE ids(id) AS (VALUES (0) UNION ALL SELECT id + 1 FROM ids WHERE id + 1 < ${accounts})
      SELECT id, ${initialText} FROM ids;
    COMMIT;`);
  db.close();
} else {
  const db = openLedger(file, modeFromEnvironment());
  db.exec('DELETE FROM accounts');
  const insert = db.prepare('INSERT INTO accounts (id, balance) VALUES (?, ?)');
  const chunk = db.transaction((start, end) => {
    for (let id = start; id < end; id++) insert.run(id, initialText); // text, made INTEGER by the column's affinity
  });
  for (let start = 0; start < accounts; start += 10_000) chunk(start, Math.min(start + 10_000, accounts));
  db.close();
}
