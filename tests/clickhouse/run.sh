#!/usr/bin/env bash
# Runs the tests that need a real ClickHouse engine. Last line: `suite-total PASSED FAILED`.
set -uo pipefail
cd "$(dirname "$0")" || exit 1
cache=$(bash install.sh) || { echo "suite-total 0 1"; exit 1; }
folder=$(mktemp -d)
PYTHONDONTWRITEBYTECODE=1 "$cache/venv/bin/python" server.py "$folder" >"$folder.port" 2>"$folder.log" &
server=$!
trap 'kill "$server" 2>/dev/null; wait "$server" 2>/dev/null; rm -rf "$folder" "$folder.port" "$folder.log"' EXIT
for _ in $(seq 300); do
  [ -s "$folder.port" ] && break
  kill -0 "$server" 2>/dev/null || break
  sleep 0.1
done
port=$(cat "$folder.port")
if [ -z "$port" ]; then
  cat "$folder.log" >&2
  echo "clickhouse: the engine does not start" >&2
  echo "suite-total 0 1"
  exit 1
fi
export APLOMB_CLICKHOUSE_URL="http://127.0.0.1:$port" APLOMB_CLICKHOUSE_DATA="$folder"
log=$(mktemp)
cd ../.. || exit 1
cargo test -p aplomb-observe -p aplomb --test clickhouse --no-fail-fast -- --ignored 2>&1 | tee "$log"
ok=$(awk '/^test result:/ {n += $4} END {print n + 0}' "$log")
bad=$(awk '/^test result:/ {n += $6} END {print n + 0}' "$log")
rm -f "$log"
echo "suite-total $ok $bad"
