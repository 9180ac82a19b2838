#!/usr/bin/env bash
# What `bench-client compare` sees on this machine: equal sides, and sides of which the second
# wastes some processor time per transfer (--busy-wait). Each comparison takes about two minutes,
# or ROUNDS rounds. Resumable: comparisons whose record is there are not measured again.
#
#   [ROUNDS=10] scripts/compare-power.sh DIR EQUAL SLOW10 WAIT10 SLOW5 WAIT5
#
# DIR gets the records. EQUAL, SLOW10 and SLOW5 are how many comparisons of each kind; WAIT10 and
# WAIT5 are the busy waits that cost 10 % and 5 % of TPS here, such as 200ns: find them by
#   bench-client compare sqlite_ws_rpc sqlite_ws_rpc,busy-wait=200ns
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [ $# -ne 6 ]; then
  sed -n '2,12s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
dir=$1
program=${BENCH_CLIENT:-target/release/bench-client}
length=()
if [ -n "${ROUNDS:-}" ]; then length=(--rounds "$ROUNDS"); fi
if [ ! -x "$program" ]; then
  echo "error: $program is not there: cargo build --release --locked --bin bench-client" >&2
  exit 2
fi
mkdir -p "$dir"

# measure KIND COUNT CANDIDATE
measure() {
  local kind=$1 count=$2 candidate=$3 number record code
  for ((number = 1; number <= count; number++)); do
    record=$dir/$kind-$number.json
    if [ -e "$record" ]; then continue; fi
    code=0
    "$program" compare sqlite_ws_rpc "$candidate" ${length[@]+"${length[@]}"} --seed "$number" \
      --output "$record.part" \
      >/dev/null || code=$?
    if [ "$code" -ne 0 ]; then
      echo "error: $kind $number ended with exit code $code" >&2
      exit "$code"
    fi
    mv "$record.part" "$record"
  done
}

# Says of how many comparisons each metric came out how.
count() {
  local kind=$1 record
  for record in "$dir/$kind"-*.json; do
    if [ ! -e "$record" ]; then continue; fi
    "$program" report "$record" --format csv
  done | awk -F, -v kind="$kind" '
    # Counted from the end: the sides, which come first, may have commas of their own.
    NR == 1 { for (i = 1; i <= NF; i++) from_end[$i] = NF - i; next }
    $NF == "smallest_effect" { next }
    {
      metric = $(NF - from_end["metric"])
      seen[metric]++
      found[metric " " $(NF - from_end["change"])]++
    }
    END {
      for (what in found) {
        split(what, part, " ")
        printf "%s: %s %s in %d of %d\n", kind, part[1], part[2], found[what], seen[part[1]]
      }
    }' | sort
}

measure equal "$2" sqlite_ws_rpc
measure slow10 "$3" "sqlite_ws_rpc,busy-wait=$4"
measure slow5 "$5" "sqlite_ws_rpc,busy-wait=$6"
for kind in equal slow10 slow5; do count "$kind"; done
