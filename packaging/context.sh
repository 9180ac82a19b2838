#!/usr/bin/env bash
# Lays out the context from which the Containerfile is built: the static program, a directory for
# data, one for temporary files.
#
# usage: packaging/context.sh STAGE DIR
#
# STAGE is what stage.sh made of the programs of scripts/static-build.sh. DIR is made, and must not
# be there.
set -euo pipefail

if [ $# -ne 2 ] || [[ $1 == -* ]]; then
  sed -n '2,/^set/{/^#/s/^# \{0,1\}//p;}' "$0" >&2
  exit 2
fi
stage=$1 directory=$2
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if readelf --program-headers "$stage/bin/bench-client" | grep -q INTERP; then
  echo "context.sh: $stage/bin/bench-client needs libraries, which a scratch image has not: take" \
    "what scripts/static-build.sh makes" >&2
  exit 2
fi
mkdir "$directory" "$directory/data" "$directory/tmp"
cp -R "$stage" "$directory/usr"
cp "$here/Containerfile" "$directory/"
