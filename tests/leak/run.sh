#!/usr/bin/env bash
# Runs pii-leak-benchmark against the binary given as first argument. Last line: `suite-total PASSED FAILED`.
set -uo pipefail
cd "$(dirname "$0")"
export APLOMB_BINARY="$1"
cache=$(bash install.sh) || { echo "suite-total 0 1"; exit 1; }
PYTHONPATH=../sdk PYTHONDONTWRITEBYTECODE=1 "$cache/venv/bin/python" check.py "$cache/reports"
