#!/usr/bin/env bash
# Draws the pictures of README and docs into docs/img: the tops of pages that the program makes of
# recorded runs.
#   scripts/pictures.sh [REPRODUCE PEERS SWEEP KNEE]
# Of the recording of 2026-11-30, and the knee of 2026-11-21 (bench-client/tests/records/README.md).
# Needs node, chromium, pngquant and optipng; BUSLOAD names the program, else it is built.
set -euo pipefail
cd "$(dirname "$0")/.."

for tool in node chromium pngquant optipng; do
  command -v "$tool" >/dev/null || { echo "error: $tool is missing: apt-get install $tool" >&2; exit 2; }
done
if [ -z "${BUSLOAD:-}" ]; then
  cargo build --quiet --release --locked --bin bench-client
  BUSLOAD=${CARGO_TARGET_DIR:-target}/release/bench-client
fi
recorded=results/2026-11-30-vm-2core
pages=$(mktemp -d)
trap 'rm -rf "$pages"' EXIT

# draw NAME RECORD: from the title to the first charts.
draw() {
  "$BUSLOAD" report "$2" --format html --output "$pages/$1.html"
  node scripts/picture.mjs chromium "$pages/$1.html" "$pages/$1.png" --width 1000 --to .charts
  pngquant --force --output "$pages/$1.png" 256 "$pages/$1.png"
  optipng -quiet -o5 "$pages/$1.png"
  mv "$pages/$1.png" "docs/img/$1.png"
}

mkdir -p docs/img
draw ladder "${1:-$recorded/reproduce.json}"
draw peers "${2:-$recorded/peers.json}"
draw sweep "${3:-$recorded/sweep-alpha.json}"
draw knee "${4:-bench-client/tests/records/knee.json}"
ls -l docs/img
