#!/usr/bin/env python3
"""Where the processor time of a transfer goes, stage by stage: docs/performance.md is made with it.

usage: scripts/cpu-by-stage.py PROGRAM [FLAGS OF RUN…]

Runs `PROGRAM run FLAGS…` and samples client and server with perf (cpu-clock, 1 kHz) for two
seconds of the window. PROGRAM is bench-client, built so that addresses have names:

    CARGO_PROFILE_RELEASE_DEBUG=line-tables-only cargo build --release --bin bench-client

Prints one line of JSON: TPS, processor time per transfer in microseconds, that time by stage, and
bytes, syncs and transfers per batch. Needs perf, addr2line and a user who may sample the kernel.
Sharing the cores with anything else makes the figures worthless. With TOP=N in the environment
the N functions that take most of each stage go to standard error.
"""
import collections
import json
import os
import re
import subprocess
import sys
import tempfile

SECONDS_SAMPLED = 2
FREQUENCY_HZ = 997

# What SQLite does to write pages down; all else of SQLite is applying.
COMMIT_C = re.compile(
    r"^(sqlite3Pager|pager|sqlite3Wal|wal|sqlite3Pcache|pcache|sqlite3BtreeCommit|sqlite3Os|"
    r"unix|seekAnd|sqlite3BitvecSet|vdbeCommit|sqlite3BtreeBeginTrans|btreeEndTransaction|"
    r"sqlite3VdbeHalt|ptrmap|allocateSpace_log)")
# Looking pages up is applying, whatever the function is called.
APPLY_C = re.compile(r"^(sqlite3PcacheFetch|pcache1Fetch|sqlite3PagerGet|getPage|sqlite3PagerUnref|"
                     r"sqlite3PcacheRelease|sqlite3PcacheMakeDirty|sqlite3PagerWrite|pager_write|"
                     r"pcache1Unpin|sqlite3PcacheMakeClean|pagerAddPageToRollback)")
RUST = [
    ("codec", re.compile(r"busload_wire::")),
    ("commit", re.compile(r"busload_sqlite::vfs::")),
    ("transport", re.compile(r"busload_net::|tungstenite|httparse|hyper::")),
    ("client", re.compile(r"busload_generator::(load|workload)|hdrhistogram|rand_xoshiro")),
    ("apply", re.compile(r"busload_sqlite::|rusqlite")),
    ("hand-over", re.compile(r"busload_engine::|busload_frontend::(completion|mailbox|answers|ws::conn|shared)")),
    ("transport", re.compile(r"busload_frontend::|busload_generator::connector|tokio|mio::|futures")),
]
MEMORY = re.compile(r"memcpy|memmove|memset|memcmp|^mi_|^_mi_|malloc|^free|__rdl_|__rust_alloc")
FUTEX = re.compile(r"futex|try_to_wake|wake_up_q|wake_q|plist")


def stage(side, thread, kernel, names):
    """The stage of one sample; `names` from the innermost inlined function outwards."""
    leaf = names[0]
    if kernel:
        if thread in ("writer", "checkpointer"):
            return "hand-over" if FUTEX.search(leaf) else "commit"
        return "transport (kernel)"
    if thread == "checkpointer":
        return "commit"
    for name in names:
        for what, pattern in RUST:
            if pattern.search(name):
                return what
    if MEMORY.search(leaf):
        return "copying, allocation"
    if thread == "writer":
        if APPLY_C.search(leaf):
            return "apply"
        if COMMIT_C.search(leaf):
            return "commit"
        if leaf.startswith(("sqlite3", "btree", "vdbe")) or "::" not in leaf:
            return "apply"
    return "client" if side == "client" else "transport"


def inlined(program, addresses):
    """The names at each address, the innermost first."""
    asked = "\n".join("0x%x" % address for address in addresses)
    told = subprocess.run(["addr2line", "-e", program, "-i", "-f", "-C", "-a"], input=asked,
                          capture_output=True, text=True, check=True).stdout
    names, current = {}, None
    lines = iter(told.splitlines())
    for line in lines:
        if line.startswith("0x"):
            current = names.setdefault(int(line, 16), [])
        else:
            current.append(line)
            next(lines)  # The file and line.
    return names


