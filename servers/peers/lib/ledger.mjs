// Accounts in SQLite and the rules of a transfer. Knows SQL, and neither sockets nor a driver: the
// driver is handed in as `store`:
//   prepare(sql) -> { run(...values) -> { changes }, get(...values), all(...values) }
//   atomically(work) -> what work() gives, after its COMMIT. An error that it throws means that
//     nothing was committed, unless it is an OutcomeUnknown.
import { Refused } from './protocol.mjs';

/** Whether the transaction is durable is not known. The server must answer so, and stop. */
export class OutcomeUnknown extends Error {}

// JavaScript's numbers are bound as doubles: CAST makes integers of them again, so that balances
// are exact to 64 bits although amounts are not above 2^53.
const AMOUNT = 'CAST(? AS INTEGER)';
const PAGE_ROWS = 10_000;

export class Ledger {
  #store;
  #debit;
  #credit;
  #exists;
  #balance;
  /** Whether `seed` may wipe: only what this process made, unless told otherwise. */
  #mayWipe;

  /** Opens the ledger, and makes one where there is none. */
  constructor(store, { seedAccounts, initialBalance, allowSeed = false }) {
    this.#store = store;
    const found = store.prepare("SELECT name FROM sqlite_master WHERE name = 'accounts'").get();
    this.#mayWipe = allowSeed || !found;
    if (found) this.#prepare();
    else this.#create(seedAccounts, BigInt(initialBalance));
  }

  #prepare() {
    const prepare = (sql) => this.#store.prepare(sql);
    this.#debit = prepare(`UPDATE accounts SET balance = balance - ${AMOUNT} WHERE id = ? AND balance >= ${AMOUNT}`);
    this.#credit = prepare(`UPDATE accounts SET balance = balance + ${AMOUNT} WHERE id = ? AND balance <= 9223372036854775807 - ${AMOUNT}`);
    this.#exists = prepare('SELECT 1 AS found FROM accounts WHERE id = ?');
    this.#balance = prepare('SELECT CAST(balance AS TEXT) AS balance FROM accounts WHERE id = ?');
  }

  atomically(work) {
    return this.#store.atomically(work);
  }

  /**
   * Makes one transfer inside the caller's transaction. A refused one leaves no trace, and does not
   * end the transaction: `{ error, changes, refunds }`, with the row changes that SQLite reported.
   */
  transfer({ from, to, amount }) {
    if (this.#debit.run(amount, from, amount).changes === 0) {
      const known = this.#exists.get(from) && this.#exists.get(to);
      return { error: known ? 'insufficient_funds' : 'account_missing', changes: 0, refunds: 0 };
    }
    if (this.#credit.run(amount, to, amount).changes === 1) return { error: null, changes: 2, refunds: 0 };
    // The payer is there, so this cannot overflow: it had the amount a moment ago.
    const refund = this.#credit.run(amount, from, amount).changes;
    if (refund !== 1) throw new OutcomeUnknown('a debit could not be taken back');
    const error = this.#exists.get(to) ? 'balance_overflow' : 'account_missing';
    return { error, changes: 2, refunds: 1 };
  }

  account(id) {
    const row = this.#balance.get(id);
    return row ? { id, balance: row.balance } : null;
  }

  #create(accounts, initialBalance) {
    const run = (sql, ...values) => this.#store.prepare(sql).run(...values);
    this.#store.atomically(() => {
      run('DROP TABLE IF EXISTS accounts');
      run('CREATE TABLE accounts(id INTEGER PRIMARY KEY, balance INTEGER NOT NULL) STRICT');
      run(
        `INSERT INTO accounts(id, balance)
         WITH RECURSIVE n(id) AS (SELECT 0 UNION ALL SELECT id + 1 FROM n WHERE id + 1 < CAST(? AS INTEGER))
         SELECT id, CAST(? AS INTEGER) FROM n`,
        accounts,
        String(initialBalance),
      );
      run('CREATE TABLE IF NOT EXISTS busload(key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT');
      run("INSERT OR REPLACE INTO busload(key, value) VALUES ('initial_balance', CAST(? AS INTEGER))", String(initialBalance));
    });
    this.#prepare();
  }

  /** Wipes and creates, where that is allowed or there is nothing to do. */
  seed({ accounts, initialBalance }) {
    if (!this.#mayWipe) {
      const { lowest, highest, first, last, ...there } = this.#summary();
      const asked = String(initialBalance);
      const isSame = there.accounts === accounts && lowest === asked && highest === asked;
      if (!isSame || first !== 0 || last !== accounts - 1) throw new Refused('forbidden');
      return;
    }
    this.#create(accounts, initialBalance);
  }

  #summary() {
    // In two halves: a sum of many 64-bit balances need not fit 64 bits.
    const row = this.#store
      .prepare(
        `SELECT count(*) AS accounts, min(id) AS first, max(id) AS last,
           CAST(min(balance) AS TEXT) AS lowest, CAST(max(balance) AS TEXT) AS highest,
           CAST(ifnull(sum(balance >> 32), 0) AS TEXT) AS high,
           CAST(ifnull(sum(balance & 4294967295), 0) AS TEXT) AS low
         FROM accounts`,
      )
      .get();
    const total = (BigInt(row.high) << 32n) + BigInt(row.low);
    return { ...row, accounts: Number(row.accounts), total };
  }

  /** The total must be that of the seeding, and some balance another. */
  verify() {
    const known = this.#store.prepare("SELECT name FROM sqlite_master WHERE name = 'busload'").get();
    const stored = known && this.#store
      .prepare("SELECT CAST(value AS TEXT) AS value FROM busload WHERE key = 'initial_balance'").get();
    if (!stored) return { skipped: true };
    const { accounts, total } = this.#summary();
    const { changed } = this.#store
      .prepare('SELECT count(*) AS changed FROM accounts WHERE balance <> CAST(? AS INTEGER)')
      .get(stored.value);
    if (total !== BigInt(accounts) * BigInt(stored.value) || changed === 0) throw new Refused('verify_failed');
    return { accounts: String(accounts), total: String(total), changed: String(changed) };
  }

  /** All balances together, with a digest over every (id, balance). */
  balances() {
    const { accounts, total, lowest } = this.#summary();
    const page = this.#store.prepare(
      `SELECT id, CAST(balance AS TEXT) AS balance FROM accounts WHERE id > ? ORDER BY id LIMIT ${PAGE_ROWS}`,
    );
    let [one, two] = [0xdeadbeef, 0x41c6ce57];
    for (let rows = page.all(-1); rows.length > 0; rows = page.all(rows.at(-1).id)) {
      for (const { id, balance } of rows) {
        const text = `${id}:${balance};`;
        for (let place = 0; place < text.length; place++) {
          const code = text.charCodeAt(place);
          one = Math.imul(one ^ code, 2654435761);
          two = Math.imul(two ^ code, 1597334677) ^ (one >>> 15);
        }
      }
    }
    const hex = (word) => (word >>> 0).toString(16).padStart(8, '0');
    return { accounts, total: String(total), lowest: lowest ?? '0', digest: hex(one) + hex(two) };
  }
}
