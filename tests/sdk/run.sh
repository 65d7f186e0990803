#!/usr/bin/env bash
# Runs the official SDKs against the binary given as first argument. Last line: `suite-total PASSED FAILED`.
set -uo pipefail
cd "$(dirname "$0")"
export APLOMB_BINARY="$1"
cache=$(bash install.sh) || { echo "suite-total 0 1"; exit 1; }

passed=0
failed=0
log="$cache/python.log"
PYTHONPATH=. PYTHONDONTWRITEBYTECODE=1 "$cache/venv/bin/python" -m pytest -q -p no:cacheprovider python 2>&1 | tee "$log"
passed=$((passed + $(grep -oE '[0-9]+ passed' "$log" | tail -n 1 | cut -d' ' -f1 || true)))
bad=$(grep -oE '[0-9]+ (failed|error)' "$log" | cut -d' ' -f1 | awk '{n += $1} END {print n + 0}')
failed=$((failed + bad))

# ES modules are found from the place of the file: run from a copy beside the packages.
cp node/*.mjs "$cache/node/"
log="$cache/node.log"
PYTHONPATH=. "$cache/venv/bin/python" node/start.py node --test --test-reporter=tap "$cache"/node/*.test.mjs 2>&1 | tee "$log" | grep -vE '^ *(#|---|\.\.\.|duration_ms|type:)' 
passed=$((passed + $(grep -E '^# pass ' "$log" | cut -d' ' -f3 || echo 0)))
failed=$((failed + $(grep -E '^# fail ' "$log" | cut -d' ' -f3 || echo 1)))
echo "suite-total $passed $failed"
