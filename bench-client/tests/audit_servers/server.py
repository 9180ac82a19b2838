"""A transfer server over HTTP with a ledger of lines, honest or not, for `audit` to see through.

Run as: server.py HOW PORT LEDGER
"""

import ctypes
import json
import mmap
import os
import signal
import socket
import sys
import threading
import time

HOW, PORT, LEDGER = sys.argv[1], int(sys.argv[2]), sys.argv[3]
LIBC = ctypes.CDLL(None, use_errno=True)
DIRECTORY = os.path.dirname(LEDGER)
# Bytes of a ledger that is written through a mapping.
MAPPED = 1 << 20
# io_uring_setup has this number on every processor.
IO_URING_SETUP = 425


class Ledger:
    """Lines `from to amount`, behind a first one `seed accounts balance`."""

    def __init__(self):
        self.lock = threading.Lock()
        self.unsaved = []
        flags = os.O_RDWR | os.O_CREAT
        self.flags = flags | (os.O_DSYNC if HOW.startswith("dsync") else 0)
        self.file = os.open(LEDGER, self.flags, 0o644)
        if HOW.startswith("mapped"):
            os.ftruncate(self.file, MAPPED)
            self.map = mmap.mmap(self.file, MAPPED)
        self.read()
        if HOW == "decoy":
            self.other = os.open(LEDGER + ".other", flags | os.O_APPEND, 0o644)
        if HOW == "saved_at_stop":
            signal.signal(signal.SIGTERM, self.save)
        if HOW == "background":
            threading.Thread(target=self.sync_now_and_then, daemon=True).start()

    def read(self):
        text = os.pread(self.file, os.fstat(self.file).st_size, 0).rstrip(b"\0")
        self.end, self.balances = len(text), []
        for words in map(str.split, text.decode().splitlines()):
            if words[0] == "seed":
                self.balances = [int(words[2])] * int(words[1])
            else:
                self.move(*map(int, words))

    def move(self, sender, receiver, amount):
        self.balances[sender] -= amount
        self.balances[receiver] += amount

    def seed(self, accounts, balance):
        self.balances = [balance] * accounts
        self.end = 0
        if HOW == "memory":
            return
        if HOW == "saved_at_stop":
            os.ftruncate(self.file, 0)
            self.unsaved = [f"seed {accounts} {balance}\n"]
            return
        if not HOW.startswith("mapped"):
            os.ftruncate(self.file, 0)
        self.write(f"seed {accounts} {balance}\n")
        os.fsync(self.file)

    def write(self, line):
        line = line.encode()
        if HOW.startswith("mapped"):
            self.map[self.end : self.end + len(line)] = line
        else:
            os.pwrite(self.file, line, self.end)
        self.end += len(line)

    def save(self, *_):
        self.write("".join(self.unsaved))
        os._exit(0)

    def sync_now_and_then(self):
        while True:
            time.sleep(0.02)
            os.fsync(self.file)

    def transfer(self, sender, receiver, amount):
        """Whether it may be acknowledged; and what is to be done after the answer."""
        self.move(sender, receiver, amount)
        line = f"{sender} {receiver} {amount}\n"
        if HOW == "memory":
            return None
        if HOW == "saved_at_stop":
            self.unsaved.append(line)
            return None
        if HOW.startswith("replaced"):
            self.replace(line)
            return None
        try:
            self.write(line)
        except OSError:
            if HOW == "dsync_ignored":
                self.end += len(line)
                return None
            raise
        if HOW == "early":
            return lambda: os.fsync(self.file)
        if HOW == "mapped":
            self.map.flush()
        elif HOW == "range":
            LIBC.sync_file_range(self.file, ctypes.c_int64(0), ctypes.c_int64(0), 7)
        elif HOW == "decoy":
            os.write(self.other, b"x")
            os.fsync(self.other)
        elif HOW == "ignores":
            try:
                os.fsync(self.file)
            except OSError:
                pass
        elif HOW not in ("background", "dsync", "dsync_ignored", "mapped_unsynced", "unsynced"):
            os.fsync(self.file)
        return None

    def replace(self, line):
        """The whole ledger anew under another name, which then becomes its own."""
        new = LEDGER + ".new"
        text = os.pread(self.file, os.fstat(self.file).st_size, 0) + line.encode()
        file = os.open(new, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
        os.write(file, text)
        os.fsync(file)
        os.rename(new, LEDGER)
        os.close(self.file)
        self.file = file
        if HOW == "replaced_and_synced":
            directory = os.open(DIRECTORY, os.O_RDONLY)
            os.fsync(directory)
            os.close(directory)


class Here:
    """The ledger is in this process."""

    def __init__(self):
        self.ledger = Ledger()

    def call(self, request):
        with self.ledger.lock:
            return answer(self.ledger, request)


class Behind:
    """The ledger is in a process of its own."""

    def __init__(self):
        self.lock = threading.Lock()
        here, there = socket.socketpair()
        if os.fork() == 0:
            here.close()
            ledger, stream = Ledger(), there.makefile("rwb")
            for line in stream:
                body, _ = answer(ledger, json.loads(line))
                stream.write(json.dumps(body).encode() + b"\n")
                stream.flush()
            os._exit(0)
        there.close()
        self.stream = here.makefile("rwb")

    def call(self, request):
        with self.lock:
            self.stream.write(json.dumps(request).encode() + b"\n")
            self.stream.flush()
            return json.loads(self.stream.readline()), None


def answer(ledger, request):
    name, args = request.get("name"), request.get("args") or {}
    if name == "transfer":
        try:
            later = ledger.transfer(args["from_id"], args["to_id"], args["amount"])
        except OSError:
            # What was written may be there or not.
            os._exit(5)
        return {"ok": True}, later
    if name == "seed":
        ledger.seed(args["accounts"], args["initialBalance"])
        return {"ok": True, "result": None}, None
    if name == "getAccount":
        account = args["id"]
        if account >= len(ledger.balances):
            return {"ok": True, "result": None}, None
        balance = str(ledger.balances[account])
        return {"ok": True, "result": {"id": account, "balance": balance}}, None
    return {"ok": False, "error": f"unknown method: {name}"}, None


def serve(stream, ledger):
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    text = b""
    while True:
        while b"\r\n\r\n" not in text:
            more = stream.recv(65536)
            if not more:
                return
            text += more
        head, text = text.split(b"\r\n\r\n", 1)
        fields = [line.split(b":", 1) for line in head.lower().split(b"\r\n")[1:]]
        length = next((int(value) for name, value in fields if name == b"content-length"), 0)
        while len(text) < length:
            text += stream.recv(65536)
        request, text = text[:length], text[length:]
        body, later = ledger.call(json.loads(request))
        body = json.dumps(body).encode()
        kind = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
        if HOW == "chunked":
            chunk = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
            stream.sendall(kind + b"Transfer-Encoding: chunked\r\n\r\n" + chunk)
        else:
            stream.sendall(kind + b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        if later:
            later()


def main():
    if HOW == "io_uring":
        LIBC.syscall(IO_URING_SETUP, 8, ctypes.create_string_buffer(120))
    with open(LEDGER + ".pids", "a") as pids:
        pids.write(f"{os.getpid()}\n")
    ledger = Behind() if HOW == "two_processes" else Here()
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", PORT))
    listener.listen(64)
    while True:
        stream, _ = listener.accept()
        threading.Thread(target=serve, args=(stream, ledger), daemon=True).start()


main()
