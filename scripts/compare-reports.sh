#!/usr/bin/env bash
# Every report of a comparison, from its record, into one directory.
#
# usage: scripts/compare-reports.sh PROGRAM OUT CODE
#        scripts/compare-reports.sh --clear OUT      removes what an earlier comparison has left
#
# PROGRAM is bench-client; OUT has comparison.json; CODE is the exit code of `compare`. Writes
# comparison.md, .html, .csv and junit.xml; when every run was valid also github-benchmark/*.json,
# bmf.json, base.txt and head.txt (for benchstat). A report that cannot be made is told of on
# standard error, and the others are made all the same.
set -euo pipefail

clear() {
  rm -rf "$1/github-benchmark"
  for file in comparison.md comparison.html comparison.csv junit.xml bmf.json base.txt head.txt; do
    rm -f "$1/$file"
  done
}

if [ $# -eq 2 ] && [ "$1" = --clear ]; then
  clear "$2"
  rm -f "$2/comparison.json"
  exit
fi
if [ $# -ne 3 ]; then
  sed -n '2,/^set/{/^#/s/^# \{0,1\}//p;}' "$0" >&2
  exit 2
fi
program=$1 out=$2 code=$3
clear "$out"

report() {
  "$program" report "$out/comparison.json" "$@" || echo "compare-reports.sh: no report by $*" >&2
}

report --format md --output "$out/comparison.md"
report --format html --output "$out/comparison.html"
report --format csv --output "$out/comparison.csv"
report --format junit --output "$out/junit.xml"
# There is nothing to track when a run was invalid.
if [ "$code" -eq 0 ] || [ "$code" -eq 3 ]; then
  report --format github-benchmark --output-dir "$out/github-benchmark"
  report --format bmf --output "$out/bmf.json"
  report --format gobench --output-dir "$out"
fi
