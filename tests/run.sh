#!/usr/bin/env bash
# Every check of this repository: tests/run.sh, or some of them: tests/run.sh rust stories.
#
# Each suite says its name and its time, and leaves its whole output in target/test-reports/.
# The last line is the sum of all: N passed, N failed, N skipped.
set -uo pipefail
cd "$(dirname "$0")/.."
project=$PWD
reports=$project/target/test-reports
mkdir -p "$reports"

all_suites=(format lint rust docs licences release conformance stories browser python java go judge slow-reader ledger fuzz)
suites=("${@:-${all_suites[@]}}")
# What the caller's environment says must not reach the servers and builds under test.
unset CARGO_TARGET_DIR CONDUIT_CONFIG CONDUIT_SERVICE_KEY
for variable in $(compgen -e CONDUIT__); do unset "$variable"; done
fuzz_seconds=${FUZZ_SECONDS:-20}
ledger_seconds=${LEDGER_SECONDS:-12}
# A seed that ever failed stays in the list: 7.
ledger_seeds=${LEDGER_SEEDS:-7 11 3}
passed=0 failed=0 skipped=0
children=()
trap 'for child in "${children[@]:-}"; do [ -n "$child" ] && kill "$child" 2> /dev/null; done' EXIT

# ---- the suites: each is a function; what it prints is its report

suite_format() { cargo fmt --all --check; }

suite_lint() { cargo clippy --locked --all-targets -- -D warnings; }

suite_rust() { cargo test --locked --no-fail-fast; }

suite_docs() {
  RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps && python3 tests/check_links.py
}

suite_licences() {
  command -v cargo-deny > /dev/null || { skip "cargo-deny is not installed"; return; }
  cargo deny --log-level error check licenses bans sources
}

suite_release() { cargo build --locked --release --bins --example conformance_server --example ledger; }

suite_conformance() {
  node_20 && npm_ci tests/conformance || return
  # Most of the time is spent waiting for time-outs, so both profiles run at the same time.
  conformance_profile default > "$reports/conformance-default.log" 2>&1 &
  local first=$!
  conformance_profile detailed --detailed-errors > "$reports/conformance-detailed.log" 2>&1 &
  local second=$! code=0
  wait "$first" || code=1
  wait "$second" || code=1
  local profile p f sum=0 wrong=0
  for profile in default detailed; do
    echo "-- profile $profile"
    # Each run skips the cases of the other profile; together they leave out none.
    grep -Ev '^ok |^skip |^      for the profile |^[0-9]+ passed, ' "$reports/conformance-$profile.log" | tail -200
    read -r p f _ < <(totals "$reports/conformance-$profile.log")
    sum=$((sum + p)) wrong=$((wrong + f))
  done
  echo "$sum passed, $wrong failed, 0 skipped"
  return "$code"
}

conformance_profile() { # PROFILE [server options]
  local profile=$1
  shift
  serve "$project/target/release/examples/conformance_server" 0 "$@" || return
  (cd tests/conformance && timeout 600 node run.mjs --url "$url" --profile "$profile" --compare recorded --slow)
  local code=$?
  stop_server
  return "$code"
}

suite_stories() {
  node_20 && npm_ci tests/clients/node || return
  # Tests that measure time run beside one other file at most.
  (cd tests/clients/node && timeout 900 node --test --test-concurrency=2 --test-reporter=tap)
}

suite_browser() {
  debian chromium chromium || { skip "no Chromium on this machine, and it cannot be installed"; return; }
  node_20 && npm_ci tests/clients/node && npm_ci tests/clients/browser || return
  (cd tests/clients/browser && timeout 300 node --test --test-reporter=tap)
}

