#!/usr/bin/env bash
# Compares two servers of any repository with each other on this machine: one target file at two
# revisions, two target files, or two commands.
#
# usage: scripts/compare-servers.sh [OPTION…] [-- FLAG-OF-COMPARE…]
#
#   --target FILE         a target file of the repository, as it is in two revisions
#   --base REVISION       the one that is compared with [default: the commit before in GitHub
#                         Actions, else the latest tag that HEAD does not stand on]
#   --head REVISION       the one that is judged [default: the files as they are here]
#   --base-target FILE, --head-target FILE        or two target files or names of targets
#   --base-command WORDS, --head-command WORDS    or two commands, words between spaces, with
#                         {port} and {database}; no shell reads them
#   --connector NAME      of the commands [default: sqlite_ws_rpc]
#   --setup SCRIPT        bash that makes a checkout ready, run in the root of each
#   --output DIR          directory for the results [default: busload-results]
#   --program FILE        bench-client [default: $BENCH_CLIENT, else the one on PATH, else the one
#                         that is built from the repository of this script, in
#                         $BUSLOAD_BUILD_DIR or its target]
#
# Results: comparison.json and the reports of compare-reports.sh. Ends with the exit code of
# `compare`: 0, 2 (bad arguments, no base, or a setup that fails), 3 (a gate failed), 4 (a run is
# invalid, or nothing could be compared), 5 (a server did not start), 130.
#
# example: scripts/compare-servers.sh --target bench/target.toml --setup 'npm ci' \
#            -- --rounds 20 --duration 3 --fail-if 'tps<-5%'
set -euo pipefail

fail() {
  echo "compare-servers.sh: $1" >&2
  exit 2
}

usage() {
  sed -n '2,/^set/{/^#/s/^# \{0,1\}//p;}' "$0"
}

# What was typed is what the record is to show: the files that compare is given are gone afterwards.
quoted() {
  local word
  for word; do printf " '%s'" "${word//\'/\'\\\'\'}"; done
}
export BUSLOAD_COMMAND="${BUSLOAD_COMMAND:-$(quoted "$0" "$@")}"

scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
target='' base='' head='' base_target='' head_target='' base_command='' head_command=''
base_revision='' head_revision=''
connector=sqlite_ws_rpc setup='' out=busload-results program=${BENCH_CLIENT:-}
flags=()
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help)
      usage
      exit 0
      ;;
    --)
      shift
      flags=("$@")
      break
      ;;
  esac
  [ $# -ge 2 ] || fail "$1 needs a value"
  case $1 in
    --target) target=$2 ;;
    --base) base=$2 ;;
    --head) head=$2 ;;
    --base-target) base_target=$2 ;;
    --head-target) head_target=$2 ;;
    --base-command) base_command=$2 ;;
    --head-command) head_command=$2 ;;
    --connector) connector=$2 ;;
    --setup) setup=$2 ;;
    --output) out=$2 ;;
    --program) program=$2 ;;
    *) fail "there is no option $1: --help lists them, and flags of compare stand after --" ;;
  esac
  shift 2
done

