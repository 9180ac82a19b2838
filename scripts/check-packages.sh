#!/usr/bin/env bash
# Which packages of the workspace compile (`cargo check`), as a Markdown table.
#
# usage: scripts/check-packages.sh [--target TARGET] [MUST…]
#
# Ends with 1 when one of the packages MUST does not.
set -euo pipefail

target=()
if [ "${1:-}" = --target ]; then
  target=(--target "$2")
  shift 2
elif [[ ${1:-} == -* ]]; then
  sed -n '2,/^set/{/^#/s/^# \{0,1\}//p;}' "$0" >&2
  exit 2
fi
cd "$(dirname "${BASH_SOURCE[0]}")/.."

code=0
echo "| package | compiles |"
echo "| --- | --- |"
packages=$(sed -n 's/^members = \[\(.*\)\]/\1/p' Cargo.toml | tr -d '",')
for directory in $packages; do
  package=$(sed -n 's/^name = "\(.*\)"/\1/p' "$directory/Cargo.toml" | head -1)
  said=yes
  if ! cargo check --quiet --locked -p "$package" ${target[@]+"${target[@]}"} >&2; then
    said=no
    for must in "$@"; do
      if [ "$must" = "$package" ]; then code=1; fi
    done
  fi
  echo "| $package | $said |"
done
exit "$code"
