#!/usr/bin/env bash
# What the action does (action.yml), which gives its inputs as variables: finds or builds the load
# generator, and compares. Runs anywhere: `TARGETS=bench/target.toml BASE=v1.2 scripts/action.sh`.
#
# TARGETS, BASE_COMMAND, HEAD_COMMAND, CONNECTOR, SETUP, BASE, HEAD, SIDE, ROUNDS, RUN_DURATION,
# PRECISION, FAIL_IF, ARGUMENTS, OUTPUT: the inputs of action.yml; all may be absent.
# BENCH_CLIENT: the load generator, if there is one. Ends with the exit code of `compare`.
set -euo pipefail

scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
output=${OUTPUT:-busload-results}

flags=()
if [ -n "${ROUNDS:-}" ]; then flags+=(--rounds "$ROUNDS"); fi
if [ -n "${RUN_DURATION:-}" ]; then flags+=(--duration "$RUN_DURATION"); fi
if [ -n "${PRECISION:-}" ]; then flags+=(--until-precision "$PRECISION"); fi
while IFS= read -r gate; do
  if [ -n "$gate" ]; then flags+=(--fail-if "$gate"); fi
done <<<"${FAIL_IF:-}"
while IFS= read -r flag; do
  if [ -n "$flag" ]; then flags+=("$flag"); fi
done <<<"${ARGUMENTS:-}"
targets=()
while IFS= read -r target; do
  if [ -n "$target" ]; then targets+=("$target"); fi
done <<<"${TARGETS:-}"

# released DIR: the program of the release that this action was asked for, held against its
# checksum. There may be none: of a branch, say.
released() {
  local archive=bench-client-x86_64-unknown-linux-gnu.tar.gz
  [ "$(uname -sm)" = "Linux x86_64" ] && [ -n "${ACTION_REPOSITORY:-}" ] &&
    [ -n "${ACTION_REF:-}" ] && command -v gh >/dev/null || return 1
  mkdir -p "$1"
  gh release download "$ACTION_REF" --repo "$ACTION_REPOSITORY" --dir "$1" --clobber \
    --pattern "$archive" --pattern SHA256SUMS 2>/dev/null || return 1
  (cd "$1" && grep " $archive\$" SHA256SUMS | sha256sum --check --quiet && tar -xzf "$archive") ||
    return 1
  [ -x "$1/bench-client" ]
}

if [ ${#targets[@]} -eq 0 ] && [ -z "${BASE_COMMAND:-}${HEAD_COMMAND:-}" ]; then
  # This project's own server: both revisions are built.
  base=${BASE:-${EVENT_BASE:-}} head=${HEAD:-HEAD}
  if [ -z "$base" ]; then
    echo "action.sh: nothing says what is compared with: give base, or targets" >&2
    exit 2
  fi
  for revision in "$base" "$head"; do
    git rev-parse --verify --quiet --end-of-options "$revision^{commit}" >/dev/null ||
      git fetch --quiet --no-tags --depth=1 origin "$revision"
  done
  exec "$scripts/compare-revisions.sh" --work target/compare --output "$output" \
    --side "${SIDE:-sqlite_ws_rpc}" "$base" "$head" -- ${flags[@]+"${flags[@]}"}
fi

options=(--output "$output" --setup "${SETUP:-}" --connector "${CONNECTOR:-sqlite_ws_rpc}")
case ${#targets[@]} in
  0) options+=(--base-command "${BASE_COMMAND:-}" --head-command "${HEAD_COMMAND:-}") ;;
  1) options+=(--target "${targets[0]}" --base "${BASE:-}" --head "${HEAD:-}") ;;
  2) options+=(--base-target "${targets[0]}" --head-target "${targets[1]}") ;;
  *)
    echo "action.sh: targets has ${#targets[@]} lines: give one, or two" >&2
    exit 2
    ;;
esac
place=${RUNNER_TEMP:-${TMPDIR:-/tmp}}/busload
if [ -z "${BENCH_CLIENT:-}" ] && released "$place"; then
  export BENCH_CLIENT=$place/bench-client
elif [ -z "${BENCH_CLIENT:-}" ] && [ -n "${RUNNER_TEMP:-}" ]; then
  # Where the cache keeps it.
  export BUSLOAD_BUILD_DIR=$place/build
fi
exec "$scripts/compare-servers.sh" "${options[@]}" -- ${flags[@]+"${flags[@]}"}
