#!/usr/bin/env bash
# The tests that CI runs scaled down, at the full size of their cases
# (docs/reliability-evidence.md), and every command of the documentation: about ten minutes on two
# cores. Prints a line for each test, what it counted, and the sums; fails when a test fails or
# passes over its work, or when one of them was not run.
#
# usage: scripts/long-tests.sh
#
# Needs strace, PostgreSQL, root, and a hard limit of 20,000 open files (ulimit -Hn). Debug build, like
# `just test`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

case "${1:-}" in ?*) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p;}' "$0"; exit 2 ;; esac
work=${CARGO_TARGET_DIR:-target}/long-tests
mkdir -p "$work"

# run PACKAGE TEST_FILE NAME…
run() {
  local package=$1 file=$2 code=0 name
  shift 2
  BUSLOAD_LONG=1 cargo test --locked --package "$package" --test "$file" -- --exact "$@" \
    >"$work/$file.out" 2>"$work/$file.err" || code=$?
  # What tests say goes to standard error, beside what cargo says, which names places here.
  grep -E "^(skipped )?$file::" "$work/$file.err" || true
  for name in "$@"; do
    if grep -qx "test $name \.\.\. ok" "$work/$file.out"; then
      echo "test $file::$name ... ok"
    else
      echo "test $file::$name ... NOT OK"
      code=1
    fi
  done
  grep '^test result:' "$work/$file.out" || code=1
  if grep -q "^skipped $file::" "$work/$file.err"; then code=1; fi
  if [ "$code" -ne 0 ]; then
    tail -n 60 "$work/$file.err" "$work/$file.out" >&2
    echo "error: $file is not as it must be" >&2
    exit 1
  fi
}

run busload-servers sync_kills case_04_killed_at_each_sync_with_a_write_ahead_log \
  case_04_killed_at_each_sync_with_a_rollback_journal \
  case_04_killed_at_each_sync_of_the_first_start
run busload-sqlite checkpoints case_12_a_pinned_reader_is_told_of_and_fails_no_write
run busload-servers overload case_13_slow_syncs_mean_a_bounded_queue_and_then_overloaded
run busload-servers connections case_29_as_many_connections_as_there_are_descriptors
run busload-servers slow_peers case_33_a_frozen_server_gives_no_false_answer_when_it_thaws
run busload-postgres ledger faults::case_01_a_killed_database_loses_nothing_that_was_acknowledged \
  power_cut::case_02_a_power_cut_of_the_databases_disk_loses_nothing_that_was_synced \
  standby::what_a_standby_has_applied_outlives_the_primary
run bench-client programs docs::what_all_other_pages_say_to_type_works \
  shards::namespaces::a_server_and_two_load_machines_in_networks_of_their_own \
  audit::a_sync_of_another_file_is_none \
  audit::what_is_synced_at_some_time_or_never_is_not_durable \
  audit::a_name_that_is_not_synced_is_not_durable \
  audit::a_ledger_in_memory_is_a_fake \
  audit::a_ledger_that_is_saved_at_the_end_is_not_durable
