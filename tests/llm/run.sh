#!/usr/bin/env bash
# Runs the SDKs through the gateway (first argument) against a real LLM behind a real server. Last line: `suite-total PASSED FAILED`.
# APLOMB_TRANSCRIPT=FILE keeps what was said.
set -uo pipefail
cd "$(dirname "$0")" || exit 1
export APLOMB_BINARY="$1"
cache=$(bash ../sdk/install.sh) || { echo "suite-total 0 1"; exit 1; }
log="$cache/llm.log"
PYTHONPATH=../sdk PYTHONDONTWRITEBYTECODE=1 "$cache/venv/bin/python" -m pytest -q -p no:cacheprovider . 2>&1 | tee "$log"
passed=$(grep -oE '[0-9]+ passed' "$log" | tail -n 1 | cut -d' ' -f1)
failed=$(grep -oE '[0-9]+ (failed|error)' "$log" | cut -d' ' -f1 | awk '{n += $1} END {print n + 0}')
echo "suite-total ${passed:-0} $failed"
