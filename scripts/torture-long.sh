#!/usr/bin/env bash
# The long audit: hundreds of kills, power cuts and thousands of crash states for every durability
# mode that promises to survive them, the controls that must lose, the tests that CI runs scaled
# down at their full size, and the fuzz targets. About an hour, nearly all of it fuzzing.
# Resumable: an audit whose record is there is not made again.
#
#   [FUZZ_SECONDS=600] scripts/torture-long.sh DIR
#
# DIR gets a record (NAME.json) and what was printed (NAME.txt) of each audit, long-tests.txt and
# fuzz.txt, and README.md with the counts of all. FUZZ_SECONDS is the time for each fuzz target; 0
# leaves them out. BENCH_CLIENT names another program than target/release/bench-client. Power cuts
# need root, most kills strace, the tests what scripts/long-tests.sh says; the database is below
# .data/ here, on the disk that is judged.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [ $# -ne 1 ]; then
  sed -n '2,/^set/{/^#/s/^# \{0,1\}//p;}' "$0" >&2
  exit 2
fi
dir=$1
program=${BENCH_CLIENT:-target/release/bench-client}
fuzz_seconds=${FUZZ_SECONDS:-600}
if [ ! -x "$program" ]; then
  echo "error: $program is not there: cargo build --release --locked --bin bench-client" >&2
  exit 2
fi
if ! command -v jq >/dev/null; then
  echo "error: jq is missing: install it" >&2
  exit 2
fi
mkdir -p "$dir"
names=()

# audit NAME EXIT_CODE FLAG…: EXIT_CODE is what the audit must end with.
audit() {
  local name=$1 expected=$2 code=0
  shift 2
  names+=("$name")
  if [ -e "$dir/$name.json" ]; then return; fi
  echo "=== $name: torture $*"
  "$program" torture --output "$dir/$name.part" "$@" >"$dir/$name.txt" || code=$?
  tail -n 3 "$dir/$name.txt"
  if [ "$code" -ne "$expected" ]; then
    echo "error: $name ended with exit code $code and not $expected" >&2
    exit 1
  fi
  # A tool that is missing must not make a shorter audit look whole.
  if [ "$(jq '.skipped | length' "$dir/$name.part")" -ne 0 ]; then
    jq -r '.skipped[] | "error: \(.fault) was skipped: \(.why)"' "$dir/$name.part" >&2
    exit 1
  fi
  sed -i "s|$name\.part|$name.json|g" "$dir/$name.part" "$dir/$name.txt"
  mv "$dir/$name.part" "$dir/$name.json"
}

every=kill,sync-kill,answer-kill,eio,enospc,slow-sync,term
audit kills-ws 0 --faults "$every" --kills 210 --cycle-time 1 --seed 101
audit kills-http 0 --faults "$every" --kills 70 --cycle-time 1 --seed 102 --connector sqlite_rpc
audit kills-binary 0 --faults "$every" --kills 70 --cycle-time 1 --seed 103 --encoding binary
audit kills-ids 0 --faults kill,sync-kill,answer-kill --kills 60 --cycle-time 1 --seed 104 \
  --exactly-once
audit kills-delete-extra 0 --faults kill,sync-kill,answer-kill,eio,term --kills 50 \
  --cycle-time 1 --seed 105 --durability delete-extra
# Killed at any of the first 200 syncs: 60 for each second of a cycle.
audit kills-sync 0 --faults sync-kill --kills 60 --cycle-time 3.34 --seed 114
audit cuts-ext4 0 --faults power-cut --cuts 60 --states 0 --cycle-time 1 --seed 106
# In short cycles the log still grows, and every sync of it changes the file's length.
audit cuts-ext4-short 0 --faults power-cut --cuts 30 --states 0 --cycle-time 0.2 --seed 115
audit cuts-xfs 0 --faults power-cut --cuts 30 --states 0 --cycle-time 1 --seed 107 \
  --file-system xfs
audit cuts-delete-extra 0 --faults power-cut --cuts 40 --states 0 --cycle-time 1 --seed 108 \
  --durability delete-extra
audit states-ws 0 --faults power-cut --cuts 0 --states 8000 --seed 109
audit states-http 0 --faults power-cut --cuts 0 --states 4000 --seed 110 --connector sqlite_rpc
audit states-delete-extra 0 --faults power-cut --cuts 0 --states 4000 --seed 111 \
  --durability delete-extra
# The controls: an audit that could not find a loss would prove nothing.
audit control-wal-normal 4 --faults power-cut --cuts 20 --states 2000 --cycle-time 1 \
  --seed 112 --durability wal-normal
audit control-delete-full 4 --faults power-cut --cuts 20 --states 2000 --cycle-time 1 \
  --seed 113 --durability delete-full
# With one transfer at a time nothing else commits the removal of its journal.
audit control-delete-full-alone 4 --faults power-cut --cuts 20 --states 0 --cycle-time 0.5 \
  --seed 116 --durability delete-full --concurrency 1 --inflight 1

if [ ! -e "$dir/long-tests.txt" ]; then
  scripts/long-tests.sh | tee "$dir/long-tests.part"
  mv "$dir/long-tests.part" "$dir/long-tests.txt"
fi

if [ "$fuzz_seconds" -ne 0 ] && [ ! -e "$dir/fuzz.txt" ]; then
  scripts/fuzz.sh "$fuzz_seconds" | tee "$dir/fuzz.part"
  if grep -q '^skipped' "$dir/fuzz.part"; then exit 1; fi
  mv "$dir/fuzz.part" "$dir/fuzz.txt"
fi

{
  echo "# A long audit"
  echo
  echo "Made by \`just torture-long\` (scripts/torture-long.sh, which has the flags of each row)."
  echo "Each record has the machine, the program's revision and the command line."
  echo
  echo "| audit | durability | kills | power cuts | acknowledged | lost | applied twice | unknown | crash states | different | of runs with acknowledged | states that lost | exit code |"
  echo "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
  for name in "${names[@]}"; do
    jq -r --arg name "$name" '
      "| [\($name)](\($name).json) | \(.server.durability_requested) | \(.kills) | \(.cuts) "
      + "| \(.acknowledged) | \(.lost) | \(.applied_twice) | \(.unknown) "
      + (.crash_states // {states: 0, distinct_images: 0, acknowledged: 0, lost: 0}
        | "| \(.states) | \(.distinct_images // "too many to count") | \(.acknowledged) | \(.lost) ")
      + "| \(if .valid then 0 else 4 end) |"
    ' "$dir/$name.json"
  done
  echo
  echo "Tests at their full size, which CI runs scaled down (scripts/long-tests.sh):"
  echo
  echo '```text'
  cat "$dir/long-tests.txt"
  echo '```'
  if [ -e "$dir/fuzz.txt" ]; then
    echo
    echo "Fuzzing, $fuzz_seconds seconds for each target:"
    echo
    echo '```text'
    cat "$dir/fuzz.txt"
    echo '```'
  fi
} >"$dir/README.md"
echo "recorded in $dir"
