#!/usr/bin/env bash
# Tries the action's script (scripts/action.sh) as another repository has it: a repository with a
# server in Python is made in a temporary folder, and compared with itself by its target file at
# two revisions, and by two commands.
#
# usage: scripts/foreign-repository.sh PROGRAM
#
# PROGRAM is bench-client. Needs git and python3. Ends with 0 when both comparisons were made and
# nothing is left running.
set -euo pipefail

if [ $# -ne 1 ]; then
  sed -n '2,/^set/{/^#/s/^# \{0,1\}//p;}' "$0" >&2
  exit 2
fi
program=$(realpath "$1")
scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
repository=$root/repository
mkdir -p "$repository"
cp -r "$scripts/../docs/own-server/python" "$repository/bench"
cd "$repository"
git init --quiet
commit() {
  git add --all
  git -c user.name=a -c user.email=a@example.org -c commit.gpgsign=false \
    commit --quiet --message "$1"
}
commit first
git tag v1
echo '# a change' >>bench/server.py
commit second

export BENCH_CLIENT=$program ROUNDS=2 RUN_DURATION=0.5
export ARGUMENTS=$'--accounts=1000\n--concurrency=4\n--warmup=0.2'
# It is this repository's own.
unset GITHUB_EVENT_NAME EVENT_BASE GITHUB_STEP_SUMMARY

check() {
  for file in comparison.json comparison.md comparison.html comparison.csv junit.xml; do
    [ -s "$1/$file" ] || { echo "foreign-repository.sh: no $file in $1" >&2; exit 1; }
  done
  grep -q "$2" "$1/comparison.md" || {
    echo "foreign-repository.sh: $2 is not in $1/comparison.md" >&2
    exit 1
  }
}

TARGETS=bench/target.toml SETUP='python3 --version' OUTPUT=$root/revisions "$scripts/action.sh"
check "$root/revisions" 'bench/target.toml at v1'
[ "$(git worktree list | wc -l)" -eq 1 ] || { echo "a worktree is left" >&2; exit 1; }

server="python3 bench/server.py {port} {database}"
BASE_COMMAND=$server HEAD_COMMAND=$server CONNECTOR=sqlite_rpc OUTPUT=$root/commands \
  "$scripts/action.sh"
check "$root/commands" 'python3 bench/server.py'

# Without a base and a tag there is nothing to compare with, which is said.
git tag --delete v1 >/dev/null
code=0
TARGETS=bench/target.toml OUTPUT=$root/none "$scripts/action.sh" 2>"$root/said" || code=$?
if [ "$code" -ne 2 ] || ! grep -q 'give base' "$root/said"; then
  cat "$root/said" >&2
  echo "foreign-repository.sh: without a base it ends with $code" >&2
  exit 1
fi
if pgrep -f "$root" >/dev/null; then
  echo "foreign-repository.sh: something is left running" >&2
  exit 1
fi