def run(program, flags, work):
    record = os.path.join(work, "record.json")
    data = os.path.join(work, "perf.data")
    flags = ["--no-null-server", "--output", record, "-P", "1"] + flags
    client = subprocess.Popen([program, "run"] + flags, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)
    said, perf, server = [], None, None
    for line in client.stdout:
        said.append(line)
        # The first interval has ended: the window is open.
        if perf is None and re.search(r"^\s*[\d.]+ s\b|TPS", line):
            with open("/proc/%d/task/%d/children" % (client.pid, client.pid)) as children:
                server = int(children.read().split()[0])
            perf = subprocess.Popen(
                ["perf", "record", "-q", "-e", "cpu-clock", "-F", str(FREQUENCY_HZ), "-o", data,
                 "-p", "%d,%d" % (client.pid, server), "--", "sleep", str(SECONDS_SAMPLED)],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if client.wait() != 0 or perf is None or perf.wait() != 0:
        sys.exit("error: the run or perf failed:\n" + "".join(said))
    return record, data, client.pid


def symbols(program):
    """Where each function of the program is."""
    told = subprocess.run(["nm", program], capture_output=True, text=True, check=True).stdout
    parts = (line.split() for line in told.splitlines())
    return {part[2]: int(part[0], 16) for part in parts if len(part) == 3 and part[1] in "tTwW"}


def sampled(data):
    """Of each sample the thread, the process, the function with the offset in it, and the file."""
    told = subprocess.run(
        ["perf", "script", "-i", data, "--no-demangle", "-F", "comm,pid,ip,sym,symoff,dso"],
        capture_output=True, text=True, check=True).stdout
    line = re.compile(r"^\s*(.+?)\s+(\d+)\s+[0-9a-f]+ (\S+?)(?:\+0x([0-9a-f]+))? \((.*)\)$")
    matches = [match.groups() for match in map(line.match, told.splitlines()) if match]
    return [(thread, int(pid), symbol, int(offset or "0", 16), dso)
            for thread, pid, symbol, offset, dso in matches]


def main():
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    program = os.path.realpath(sys.argv[1])
    at = symbols(program)
    with tempfile.TemporaryDirectory() as work:
        record, data, client = run(program, sys.argv[2:], work)
        with open(record) as file:
            row = json.load(file)["rows"][0]
        samples = sampled(data)
    if not samples:
        sys.exit("error: perf has no samples: may this user sample (kernel.perf_event_paranoid)?")
    own = {at[symbol] + offset for _, _, symbol, offset, dso in samples
           if symbol in at and os.path.realpath(dso) == program}
    names = inlined(program, sorted(own))
    stages, functions = collections.Counter(), collections.defaultdict(collections.Counter)
    for thread, pid, symbol, offset, dso in samples:
        side = "client" if pid == client else "server"
        kernel = dso.startswith("[k") or dso.endswith(".ko")
        known = names.get(at.get(symbol, -1) + offset) if symbol in at else None
        into = stage(side, thread, kernel, known or [symbol])
        stages[into] += 1
        functions[into][(known or [symbol])[0]] += 1
    transfers = row["committed"] + row["rejected"]
    cpu_us = (row["cpu"]["client_s"] + row["cpu"]["server_s"]) / transfers * 1e6
    server = row.get("server") or {}
    told = {
        "tps": round(row["tps"]), "valid": row["valid"], "p50_ms": row["latency_ms"]["p50"],
        "cpu_us": round(cpu_us, 3), "samples": len(samples),
        "stages_us": {name: round(cpu_us * count / len(samples), 3)
                      for name, count in stages.most_common()},
        "mean_batch": server.get("mean_batch"),
        "syncs_per_1000": server and round(server["syncs"] / transfers * 1e3, 3),
        "bytes_per_transfer": server and round(server["bytes_written"] / transfers, 1),
    }
    print(json.dumps(told))
    if os.environ.get("TOP"):
        for name, counts in functions.items():
            for function, count in counts.most_common(int(os.environ["TOP"])):
                print("%-20s %6.3f us  %s" % (name, cpu_us * count / len(samples), function),
                      file=sys.stderr)


main()
