#!/bin/sh
# Holds `bench-client fsync` against dd: both write COUNT blocks with O_DSYNC, appending and
# overwriting, in alternating rounds so that a noisy machine cancels out. Prints the mean latency of
# each round in microseconds, then the medians over the rounds and two ratios: the median of the
# rounds' own ratios, which is the one to go by when the machine does other things meanwhile, and
# the ratio of the medians.
#
# usage: scripts/dd-baseline.sh [DIR [COUNT [BLOCK [ROUNDS]]]]
#        defaults: .data 200 4k 40
# BENCH_CLIENT names the program to use instead of building it.
set -eu
LC_ALL=C
export LC_ALL

case "${1:-}" in -*) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p;}' "$0"; exit 2 ;; esac
dir=${1:-.data} count=${2:-200} block=${3:-4k} rounds=${4:-40}
fail() { echo "dd-baseline.sh: $1" >&2; exit 2; }
for number in "$count" "$rounds"; do
    case $number in '' | *[!0-9]* | 0*) fail "not a number above 0: $number" ;; esac
done

root=$(cd "$(dirname "$0")/.." && pwd)
client() {
    if [ -n "${BENCH_CLIENT:-}" ]; then
        "$BENCH_CLIENT" "$@"
    else
        cargo run --quiet --release --locked --manifest-path "$root/Cargo.toml" \
            --bin bench-client -- "$@"
    fi
}

mkdir -p "$dir" || fail "cannot create $dir"
# dd writes into the directory itself, and appends to a new file in each round, as bench-client
# does. Where ext4 put a file and its inode was seen to make a difference of 17 % when
# appending, and stays with the file: one file for all rounds would keep its luck to the end.
appended=$(mktemp -u "$dir/.dd-append-XXXXXX")
overwritten=$(mktemp "$dir/.dd-overwrite-XXXXXX") || fail "cannot write in $dir"
trap 'rm -f "$appended" "$overwritten"' EXIT
trap 'exit 130' INT TERM HUP

# No output goes through a file: the file system would write that one too, while it is measured.

# dd_mean PATTERN FILE: the mean microseconds of one write. The time is dd's own.
dd_mean() {
    # What came before, such as the freeing of another file's blocks, is to be off the clock.
    if [ "$1" = append ]; then : >"$2"; notrunc=; else notrunc=conv=notrunc; fi
    sync "$2"
    # shellcheck disable=SC2086 # $notrunc is one word or none
    said=$(dd if=/dev/zero of="$2" bs="$block" count="$count" oflag=dsync $notrunc 2>&1) ||
        fail "$said"
    echo "$said" | awk -v count="$count" '/copied/ {
        for (i = 2; i <= NF; i++) if ($i ~ /^s(econds)?,?$/) printf "%.1f\n", $(i - 1) / count * 1e6
    }'
}

dd_both() {
    dd_append=$(dd_mean append "$appended")
    rm -f "$appended"
    dd_overwrite=$(dd_mean overwrite "$overwritten")
}

client_both() {
    json=$(client fsync --data-dir "$dir" --count "$count" --block "$block" --json)
    client_append=$(echo "$json" | o_dsync_mean append)
    client_overwrite=$(echo "$json" | o_dsync_mean overwrite)
}

o_dsync_mean() { # o_dsync_mean PATTERN <JSON
    awk -F'[":, ]+' -v wanted="$1" '
        $2 == "method"  { method = $3 }
        $2 == "pattern" { pattern = $3 }
        $2 == "mean" && method == "o_dsync" && pattern == wanted { printf "%.1f\n", $3 }'
}

client fsync --data-dir "$dir" --count 1 --block "$block" --json >/dev/null # built, and able
dd if=/dev/zero of="$overwritten" bs="$block" count="$count" conv=fsync status=none

echo "mean us per write of $block with O_DSYNC, $count writes per round"
printf '%5s %12s %12s %12s %12s\n' round 'dd append' 'ours' 'dd overwrite' 'ours'
rows=
round=1
while [ "$round" -le "$rounds" ]; do
    # Which goes first alternates too.
    if [ $((round % 2)) -eq 1 ]; then dd_both; client_both; else client_both; dd_both; fi
    row=$(printf '%5d %12s %12s %12s %12s' \
        "$round" "$dd_append" "$client_append" "$dd_overwrite" "$client_overwrite")
    echo "$row"
    rows="$rows$row
"
    round=$((round + 1))
done

median() { # median EXPRESSION: of the columns of the rounds
    printf %s "$rows" | awk "{ print $1 }" | sort -n | awk '
        { value[NR] = $1 }
        END { printf "%.3f", (value[int((NR + 1) / 2)] + value[int(NR / 2) + 1]) / 2 }'
}

compare() { # compare PATTERN COLUMN_OF_DD COLUMN_OF_OURS
    awk -v pattern="$1" -v dd="$(median "$2")" -v ours="$(median "$3")" \
        -v paired="$(median "$3 / $2")" 'BEGIN {
        printf "%-9s  dd %.1f us, bench-client %.1f us: ratio by round %.3f, of the medians %.3f\n",
            pattern, dd, ours, paired, ours / dd
    }'
}

echo
echo "medians over $rounds rounds"
# shellcheck disable=SC2016 # columns of awk
compare append '$2' '$3'
# shellcheck disable=SC2016
compare overwrite '$4' '$5'
