#!/usr/bin/env bash
# Every recorded result and picture of the project, measured anew on this machine, which should do
# nothing else meanwhile. About an hour. Resumable: what is there is not measured again.
#
#   scripts/record-all.sh DIR [PART…]
#
# Parts, all by default:
#   disk        the disk alone                                               fsync.json
#   ladder      the article's table                                          reproduce.json, .md
#   load        requests in flight, six times each                           runs.json
#   knobs       contention, batch size, the knee of the open loop            sweep-*.json, knee.json
#   peers       every target that is installed beside our own servers, at
#               in flight 1, 8, 40 and 120, each audited first               peers.json, audits/
#   postgres    PostgreSQL in each of its modes, alone and with a standby,
#               beside SQLite, and pgbench's own UPDATE in the same minutes  postgres.json, pgbench.txt
#   model       SQLite and PostgreSQL as engines of the same server, with the
#               group-commit model's prediction beside each row              model.json
#
# `targets install` installs the peers, in $BUSLOAD_TARGETS_DIR. BENCH_CLIENT names another program
# than target/release/bench-client. The databases are below DIR/.data: on the disk that is measured.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [ $# -lt 1 ]; then
  sed -n '2,/^set/{/^#/s/^# \{0,1\}//p;}' "$0" >&2
  exit 2
fi
mkdir -p "$1"
dir=$(realpath "$1")
shift
parts=${*:-disk ladder load knobs peers postgres model}
program=$(realpath "${BENCH_CLIENT:-target/release/bench-client}")
if [ ! -x "$program" ]; then
  echo "error: $program is not there: cargo build --release --locked --bin bench-client" >&2
  exit 2
fi
# Audits are kept where `run` finds them: below the folder that both are started in.
scratch=$dir/.data
mkdir -p "$scratch"
cd "$scratch"

# record FILE EXIT_CODES COMMAND…: keeps the command and its record; one of the exit codes, such as
# 0,4, is expected.
record() {
  # Relative to the folder of the databases, so that no record has a path of this machine.
  local file=../$1 codes=$2 code=0
  shift 2
  if [ -e "$file.json" ]; then return; fi
  echo "=== bench-client $*"
  mkdir -p "$(dirname "$file")"
  "$program" "$@" --output "$file.part" >printed.txt || code=$?
  case ",$codes," in
    *",$code,"*) ;;
    *)
      cat printed.txt
      echo "error: bench-client $* ended with exit code $code and not $codes" >&2
      exit 1
      ;;
  esac
  sed -i "s|$file\.part|$(basename "$file").json|g" "$file.part"
  mv "$file.part" "$file.json"
  printf '%s\t%s\n' "$(basename "$file").json" "bench-client $*" >>"$dir/commands.tsv"
}

disk() { record fsync 0 fsync --concurrency 1,4,16; }

ladder() {
  record reproduce 0 reproduce
  "$program" report ../reproduce.json --format md --output ../reproduce.md
}

load() {
  record runs 0 run --inflight 1,8,16,40,120 --runs 6 --duration 3 --warmup 1
}

knobs() {
  record sweep-alpha 0 sweep --over alpha=0,0.5,1,1.5,2 --duration 3 --warmup 1
  record sweep-batch 0 sweep --over batch-size=1,10,100,1000,4096 --duration 3 --warmup 1
  record sweep-inflight 0 sweep --over inflight=1,8,16,40,120 --duration 3 --warmup 1
  record knee 0 sweep --find-knee --duration 3 --warmup 1 --p99-limit 20ms --no-null-server
}

peers() {
  local ours=sqlite_rpc,sqlite_ws_rpc installed name
  installed=$("$program" targets list --json |
    python3 -c 'import json, sys
listed = json.load(sys.stdin)
rows = listed if isinstance(listed, list) else listed["targets"]
print(",".join(row["name"] for row in rows if row["origin"] == "installed"))')
  if [ -z "$installed" ]; then
    echo "error: no target is installed: bench-client targets install node-sqlite-ws" >&2
    exit 2
  fi
  for name in ${ours//,/ } ${installed//,/ }; do
    if [ -e "$dir/audits/$name.json" ]; then continue; fi
    echo "=== bench-client audit $name"
    mkdir -p "$dir/audits" results/runs
    local code=0
    "$program" audit "$name" --output "results/runs/by-hand-audit-$name.json" >printed.txt || code=$?
    case $code in 0 | 4 | 6) ;; *)
      cat printed.txt
      exit 1
      ;;
    esac
    cp "results/runs/by-hand-audit-$name.json" "$dir/audits/$name.json"
  done
  # 4: a row that is no answer to the question, such as of a server that loses transfers, is a result.
  record peers 0,4 run --target "$ours,$installed" --inflight 1,8,40,120 \
    --runs 3 --duration 3 --warmup 1 --no-null-server
}

