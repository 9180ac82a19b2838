#!/usr/bin/env bash
# Lays out what every package holds: the program under both names, completions, man pages and
# licences, as they are installed below /usr.
#
# usage: packaging/stage.sh PROGRAMS DIR
#
# PROGRAMS is the directory that holds `busload` and `bench-client`, which run on this machine: they
# write their own completions and man pages. DIR is made, and must not be there.
set -euo pipefail

if [ $# -ne 2 ] || [[ $1 == -* ]]; then
  sed -n '2,/^set/{/^#/s/^# \{0,1\}//p;}' "$0" >&2
  exit 2
fi
programs=$1 directory=$2
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
if [ -e "$directory" ]; then
  echo "stage.sh: $directory is there already: remove it" >&2
  exit 2
fi
mkdir -p "$directory/bin" "$directory/share/man/man1" "$directory/share/doc/busload"
cp "$root"/{README.md,LICENSE-MIT,LICENSE-APACHE} "$directory/share/doc/busload/"
for name in busload bench-client; do
  install -m 755 "$programs/$name" "$directory/bin/$name"
  "$programs/$name" man "$directory/share/man/man1"
  # Where each shell looks, and what it calls them.
  while read -r shell file; do
    mkdir -p "$directory/share/$(dirname "$file")"
    "$programs/$name" completions "$shell" >"$directory/share/$file"
  done <<FILES
bash bash-completion/completions/$name
zsh zsh/vendor-completions/_$name
fish fish/vendor_completions.d/$name.fish
FILES
done
