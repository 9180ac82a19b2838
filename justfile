# What there is to do here
default:
    @just --list --unsorted

# Format the sources
fmt:
    cargo fmt --all

# Formatting, lints, documentation, licences
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --locked -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked
    cargo deny --all-features check bans licenses sources

# All tests, or those that the arguments name
test *args:
    cargo test --workspace --locked {{ args }}

# Everything that continuous integration checks
check:
    .ci/run

# Micro-benchmarks: hot paths, Zipf sampling, both codecs, apply and commit by batch size
bench *args:
    cargo bench --workspace --locked {{ args }}

# Micro-benchmarks saved under a name, and compared with another: `just bench-micro new old`
bench-micro name="base" against="" filter="":
    #!/usr/bin/env bash
    set -euo pipefail
    if [ -n {{ quote(against) }} ] &&
      ! find target/criterion -type d -name {{ quote(against) }} 2>/dev/null | grep -q .; then
      echo "error: nothing is saved as "{{ quote(against) }}": save it with just bench-micro" >&2
      exit 2
    fi
    # By name: Cargo would hand criterion's flags to test harnesses too.
    run=(cargo bench --workspace --locked --bench hot_path --bench zipf --bench codecs
      --bench group_commit --)
    "${run[@]}" --save-baseline {{ quote(name) }} {{ if filter == "" { "" } else { quote(filter) } }}
    if [ -n {{ quote(against) }} ]; then
      echo "=== "{{ quote(name) }}" against "{{ quote(against) }}
      "${run[@]}" --load-baseline {{ quote(name) }} --baseline {{ quote(against) }} {{ if filter == "" { "" } else { quote(filter) } }}
    fi

# Instructions of the hot paths against the recorded ones: ends with 3 when one differs by over 3 %
bench-instructions *args:
    cargo run --quiet --release --locked -p busload-benches --bin instructions -- {{ args }}

# Records them in benches/instructions.json: say in the commit message why they changed
bench-instructions-record: (bench-instructions "--record")

# Measure: the project's main command
run *args:
    cargo run --release --locked --bin bench-client -- run {{ args }}

# The article's table on this machine
reproduce *args:
    cargo run --release --locked --bin bench-client -- reproduce {{ args }}

# A transfer server: `just serve ws --port 4107`
serve transport="ws" *args:
    cargo run --release --locked --bin bench-client -- serve {{ transport }} {{ args }}

# Run `reproduce` into results/<date>-<host>/, which must not exist yet
record host=`uname -n | cut -d. -f1` *args:
    #!/usr/bin/env bash
    set -euo pipefail
    date=$(date -u +%F)
    dir=results/$date-{{ host }}
    if [ -e "$dir" ]; then
      echo "error: $dir exists, and recorded results are never changed: give it another name," \
        "as in: just record {{ host }}-2" >&2
      exit 1
    fi
    cargo build --release --locked --bin bench-client
    mkdir "$dir"
    code=0
    cargo run --quiet --release --locked --bin bench-client -- \
      fsync --json > "$dir/fsync.json" || code=$?
    if [ "$code" -eq 0 ]; then
      cargo run --quiet --release --locked --bin bench-client -- \
        reproduce --output "$dir/reproduce.json" {{ args }} || code=$?
    fi
    cat > "$dir/README.md" <<README
    # {{ host }}, $date

    Recorded by \`just record {{ host }} {{ args }}\`; \`reproduce\` ended with exit code $code
    (0: exactly the fake row is invalid).

    | file | made by | what it is |
    | --- | --- | --- |
    | fsync.json | \`bench-client fsync --json\` | the disk alone, just before |
    | reproduce.md | \`bench-client reproduce --output reproduce.json {{ args }}\` | the table |
    | reproduce.json | the same | the record: machine, disk, every row with its verdicts |

    The machine, the program's revision and the command line are in the head of reproduce.md and,
    in full, under \`environment\` in reproduce.json. Figures of other machines are comparable as
    ratios only (docs/methodology.md).
    README
    echo "recorded in $dir"
    exit "$code"

# One page over all recorded results, and a page for each record, in target/results
results-page *args:
    cargo run --quiet --release --locked --bin bench-client -- report results/ --format html --output-dir target/results {{ args }}
    @echo "open target/results/index.html"

# The pictures of README and docs, drawn from pages of recorded runs by headless Chromium
pictures *args:
    scripts/pictures.sh {{ args }}

# Every recorded result anew, into a folder: disk, ladder, load, knobs, peers, postgres. About an hour
record-all dir *parts:
    cargo build --release --locked --bin bench-client
    scripts/record-all.sh {{ quote(dir) }} {{ parts }}

# The long audit: hundreds of kills and power cuts, thousands of crash states, the scaled-down
# tests at full size, the fuzz targets.
# About an hour, as root; goes on where it was left
torture-long dir="results/torture":
    cargo build --release --locked --bin bench-client
    scripts/torture-long.sh {{ quote(dir) }}

# The static program, and its archive, Debian package and container made and tried
packages:
    #!/usr/bin/env bash
    set -euo pipefail
    packaging/check.sh "$(scripts/static-build.sh)"