work=$(mktemp -d)
trees=()
# shellcheck disable=SC2317 # the trap calls it
clean_up() {
  for tree in ${trees[@]+"${trees[@]}"}; do
    git worktree remove --force "$tree" 2>/dev/null || true
  done
  rm -rf "$work"
  if [ ${#trees[@]} -gt 0 ]; then git worktree prune; fi
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
# A comma separates the knobs of a side.
case $work in *,*) fail "there can be no comma in $work: set TMPDIR" ;; esac

# The program, built where there is none.
find_program() {
  if [ -n "$program" ]; then
    [ -x "$program" ] || fail "$program cannot be run"
  elif command -v bench-client >/dev/null; then
    program=$(command -v bench-client)
  else
    local build=${BUSLOAD_BUILD_DIR:-$scripts/../target}
    CARGO_TARGET_DIR=$build cargo build --manifest-path "$scripts/../Cargo.toml" --release \
      --locked --bin bench-client >&2 || fail "bench-client does not build"
    program=$build/release/bench-client
  fi
  program=$(cd "$(dirname "$program")" && pwd)/$(basename "$program")
}

# What HEAD is compared with when nobody says it.
find_base() {
  local found=''
  case ${GITHUB_EVENT_NAME:-} in
    pull_request | pull_request_target | merge_group | push) found=${EVENT_BASE:-} ;;
  esac
  # A branch that is new has no commit before.
  if [ -z "$found" ] || [[ $found =~ ^0+$ ]]; then
    found=$(git describe --tags --abbrev=0 'HEAD^' 2>/dev/null) ||
      fail "there is no tag before HEAD to compare with: give base"
  fi
  echo "$found"
}

# checkout PLACE REVISION: a tree of its own.
checkout() {
  local revision
  if ! revision=$(git rev-parse --verify --quiet --end-of-options "$2^{commit}"); then
    git fetch --quiet --no-tags --depth=1 origin "$2" ||
      fail "there is no revision $2: fetch it, or give base"
    revision=$(git rev-parse FETCH_HEAD)
  fi
  trees+=("$work/$1")
  git worktree add --quiet --detach "$work/$1" "$revision" || fail "cannot check $2 out"
}

# revision_of TREE: the commit that is checked out, and whether files differ from it.
revision_of() {
  local changes=''
  if [ -n "$(git -C "$1" status --porcelain --untracked-files=no)" ]; then
    changes=' + uncommitted changes'
  fi
  echo "$(git -C "$1" rev-parse --short=12 HEAD)$changes"
}

# make_ready TREE: the user's own setup.
make_ready() {
  if [ -z "$setup" ]; then return; fi
  (cd "$1" && bash -euo pipefail -c "$setup") >&2 || fail "the setup fails in $1: $setup"
}

# target_of PLACE COMMAND: a target file for a command.
target_of() {
  local words word
  read -ra words <<<"$2"
  [ ${#words[@]} -gt 0 ] || fail "the command of $1 is empty"
  {
    echo "name = \"$1\""
    echo "summary = \"the command of $1\""
    echo "connector = \"$connector\""
    echo "durability = \"not told\""
    echo "[start]"
    printf 'command = ['
    for word in "${words[@]}"; do
      word=${word//\\/\\\\}
      printf '"%s", ' "${word//\"/\\\"}"
    done
    echo "]"
    # A literal string: nothing in it is escaped.
    echo "directory = '''$PWD'''"
    echo 'data = "{database}"'
  } >"$work/$1.toml"
  echo "$work/$1.toml"
}

case ${target:+t}${base_target:+b}${head_target:+h}${base_command:+B}${head_command:+H} in
  t)
    root=$(git rev-parse --show-toplevel 2>/dev/null) || fail "--target needs a git repository"
    below=$(realpath --relative-to="$root" "$target")
    if [ -z "$base" ]; then base=$(find_base); fi
    checkout base "$base"
    base_revision=$(revision_of "$work/base")
    make_ready "$work/base"
    base_target=$work/base/$below
    [ -e "$base_target" ] || fail "$below is not in $base: give base, or two target files"
    base_label="$below at $base" head_label="$below at ${head:-HEAD}"
    if [ -n "$head" ]; then
      checkout head "$head"
      head_revision=$(revision_of "$work/head")
      make_ready "$work/head"
      head_target=$work/head/$below
    else
      head_revision=$(revision_of "$root")
      make_ready "$root"
      head_target=$root/$below
    fi
    ;;
  bh)
    base_label=$base_target head_label=$head_target
    make_ready .
    ;;
  BH)
    base_label=$base_command head_label=$head_command
    make_ready .
    base_target=$(target_of base "$base_command")
    head_target=$(target_of head "$head_command")
    ;;
  *)
    usage >&2
    fail "give --target, or --base-target and --head-target, or --base-command and --head-command"
    ;;
esac

find_program
mkdir -p "$out" || fail "cannot create $out"
"$scripts/compare-reports.sh" --clear "$out"
# Sides in a file: their values may hold commas and spaces.
sides=$work/sides.toml
side() {
  printf "[%s]\ntarget = '''%s'''\nlabel = '''%s'''\n" "$1" "$2" "$3"
  if [ -n "$4" ]; then printf "revision = '''%s'''\n" "$4"; fi
}
{
  side base "$base_target" "$base_label" "$base_revision"
  side candidate "$head_target" "$head_label" "$head_revision"
} >"$sides"
# Ctrl-C is compare's to answer: what it has measured is reported, and called unfinished.
trap : INT
code=0
"$program" compare --side-file "$sides" --output "$out/comparison.json" \
  ${flags[@]+"${flags[@]}"} || code=$?
trap 'exit 130' INT
if [ ! -s "$out/comparison.json" ]; then
  [ "$code" -ne 0 ] || fail "compare ended without a record"
  exit "$code"
fi
"$scripts/compare-reports.sh" "$program" "$out" "$code"
echo "compare-servers.sh: results are in $out" >&2
exit "$code"
