#!/usr/bin/env bash
# Makes the packages of PROGRAMS and tries them: the archive is unpacked, the Debian package
# installed below a directory and removed again, completions are read by their shells, man pages by
# man; and, of a static program, the container is built and run, or its steps in a chroot where no
# container program works. Names what was skipped.
#
# usage: packaging/check.sh PROGRAMS
set -euo pipefail

if [ $# -ne 1 ] || [[ $1 == -* ]]; then
  sed -n '2,/^set/{/^#/s/^# \{0,1\}//p;}' "$0" >&2
  exit 2
fi
programs=$(realpath "$1")
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
version=$("$here/version.sh")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

skipped() { echo "skipped packaging::$1: $2"; }
fail() {
  echo "check.sh: $*" >&2
  exit 1
}

# says_version COMMAND…: it starts and is this version.
says_version() {
  local said
  said=$("$@" --version)
  [[ $said == *"$version"* ]] || fail "$* --version says $said"
}

archive() {
  local file target=x86_64-unknown-linux-gnu directory
  file=$("$here/archive.sh" "$stage" "$target" "$work/out")
  (cd "$work/out" && sha256sum --check --quiet -- *.sha256)
  tar --extract --file "$file" --directory "$work"
  directory=$work/busload-$version-$target
  says_version "$directory/busload"
  says_version "$directory/bench-client"
}

debian() {
  local package root=$work/root status left
  if ! command -v dpkg-deb >/dev/null; then
    skipped debian "no dpkg-deb"
    return
  fi
  package=$("$here/deb.sh" "$stage" "$work/out" 2>/dev/null)
  mkdir -p "$root/var/lib/dpkg/"{info,updates}
  touch "$root/var/lib/dpkg/"{status,available}
  # A root of its own has no libraries, and needs no other package's scripts.
  local dpkg=(dpkg --root="$root" --log=/dev/null --force-depends --force-not-root)
  "${dpkg[@]}" --install "$package" >/dev/null 2>&1
  status=$("${dpkg[@]}" --status busload)
  grep -q '^Status: install ok installed' <<<"$status" || fail "installed as $status"
  says_version "$root/usr/bin/busload"
  says_version "$root/usr/bin/bench-client"
  completions "$root/usr/share"
  manual "$root/usr/share/man"
  "${dpkg[@]}" --purge busload >/dev/null 2>&1
  left=$(find "$root" -name '*busload*' -o -name '*bench-client*')
  [ -z "$left" ] || fail "removed, and there is still $left"
}

# completions SHARE
completions() {
  local name shell file
  for name in busload bench-client; do
    while read -r shell file; do
      [ -s "$1/$file" ] || fail "no $file"
      grep -q torture "$1/$file" || fail "$file knows no torture"
      if command -v "$shell" >/dev/null; then
        "$shell" -n "$1/$file" || fail "$shell does not read $file"
      fi
    done <<FILES
bash bash-completion/completions/$name
zsh zsh/vendor-completions/_$name
fish fish/vendor_completions.d/$name.fish
FILES
  done
  # And it completes: the verbs that begin with "re".
  local said
  said=$(bash -c "source '$1/bash-completion/completions/busload'
    COMP_WORDS=(busload re) COMP_CWORD=1 COMPREPLY=()
    _busload busload re busload
    echo \"\${COMPREPLY[*]}\"")
  [[ $said == *report* && $said == *reproduce* ]] || fail "busload re<Tab> gives: $said"
}

# manual MAN
manual() {
  [ -s "$1/man1/busload.1.gz" ] || fail "no man page"
  [ -s "$1/man1/busload-run.1.gz" ] || fail "no man page of run"
  if command -v man >/dev/null && [ -x "$(command -v groff || true)" ]; then
    man --warnings --local-file "$1/man1/busload.1.gz" 2>&1 >/dev/null | { ! grep .; } ||
      fail "man warns of busload.1"
  else
    skipped manual "no man"
  fi
}

# The same run as everywhere, and what it says.
run=(run --duration 1 --warmup 0 --accounts 1000 --output /data/run.json)

container() {
  local context=$work/context program
  if readelf --program-headers "$programs/bench-client" | grep -q INTERP; then
    skipped container "the program is not static (scripts/static-build.sh)"
    return
  fi
  "$here/context.sh" "$stage" "$context"
  for program in podman docker buildah; do
    if ! "$program" info >/dev/null 2>&1; then continue; fi
    container_by "$program" "$context"
    return
  done
  skipped container "neither podman nor docker nor buildah works: its steps in a chroot"
  in_chroot "$context"
}

# container_by PROGRAM CONTEXT
container_by() {
  local tag=busload-check:$$
  if [ "$1" = buildah ]; then
    buildah build --tag "$tag" "$2" >/dev/null
    local made
    made=$(buildah from "$tag")
    buildah run "$made" -- /usr/bin/busload "${run[@]}"
    buildah rm "$made" >/dev/null
    buildah rmi "$tag" >/dev/null
    return
  fi
  "$1" build --tag "$tag" --file "$2/Containerfile" "$2" >/dev/null
  "$1" run --rm --network none "$tag" "${run[@]}"
  "$1" rmi "$tag" >/dev/null
}

# What the Containerfile does, by hand: the files, the owner, the user, the directory, the command.
in_chroot() {
  local root=$work/scratch
  if [ "$(id -u)" -ne 0 ] || ! unshare --mount true 2>/dev/null; then
    skipped container_in_a_chroot "needs root"
    return
  fi
  mkdir -p "$root/proc" "$root/dev"
  mknod -m 666 "$root/dev/null" c 1 3
  mknod -m 666 "$root/dev/random" c 1 8
  mknod -m 666 "$root/dev/urandom" c 1 9
  cp -a "$1/usr" "$1/data" "$1/tmp" "$root/"
  chown -R 65532:65532 "$root/data" "$root/tmp"
  # As the entry point is run: /proc is there, nothing else of this machine, no user has a name.
  enter "$root" /usr/bin/busload "${run[@]}" --data-dir /data/db
  grep -q '"valid": true' "$root/data/run.json" || fail "the run in the chroot is not valid"
  [ "$(stat --format %u "$root/data/run.json")" = 65532 ] || fail "it did not run as 65532"
  names_and_roots "$root"
}

# enter ROOT COMMAND…: as the entry point of a container is started. /proc is there, of /dev what
# every container has and this program needs, and nothing else of this machine; the user has no
# name; the network is a loopback of its own.
enter() {
  # shellcheck disable=SC2016 # the inner shell has the values
  unshare --mount --net --pid --fork --kill-child bash -euc '
    root=$1
    shift
    ip link set lo up
    mount -t proc proc "$root/proc"
    cd "$root/data"
    exec setpriv --no-new-privs chroot --userspec=65532:65532 "$root" "$@"
  ' sh "$@"
}

# What a static program takes from files at run time: host names, and the authorities to believe.
# names_and_roots ROOT
names_and_roots() {
  local root=$1
  if ! command -v openssl >/dev/null; then
    skipped names_and_roots "no openssl"
    return
  fi
  openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=busload.test \
    -addext subjectAltName=DNS:busload.test -addext basicConstraints=critical,CA:FALSE \
    -keyout "$root/data/key.pem" \
    -out "$root/data/cert.pem" 2>/dev/null
  chown 65532:65532 "$root/data/"*.pem
  mkdir -p "$root/etc/ssl/certs"
  echo '127.0.0.1 busload.test' >"$root/etc/hosts"
  cp "$root/data/cert.pem" "$root/etc/ssl/certs/ca-certificates.crt"
  # A second process in the same network: the chroot has no shell, so this one starts both.
  # shellcheck disable=SC2016 # the inner shell has the values
  unshare --mount --net --pid --fork --kill-child bash -euc '
    root=$1
    ip link set lo up
    mount -t proc proc "$root/proc"
    inside() { setpriv --no-new-privs chroot --userspec=65532:65532 "$root" /usr/bin/busload "$@"; }
    inside serve ws --port 4107 --database /data/ledger --accounts 1000 --allow-unauthenticated \
      --tls-cert /data/cert.pem --tls-key /data/key.pem &
    for _ in $(seq 50); do
      if (: </dev/tcp/127.0.0.1/4107) 2>/dev/null; then break; fi
      sleep 0.1
    done
    load=(run --url wss://busload.test:4107 --reseed --duration 1 --warmup 0 --accounts 1000 --quiet)
    inside "${load[@]}" --output /data/named.json
    # Without the authorities it says so, and does not run.
    rm -r "$root/etc/ssl"
    code=0
    inside "${load[@]}" --output /data/none.json 2>"$root/said" || code=$?
    if [ "$code" -eq 0 ]; then
      echo "check.sh: it believes a certificate that nothing vouches for" >&2
      exit 1
    fi
    grep -q -e --ca "$root/said" || { cat "$root/said" >&2; exit 1; }
    # And by --ca it needs none of the system.
    inside "${load[@]}" --ca /data/cert.pem --output /data/given.json
  ' sh "$root"
  grep -q '"valid": true' "$root/data/named.json" || fail "the run by a host name is not valid"
}

stage=$work/stage
"$here/stage.sh" "$programs" "$stage"
archive
debian
container
echo "packages of busload $version: checked"