# as_database COMMAND…: PostgreSQL's programs refuse root.
as_database() {
  if [ "$(id -u)" -eq 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi
}

# database NAME PORT FLAG…: a database on this disk, started until the script ends.
database() {
  local data=$postgres/$1 port=$2
  shift 2
  as_database "$programs/pg_ctl" -D "$data" -w -l "$data.log" start -o \
    "-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories= $*" >/dev/null
  started+=("$data")
}

stop_databases() {
  local data
  for data in "${started[@]}"; do
    as_database "$programs/pg_ctl" -D "$data" -m fast -w stop >/dev/null || true
  done
  started=()
}

# target NAME PORT DATA FLAG…: a target file for our own server over that database.
target() {
  local name=$1 port=$2 data=$3 flags=
  shift 3
  for flag in "$@"; do flags+=", \"$flag\""; done
  cat >"$name.toml" <<TOML
name = "$name"
summary = "busload's WebSocket server over PostgreSQL: $*"
connector = "sqlite_ws_rpc"
durability = "durable"

[version]
command = ["$programs/postgres", "--version"]

[start]
command = ["$program", "serve", "ws", "--port", "{port}", "--engine", "postgres://bank@127.0.0.1:$port/bank?sslmode=disable", "--allow-seed"$flags]
ready = "health"
start_timeout = "60s"
data = "$data"
TOML
  targets+=",./$name.toml"
}

# A folder for databases, which are stopped when the script ends.
databases() {
  programs=$(compgen -G '/usr/lib/postgresql/*/bin' | sort -V | tail -n 1)
  if [ -z "$programs" ]; then
    echo "error: PostgreSQL is missing: install it" >&2
    exit 2
  fi
  postgres=$(mktemp -d "$scratch/postgres.XXXXXX")
  chmod 755 "$dir" "$scratch" "$postgres"
  if [ "$(id -u)" -eq 0 ]; then chown postgres "$postgres"; fi
  started=()
  trap stop_databases EXIT
}

# new_database NAME: the data of one, whose superuser is bank.
new_database() {
  as_database "$programs/initdb" -D "$postgres/$1" -U bank -A trust --no-instructions >/dev/null
}

# ask PORT PSQL_FLAG…
ask() {
  local port=$1
  shift
  "$programs/psql" -qX -v ON_ERROR_STOP=1 -U bank -h 127.0.0.1 -d postgres -p "$port" "$@"
}

model() {
  if [ -e "$dir/model.json" ]; then return; fi
  databases
  new_database model
  database model 15413
  ask 15413 -c 'CREATE DATABASE bank'
  record model 0 run --engine sqlite,postgres://bank@127.0.0.1:15413/bank --apply \
    coalesced,per-transfer --inflight 1,8,40,120 --runs 3 --duration 3 --warmup 1 --no-null-server
  stop_databases
  rm -rf "$postgres"
}

postgres() {
  if [ -e "$dir/postgres.json" ]; then return; fi
  databases
  local targets=sqlite_ws_rpc
  new_database alone
  new_database primary
  database alone 15410
  database primary 15411
  as_database "$programs/pg_basebackup" -D "$postgres/standby" -R -X stream -c fast \
    -d "host=127.0.0.1 port=15411 user=bank application_name=standby"
  database standby 15412
  ask 15411 -c "ALTER SYSTEM SET synchronous_standby_names = 'standby'" \
    -c "ALTER SYSTEM SET synchronous_commit = 'remote_apply'" -c 'SELECT pg_reload_conf()' >/dev/null
  for port in 15410 15411; do ask "$port" -c 'CREATE DATABASE bank'; done

  target postgres-coalesced 15410 "$postgres/alone" --apply coalesced
  target postgres-per-transfer 15410 "$postgres/alone" --apply per-transfer
  target postgres-per-request 15410 "$postgres/alone" --batch-size 1 --writers 16
  target postgres-standby-coalesced 15411 "$postgres/primary" --apply coalesced
  target postgres-standby-per-transfer 15411 "$postgres/primary" --apply per-transfer
  target postgres-standby-per-request 15411 "$postgres/primary" --batch-size 1 --writers 16

  # pgbench's own figure in the same minutes: one UPDATE by primary key, zipf 1.5, 8 clients.
  local update=$postgres/update.sql round
  cat >"$update" <<'SQL'
\set account random_zipfian(1, 100000, 1.5)
UPDATE accounts SET balance = balance - 1 WHERE id = :account;
SQL
  ask 15410 -c 'CREATE DATABASE pgbench'
  "$programs/psql" -qX -U bank -h 127.0.0.1 -p 15410 -d pgbench \
    -c 'CREATE TABLE accounts (id bigint PRIMARY KEY, balance bigint NOT NULL)' \
    -c 'INSERT INTO accounts SELECT id, 1000000000 FROM generate_series(1, 100000) AS id' \
    -c 'VACUUM ANALYZE accounts'
  rm -f "$dir/pgbench.txt"
  for round in 1 2 3; do
    echo "=== pgbench, round $round of 3"
    {
      echo "round $round: pgbench -n -c 8 -j 2 -T 5 -M prepared -f update.sql"
      "$programs/pgbench" -n -c 8 -j 2 -T 5 -M prepared -f "$update" \
        -U bank -h 127.0.0.1 -p 15410 pgbench | grep -E '^(tps|latency average|number of failed)'
      echo "round $round: bench-client run --target postgres-coalesced.toml --inflight 40"
      "$program" run --target postgres-coalesced.toml --inflight 40 --duration 5 \
        --warmup 1 --no-null-server --quiet
    } >>"$dir/pgbench.txt"
    tail -n 1 "$dir/pgbench.txt"
  done

  record postgres 0 run --target "$targets" --inflight 1,8,40,120 \
    --runs 3 --duration 3 --warmup 1 --no-null-server
  stop_databases
  rm -rf "$postgres"
}

for part in $parts; do
  case $part in
    disk | ladder | load | knobs | peers | postgres | model) "$part" ;;
    *)
      echo "error: there is no part '$part': disk, ladder, load, knobs, peers, postgres, model" >&2
      exit 2
      ;;
  esac
done
