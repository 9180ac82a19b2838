#!/usr/bin/env bash
# Builds two git revisions and compares them with each other on this machine, with the load
# generator of the second one for both.
#
# usage: scripts/compare-revisions.sh [OPTION…] BASE HEAD [-- FLAG-OF-COMPARE…]
#
#   --side SIDE       what is measured of both: CONNECTOR[,knob=value…] [default: sqlite_ws_rpc]
#   --base-side SIDE  the same for BASE alone
#   --head-side SIDE  the same for HEAD alone
#   --output DIR      directory for the results [default: WORK/out]
#   --work DIR        directory for builds [default: target/compare]
#
# Results: comparison.json, .md, .html, .csv and junit.xml; when every run was valid also
# github-benchmark/*.json, bmf.json, base.txt and head.txt (for benchstat). Ends with the exit code
# of `compare`: 0, 2 (bad revision, arguments or environment, or a build that fails), 3 (a gate
# failed), 4 (a run is invalid, or nothing could be compared), 5 (a server did not start), 130. In
# GitHub Actions `compare` also writes the step's summary.
#
# Programs are kept by revision in WORK/bin/REVISION (its first 12 digits), so a revision is built
# once. What is not committed is not compared.
#
# example: scripts/compare-revisions.sh main HEAD -- --rounds 20 --duration 3 --fail-if 'tps<-5%'
set -euo pipefail

fail() {
  echo "compare-revisions.sh: $1" >&2
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

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
base_side=sqlite_ws_rpc head_side=sqlite_ws_rpc
work=${CARGO_TARGET_DIR:-$root/target}/compare
out=
revisions=()
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
    --side | --base-side | --head-side | --output | --work)
      [ $# -ge 2 ] || fail "$1 needs a value"
      case $1 in
        --side) base_side=$2 head_side=$2 ;;
        --base-side) base_side=$2 ;;
        --head-side) head_side=$2 ;;
        --output) out=$2 ;;
        --work) work=$2 ;;
      esac
      shift
      ;;
    -*) fail "there is no option $1: --help lists them, and flags of compare stand after --" ;;
    *) revisions+=("$1") ;;
  esac
  shift
done
if [ ${#revisions[@]} -ne 2 ]; then
  usage >&2
  fail "give two revisions"
fi

# The commit that a name stands for.
commit() {
  git -C "$root" rev-parse --verify --quiet --end-of-options "$1^{commit}" ||
    fail "there is no revision $1 in $root: fetch it, or choose another"
}
base=$(commit "${revisions[0]}")
head=$(commit "${revisions[1]}")

mkdir -p "$work" || fail "cannot create $work"
work=$(cd "$work" && pwd)
out=${out:-$work/out}
mkdir -p "$out" || fail "cannot create $out"
out=$(cd "$out" && pwd)
case $work in *,*) fail "a comma separates the knobs of a side, so there can be none in $work" ;; esac
# One at a time: both builds have fixed places, so that cargo finds what it built before.
exec 9>"$work/lock"
if command -v flock >/dev/null && ! flock --nonblock 9; then
  fail "another comparison works in $work: wait for it, or choose another with --work"
fi

tree=
remove_tree() {
  if [ -n "$tree" ]; then
    git -C "$root" worktree remove --force "$tree" 2>/dev/null || rm -rf "$tree"
    git -C "$root" worktree prune
    tree=
  fi
}
trap remove_tree EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# cargo_build TREE TARGET_DIR. Cargo reads the configuration of the directories above the one it
# runs in, and the tree is usually below this checkout: so it runs elsewhere and is told the
# tree's own. The same goes for rustup.
cargo_build() (
  configuration=()
  if [ -e "$1/.cargo/config.toml" ]; then configuration=(--config "$1/.cargo/config.toml"); fi
  cd "$1"
  if command -v rustup >/dev/null; then
    toolchain=$(rustup show active-toolchain)
    export RUSTUP_TOOLCHAIN=${toolchain%% *}
  fi
  cd /
  CARGO_TARGET_DIR=$2 cargo build --manifest-path "$1/Cargo.toml" \
    ${configuration[@]+"${configuration[@]}"} --release --locked --bin bench-client
)

# The program of a revision. Seen from here where it is below: its name is shown in comments.
program_of() {
  echo "${work#"$PWD"/}/bin/${1:0:12}/bench-client"
}

# build PLACE REVISION: the program of the revision, unless it is there.
build() {
  local place=$1 revision=$2 program
  program=$(program_of "$revision")
  if [ -x "$program" ]; then
    echo "compare-revisions.sh: $place is $revision, built before" >&2
    return
  fi
  echo "compare-revisions.sh: building $place, $revision" >&2
  tree=$work/tree/$place
  # A run that was killed may have left it.
  rm -rf "$tree"
  git -C "$root" worktree prune
  mkdir -p "$work/tree"
  git -C "$root" worktree add --quiet --detach "$tree" "$revision" ||
    fail "cannot check $revision out"
  cargo_build "$tree" "$work/build/$place" >&2 || fail "$place ($revision) does not build"
  mkdir -p "$(dirname "$program")"
  # Whole or not at all.
  cp "$work/build/$place/release/bench-client" "$program.new"
  mv "$program.new" "$program"
  remove_tree
}
build base "$base"
build head "$head"

client=$(program_of "$head")
record=${out#"$PWD"/}/comparison.json
"$root/scripts/compare-reports.sh" --clear "$out"
# Ctrl-C is compare's to answer: what it has measured is reported, and called unfinished.
trap : INT
code=0
"$client" compare \
  "$base_side,server-bin=$(program_of "$base")" \
  "$head_side,server-bin=$client" \
  --output "$record" ${flags[@]+"${flags[@]}"} || code=$?
trap 'exit 130' INT
if [ ! -s "$record" ]; then
  [ "$code" -ne 0 ] || fail "compare ended without a record"
  exit "$code"
fi

"$root/scripts/compare-reports.sh" "$client" "${record%/*}" "$code"
echo "compare-revisions.sh: results are in $out" >&2
exit "$code"