suite_python() {
  python_3 || return
  # Short of patience, so that messages nobody acknowledges die soon; all clients come from one address.
  local key=condt_0123456789abcdefghijABCDEFGHIJ12
  serve env CONDUIT__AUTH__DEVELOPMENT_KEY=$key CONDUIT__STORE__ENABLED=true \
    CONDUIT__DELIVERY__ACK_TIMEOUT_MS=600 CONDUIT__DELIVERY__PROCESSING_INTERVAL_MS=10 \
    CONDUIT__DELIVERY__BACKOFF_MS_MIN=10 CONDUIT__DELIVERY__BACKOFF_MS_MAX=50 CONDUIT__SESSION__PER_CALLER_MAX=1000 \
    "$project/target/release/conduit-realtime" serve --listen 127.0.0.1:0 --bench-hub || return
  timeout 300 tests/clients/python/run.sh story "$url/hubs/bench" Broadcast
  local code=$?
  timeout 300 tests/clients/python/run.sh acks "$url/hubs/bench" $key || code=$?
  stop_server
  return "$code"
}

suite_java() {
  { command -v mvn && command -v javac; } > /dev/null || { skip "no Maven or no JDK on this machine"; return; }
  against_bench_hub tests/clients/java/run.sh Broadcast
}

suite_go() {
  command -v go > /dev/null || { skip "no Go on this machine"; return; }
  against_bench_hub tests/clients/go/run.sh
}

suite_judge() {
  [ -n "${PEERS_DIR:-}" ] || { skip "the .NET peers are not on this machine (PEERS_DIR)"; return; }
  serve "$project/target/release/examples/conformance_server" 0 || return
  timeout 300 "$PEERS_DIR/aspnet.sh" judge "$url"
  local code=$?
  stop_server
  node_20 && (cd tests/clients/dotnet && timeout 300 node --test --test-reporter=tap) || code=1
  return "$code"
}

suite_slow-reader() { timeout 900 cargo test --locked --release --test slow_reader; }

# The promise itself: publishers, subscribers and all faults at once; the ledger's own books are the truth.
suite_ledger() {
  local faults=cut,stall,kill-client,kill-server,full-store,dup-ack folder=$reports/ledger
  rm -rf "$folder" "$reports"/ledger-*.log && mkdir -p "$folder" || return
  if may_mount "$folder" || command -v prlimit > /dev/null; then
    faults+=,full-disk
  else
    skip "a full disk: mounting is not allowed on this machine, and there is no prlimit (Debian: util-linux)"
  fi
  local seed log sum=0 wrong=0
  for seed in $ledger_seeds; do
    log=$reports/ledger-$seed.log
    # What a refuted run leaves (event log, server's log, configuration, store) stays in the folder.
    if TMPDIR=$folder timeout 300 target/release/examples/ledger --server target/release/conduit-realtime \
      --store embedded --seconds "$ledger_seconds" --seed "$seed" --subscribers 200 --faults "$faults" > "$log" 2>&1; then
      sum=$((sum + 1))
      echo "ok seed $seed: $(grep '^{' "$log")"
    else
      wrong=$((wrong + 1))
      echo "FAIL seed $seed, see $log"
      tail -n 20 "$log"
    fi
  done
  # Which kind of full disk it was depends on the machine.
  grep -h '^full-disk: ' "$reports"/ledger-*.log | sort -u | sed 's/^/note: /'
  echo "$sum passed, $wrong failed, 0 skipped"
  return $((wrong > 0))
}

suite_fuzz() {
  [ -d fuzz ] || { skip "there are no fuzz targets"; return; }
  command -v cargo-fuzz > /dev/null || { skip "cargo-fuzz is not installed"; return; }
  rustup toolchain list 2> /dev/null | grep -q '^nightly' || { skip "no nightly tool chain"; return; }
  cargo +nightly fuzz build || return
  local target sum=0 wrong=0
  for target in $(cargo +nightly fuzz list); do
    if cargo +nightly fuzz run "$target" -- -max_total_time="$fuzz_seconds" -rss_limit_mb=1024 -print_final_stats=1; then
      sum=$((sum + 1))
    else
      wrong=$((wrong + 1))
    fi
  done
  echo "$sum passed, $wrong failed, 0 skipped"
  return $((wrong > 0))
}

# ---- helpers

skip() { echo "skipped: $1"; }

may_mount() { # FOLDER: a file system in memory, as the ledger wants to fill
  mount -t tmpfs -o size=1m tmpfs "$1" 2> /dev/null && umount "$1"
}

debian() { # COMMAND PACKAGE…: installs the packages when the command is missing and this is root on Debian
  command -v "$1" > /dev/null || debian_install "${@:2}"
}

