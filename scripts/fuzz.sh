#!/usr/bin/env bash
# Runs the fuzz targets one after the other and prints how many inputs each has seen and how much
# processor time that took. Fails when one of them finds something; the input is then in
# fuzz/artifacts/TARGET.
#
# usage: scripts/fuzz.sh [SECONDS_PER_TARGET [TARGET…]]
#        defaults: 10 and all of them
#
# Starts from the inputs in fuzz/corpus, which it does not change, and from what earlier runs
# found, which it keeps in fuzz/target/found. Needs a nightly toolchain and cargo-fuzz
# (cargo install --locked cargo-fuzz); without the first it passes over its work.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

case "${1:-}" in -*) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p;}' "$0"; exit 2 ;; esac
seconds=${1:-10}
case $seconds in '' | *[!0-9]* | 0*) echo "fuzz.sh: not a number above 0: $seconds" >&2; exit 2 ;; esac
targets=("${@:2}")
if [ ${#targets[@]} -eq 0 ]; then
  targets=(json_request json_answer binary_transfers binary_outcomes spacetimedb_messages connection)
fi

nightly=$(rustup toolchain list 2>/dev/null | sed -n 's/^\(nightly[^ ]*\).*/\1/p' | head -n 1)
if [ -z "$nightly" ]; then
  echo "skipped fuzz: no nightly toolchain (rustup toolchain install nightly)"
  exit 0
fi
if ! cargo fuzz --version >/dev/null 2>&1; then
  echo "fuzz.sh: cargo-fuzz is missing: cargo install --locked cargo-fuzz" >&2
  exit 2
fi

# The targets are looked for beside the crate, wherever the workspace is built.
unset CARGO_TARGET_DIR
# Memory that is still held when a run ends, by threads of a server that goes on, is no leak.
export ASAN_OPTIONS=detect_leaks=0
cargo "+$nightly" fuzz build

TIMEFORMAT='%U %S'
printf '%-18s %12s %9s %8s %11s\n' target executions per-second found cpu-seconds
for target in "${targets[@]}"; do
  found=fuzz/target/found/$target
  log=fuzz/target/$target.log
  mkdir -p "$found" "fuzz/corpus/$target"
  case $target in
    json_*) dictionary=json ;;
    connection) dictionary=connection ;;
    *) dictionary=binary ;;
  esac
  code=0
  cpu=$( { time cargo "+$nightly" fuzz run "$target" "$found" "fuzz/corpus/$target" -- \
    -dict="fuzz/dictionaries/$dictionary.dict" -max_total_time="$seconds" -max_len=4096 \
    -timeout=30 -rss_limit_mb=4096 -print_final_stats=1 >"$log" 2>&1; } 2>&1) || code=$?
  if [ "$code" -ne 0 ]; then
    tail -n 60 "$log"
    echo "fuzz.sh: $target found something" >&2
    exit 1
  fi
  stat() { sed -n "s/^stat::$1: *//p" "$log"; }
  printf '%-18s %12s %9s %8s %11.0f\n' "$target" "$(stat number_of_executed_units)" \
    "$(stat average_exec_per_sec)" "$(stat new_units_added)" "$(awk '{ print $1 + $2 }' <<<"$cpu")"
done
