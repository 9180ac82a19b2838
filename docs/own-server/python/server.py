"""A transfer server over HTTP and sqlite3: one COMMIT, and with it one sync, for each transfer."""
import json, sqlite3, sys, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

port, database = int(sys.argv[1]), sys.argv[2]
ledger = sqlite3.connect(database, check_same_thread=False, isolation_level=None)
ledger.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;")
one_at_a_time = threading.Lock()

def seed(accounts, initialBalance):
    ledger.executescript("BEGIN; DROP TABLE IF EXISTS accounts; CREATE TABLE accounts"
                         "(id INTEGER PRIMARY KEY, balance INTEGER NOT NULL, initial INTEGER NOT NULL);")
    each = int(initialBalance)
    ledger.executemany("INSERT INTO accounts VALUES (?, ?, ?)", ((id, each, each) for id in range(accounts)))

def transfer(from_id, to_id, amount):
    if amount < 1 or from_id == to_id: raise ValueError("invalid_transfer")
    ledger.execute("BEGIN IMMEDIATE")
    found = dict(ledger.execute("SELECT id, balance FROM accounts WHERE id IN (?, ?)", (from_id, to_id)))
    if len(found) < 2: raise ValueError("account_missing")
    if found[from_id] < amount: raise ValueError("insufficient_funds")
    ledger.execute("UPDATE accounts SET balance = balance + CASE id WHEN ? THEN ? ELSE ? END"
                   " WHERE id IN (?, ?)", (to_id, amount, -amount, from_id, to_id))

def get_account(id):
    found = ledger.execute("SELECT balance FROM accounts WHERE id = ?", (id,)).fetchone()
    return found and {"id": id, "balance": str(found[0])}

def verify():
    count, total, seeded, changed = ledger.execute(
        "SELECT count(*), sum(balance), sum(initial), sum(balance <> initial) FROM accounts").fetchone()
    if total != seeded or not changed: raise ValueError("verify_failed")
    return {"accounts": str(count), "total": str(total), "changed": str(changed)}

METHODS = {"health": lambda: {"status": "ok"}, "seed": seed, "transfer": transfer,
           "getAccount": get_account, "verify": verify}

class Handler(BaseHTTPRequestHandler):
    protocol_version, wbufsize, disable_nagle_algorithm = "HTTP/1.1", -1, True

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        method = METHODS.get(request["name"])
        with one_at_a_time:
            try:
                if not method: raise ValueError("unknown_method")
                answer = {"ok": True, "result": method(**(request.get("args") or {}))}
                if ledger.in_transaction: ledger.execute("COMMIT")  # no answer leaves before this returns
            except ValueError as error:
                if ledger.in_transaction: ledger.execute("ROLLBACK")
                answer = {"ok": False, "error": str(error)}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_): pass

ThreadingHTTPServer.request_queue_size = 1024
ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
