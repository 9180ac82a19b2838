#!/usr/bin/env bash
# Makes a Debian package and prints its path.
#
# usage: packaging/deb.sh STAGE OUT [ARCHITECTURE]
#
# STAGE is what stage.sh made, OUT the directory of the package, ARCHITECTURE Debian's name of what
# the programs are for, this machine's by default. Programs that need libraries (those of
# scripts/static-build.sh need none) depend on this machine's versions of them, as dpkg-shlibdeps
# finds them.
set -euo pipefail

if [ $# -lt 2 ] || [ $# -gt 3 ] || [[ $1 == -* ]]; then
  sed -n '2,/^set/{/^#/s/^# \{0,1\}//p;}' "$0" >&2
  exit 2
fi
stage=$1 out=$2 architecture=${3:-$(dpkg --print-architecture)}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
version=$("$here/version.sh")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/root"
cp -R "$stage" "$work/root/usr"

documents=$work/root/usr/share/doc/busload
mv "$documents/LICENSE-MIT" "$documents/copyright"
printf '\nOr, at your choice, the Apache License 2.0:\n\n' >>"$documents/copyright"
cat "$documents/LICENSE-APACHE" >>"$documents/copyright"
rm "$documents/LICENSE-APACHE"
gzip --no-name --best "$work"/root/usr/share/man/man1/*

depends=
if readelf --program-headers "$stage/bin/bench-client" | grep -q INTERP; then
  mkdir "$work/debian"
  touch "$work/debian/control"
  found=$(cd "$work" && dpkg-shlibdeps -O root/usr/bin/bench-client root/usr/bin/busload)
  depends="Depends: ${found#shlibs:Depends=}"
fi
mkdir "$work/root/DEBIAN"
{
  cat <<CONTROL
Package: busload
Version: $version
Architecture: $architecture
Maintainer: busload contributors <nobody@localhost>
Installed-Size: $(du --summarize --block-size=1024 "$work/root/usr" | cut -f1)
Section: utils
Priority: optional
CONTROL
  if [ -n "$depends" ]; then echo "$depends"; fi
  cat <<CONTROL
Recommends: ca-certificates
Suggests: strace
Description: load generator: how many durable transfers fit on one fsync
 Measures servers of money transfers, its own over SQLite with group commit and
 anybody's, says what limited them, and checks what they answered.
CONTROL
} >"$work/root/DEBIAN/control"
(cd "$work/root" && find usr -type f -print0 | sort -z | xargs -0 md5sum >DEBIAN/md5sums)
mkdir -p "$out"
package=$out/busload_${version}_$architecture.deb
dpkg-deb --root-owner-group --build "$work/root" "$package" >&2
echo "$package"
