#!/usr/bin/env bash
# Makes the archive of a release and its checksum, and prints its path.
#
# usage: packaging/archive.sh STAGE TARGET OUT
#
# STAGE is what stage.sh made, TARGET what its programs were built for, OUT the directory of the
# archives.
set -euo pipefail

if [ $# -ne 3 ] || [[ $1 == -* ]]; then
  sed -n '2,/^set/{/^#/s/^# \{0,1\}//p;}' "$0" >&2
  exit 2
fi
stage=$1 target=$2 out=$3
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
name=busload-$("$here/version.sh")-$target
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -R "$stage" "$work/$name"
# The programs on top, where `cargo binstall` and people look.
mv "$work/$name/bin"/* "$work/$name/"
rmdir "$work/$name/bin"
mkdir -p "$out"
# The same files make the same archive.
tar --create --sort=name --owner=0 --group=0 --numeric-owner \
  --mtime="@${SOURCE_DATE_EPOCH:-0}" --directory "$work" "$name" |
  gzip --no-name >"$out/$name.tar.gz"
(cd "$out" && sha256sum "$name.tar.gz" >"$name.tar.gz.sha256")
echo "$out/$name.tar.gz"
