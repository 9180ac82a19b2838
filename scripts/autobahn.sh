#!/usr/bin/env bash
# Runs the Autobahn test suite against the WebSocket server's own connection code, sending
# messages back instead of serving them (servers/frontend/examples/ws_echo.rs). Fails when a case
# FAILED; says how many cases ended in which way. The report is in target/autobahn/report.
#
# usage: scripts/autobahn.sh [CASES…]
#        defaults: sections 1 to 7, 9 and 10: '1.*' '2.*' … (12 and 13 are about compression,
#        which the server does not offer)
#
# The suite runs under Python 2.7 only; where there is none, or its packages cannot be installed,
# this passes over its work.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

case "${1:-}" in -*) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p;}' "$0"; exit 2 ;; esac
cases=("$@")
if [ ${#cases[@]} -eq 0 ]; then cases=('1.*' '2.*' '3.*' '4.*' '5.*' '6.*' '7.*' '9.*' '10.*'); fi
# All of them were seen to take a minute and a half.
minutes_at_most=15

skip() {
  echo "skipped autobahn: no python 2.7${1:+ $1}"
  exit 0
}

python=python2.7
if ! "$python" -c '' 2>/dev/null; then
  # Installed by pyenv, and not chosen.
  version=$(pyenv versions --bare 2>/dev/null | grep '^2\.7\.' | tail -n 1) || skip
  python=$(pyenv prefix "$version")/bin/python2.7
  "$python" -c '' 2>/dev/null || skip
fi

work=${CARGO_TARGET_DIR:-target}/autobahn
mkdir -p "$work"
work=$(cd "$work" && pwd)
wstest=$work/env/bin/wstest
# The last versions that work together.
packages=('autobahntestsuite==25.10.1' 'autobahn==0.10.9' 'txaio==2.1.0' 'Twisted<20'
  'zope.interface<5' 'klein<20' 'Werkzeug<1' 'Jinja2<3' 'MarkupSafe<2' 'pyOpenSSL<20'
  'cryptography<3.4' 'service_identity<21' 'unittest2')

install_suite() {
  rm -rf "$work/env" "$work/tool"
  "$python" -m pip install --target "$work/tool" 'virtualenv==20.15.1' || return
  PYTHONPATH=$work/tool "$python" -m virtualenv "$work/env" || return
  "$work/env/bin/pip" install "${packages[@]}" || return
  "$wstest" --help
}
if [ ! -e "$work/installed" ]; then
  install_suite >"$work/install.log" 2>&1 || skip "with its packages (see $work/install.log)"
  touch "$work/installed"
fi

cargo build --locked --quiet -p busload-frontend --features echo --example ws_echo
"$work/../debug/examples/ws_echo" --null-server --port=0 >"$work/url" &
server=$!
trap 'kill "$server" 2>/dev/null || true' EXIT
for _ in $(seq 100); do
  if [ -s "$work/url" ]; then break; fi
  kill -0 "$server"
  sleep 0.1
done

rm -rf "$work/report"
list=$(printf ', "%s"' "${cases[@]}")
cat >"$work/client.json" <<END
{"outdir": "$work/report", "servers": [{"agent": "busload", "url": "$(cat "$work/url")"}],
 "cases": [${list#, }], "exclude-cases": [], "exclude-agent-cases": {}}
END
timeout "${minutes_at_most}m" "$wstest" -m fuzzingclient -s "$work/client.json" \
  >"$work/wstest.log" 2>&1 || {
  tail -n 20 "$work/wstest.log" >&2
  echo "autobahn.sh: the suite did not end well" >&2
  exit 1
}
kill -0 "$server"

"$python" - "$work/report/index.json" <<'END'
import collections, json, sys
cases = json.load(open(sys.argv[1]))["busload"]
for key, what in (("behavior", "answers"), ("behaviorClose", "closing")):
    counts = collections.Counter(case[key] for case in cases.values())
    shown = ", ".join("%d %s" % (n, name) for name, n in sorted(counts.items()))
    print("autobahn: %d cases, %s: %s" % (len(cases), what, shown))
bad = ("FAILED", "WRONG CODE", "UNCLEAN")
failed = sorted(name for name, case in cases.items()
                if case["behavior"] in bad or case["behaviorClose"] in bad)
for name in failed:
    print("autobahn: %s: %s, closing %s" % (
        name, cases[name]["behavior"], cases[name]["behaviorClose"]))
sys.exit(1 if failed or not cases else 0)
END
