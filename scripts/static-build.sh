#!/usr/bin/env bash
# Builds the program as one static file for Linux, which needs no library of the machine that it
# runs on. Prints the directory that holds `busload` and `bench-client`.
#
# usage: scripts/static-build.sh [TARGET]
#
# TARGET is x86_64-unknown-linux-gnu by default. Needs what every build needs, and for another
# target that target's standard library and C compiler (docs/install.md).
set -euo pipefail

if [ $# -gt 1 ] || [[ ${1:-} == -* ]]; then
  sed -n '2,/^set/{/^#/s/^# \{0,1\}//p;}' "$0" >&2
  exit 2
fi
target=${1:-x86_64-unknown-linux-gnu}
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# With --target, so that the flags are the program's alone: procedural macros cannot be static.
variable=CARGO_TARGET_$(tr 'a-z-' 'A-Z_' <<<"$target")_RUSTFLAGS
export "$variable=-C target-feature=+crt-static"
cargo build --release --locked --target "$target" --bin bench-client --bin busload >&2
directory=${CARGO_TARGET_DIR:-target}/$target/release

# An interpreter is what a dynamic program names: its first kind of program header.
for program in bench-client busload; do
  if readelf --program-headers "$directory/$program" | grep -q INTERP; then
    echo "static-build.sh: $directory/$program needs libraries of this machine" >&2
    exit 1
  fi
done
echo "$directory"