debian_install() { # PACKAGE…
  [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null || return
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" > /dev/null
}

# Without these two a check would be no check, so their absence is a failure and not a skip.
node_20() {
  debian node nodejs npm && debian npm npm && node -e 'process.exit(Number(parseInt(process.versions.node) < 20))' && return
  echo "FAIL: this suite needs Node 20 or newer with npm (Debian: apt-get install nodejs npm)"
  return 1
}

python_3() {
  local check='import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' # Debian has Python without ensurepip
  python3 -c "$check" 2> /dev/null && return
  debian_install python3 python3-venv && python3 -c "$check" && return
  echo "FAIL: this suite needs Python 3.11 or newer with venv (Debian: apt-get install python3 python3-venv)"
  return 1
}

npm_ci() { # FOLDER: installs when the lock file changed
  cmp -s "$1/package-lock.json" "$1/node_modules/.installed" && return
  (cd "$1" && npm ci --no-audit --no-fund --loglevel=error) && cp "$1/package-lock.json" "$1/node_modules/.installed"
}

serve() { # COMMAND…: starts a server and waits for its address; sets url and server
  local out
  out=$(mktemp "$reports/server.XXXXXX")
  CONDUIT__STORE__MODE=memory "$@" > "$out" 2> "$out.errors" &
  server=$!
  children+=("$server")
  local try
  for ((try = 0; try < 300; try++)); do
    url=$(sed -n 's/^listening on //p' "$out")
    [ -n "$url" ] && return
    kill -0 "$server" 2> /dev/null || break
    sleep 0.1
  done
  echo "FAIL: the server did not come up: $*"
  cat "$out" "$out.errors"
  return 1
}

stop_server() {
  kill "$server" 2> /dev/null
  wait "$server" 2> /dev/null
}

against_bench_hub() { # SCRIPT [arguments after the hub's address]
  serve "$project/target/release/conduit-realtime" serve --listen 127.0.0.1:0 --bench-hub || return
  timeout 600 "$1" "$url/hubs/bench" "${@:2}"
  local code=$?
  stop_server
  return "$code"
}

# Sums the closing lines of cargo test, of node's runner and of our own scripts.
totals() { # LOG → "passed failed skipped"
  awk '
    /^test result: / { p += $4; f += $6; s += $8; next }
    /^# pass [0-9]+$/ { p += $3; next }
    /^# fail [0-9]+$/ { f += $3; next }
    /^# cancelled [0-9]+$/ { f += $3; next }
    /^# skipped [0-9]+$/ { s += $3; next }
    /^[0-9]+ passed, [0-9]+ failed(, [0-9]+ skipped)?$/ { p += $1; f += $3; s += $5 }
    END { print p + 0, f + 0, s + 0 }' "$1"
}

run_suite() { # NAME
  local name=$1 log=$reports/$1.log started=$SECONDS code p f s
  echo "== $name"
  "suite_$name" > "$log" 2>&1 < /dev/null
  code=$?
  read -r p f s < <(totals "$log")
  grep '^note: ' "$log"
  if grep -q '^skipped: ' "$log"; then
    grep '^skipped: ' "$log"
    s=$((s + 1))
  elif ((p + f == 0)) && [[ $name =~ ^(format|lint|docs|licences|release)$ ]]; then
    ((code == 0)) && p=1 || f=1 # a check without numbers of its own
  elif ((p + f == 0)); then
    echo "$name ran no test"
    f=1
  fi
  ((code != 0 && f == 0)) && f=1
  if ((f)); then
    grep -nE '^ *(not ok|FAIL|error|test .* FAILED|failures:|\*\*\*)' "$log" | head -40
    echo "-- the end of $log"
    tail -n 80 "$log"
  fi
  passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
  echo "== $name: passed $p, failed $f, skipped $s ($((SECONDS - started)) s)"
}

for suite in "${suites[@]}"; do
  declare -F "suite_$suite" > /dev/null || { echo "no suite $suite; there are: ${all_suites[*]}"; exit 2; }
done
for suite in "${suites[@]}"; do run_suite "$suite"; done
echo "== all suites ($SECONDS s)"
echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0 && passed > 0))
