#!/usr/bin/env bash
# Runs every panel and alert rule against real engines. First argument: the binary. Last line: `suite-total PASSED FAILED`.
set -uo pipefail
cd "$(dirname "$0")"
export APLOMB_BINARY="$1"
cache=$(bash install.sh) || { echo "suite-total 0 1"; exit 1; }
PYTHONPATH=../sdk:../../deploy/grafana PYTHONDONTWRITEBYTECODE=1 "$cache/venv/bin/python" check.py
