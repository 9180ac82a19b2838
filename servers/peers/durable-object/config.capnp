# Two servers that differ in their batches: `unbatched`, a transaction for every message, and
# `queued`, a queue inside the object. DIR must exist.
#
#   workerd serve config.capnp queued --socket-addr http=127.0.0.1:4107 --directory-path storage=DIR
using Workerd = import "/workerd/workerd.capnp";

const unbatched :Workerd.Config = (
  services = [.storage, (name = "main", worker = (
    modules = .modules,
    compatibilityDate = "2026-11-01",
    durableObjectNamespaces = .namespaces,
    durableObjectStorage = (localDisk = "storage"),
    bindings = [
      (name = "LEDGER", durableObjectNamespace = "LedgerObject"),
      (name = "BATCH_SIZE", text = "1"),
      (name = "BATCH_TIMEOUT_MS", text = "0"),
    ],
  ))],
  sockets = [.socket],
);

const queued :Workerd.Config = (
  services = [.storage, (name = "main", worker = (
    modules = .modules,
    compatibilityDate = "2026-11-01",
    durableObjectNamespaces = .namespaces,
    durableObjectStorage = (localDisk = "storage"),
    bindings = [
      (name = "LEDGER", durableObjectNamespace = "LedgerObject"),
      (name = "BATCH_SIZE", text = "100"),
      (name = "BATCH_TIMEOUT_MS", text = "2"),
    ],
  ))],
  sockets = [.socket],
);

const modules :List(Workerd.Worker.Module) = [
  (name = "worker.mjs", esModule = embed "worker.mjs"),
  (name = "lib/group-commit.mjs", esModule = embed "lib/group-commit.mjs"),
  (name = "lib/ledger.mjs", esModule = embed "lib/ledger.mjs"),
  (name = "lib/methods.mjs", esModule = embed "lib/methods.mjs"),
  (name = "lib/protocol.mjs", esModule = embed "lib/protocol.mjs"),
];
const namespaces :List(Workerd.Worker.DurableObjectNamespace) = [
  (className = "LedgerObject", uniqueKey = "busload-ledger", enableSql = true),
];
const storage :Workerd.Service = (name = "storage", disk = (path = ".data", writable = true));
const socket :Workerd.Socket = (name = "http", address = "127.0.0.1:4107", http = (), service = "main");
