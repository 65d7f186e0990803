#!/usr/bin/env bash
# Installs Prometheus (Debian's package) and a ClickHouse engine (requirements.txt), once per machine. Prints the folder.
set -uo pipefail
cd "$(dirname "$0")" || exit 1
cache="${APLOMB_CACHE:-$HOME/.cache/aplomb}/clickhouse"
mkdir -p "$cache"

if ! command -v prometheus >/dev/null 2>&1; then
  { apt-get update && apt-get install -y --no-install-recommends prometheus; } >"$cache/apt.log" 2>&1 ||
    { echo "dashboards: prometheus is missing and can't be installed" >&2; exit 1; }
fi
if ! cmp -s requirements.txt "$cache/requirements.txt"; then
  rm -rf "$cache/venv"
  python3 -m venv "$cache/venv" || { echo "dashboards: python3-venv is missing" >&2; exit 1; }
  "$cache/venv/bin/pip" install --quiet --prefer-binary -r requirements.txt || { echo "dashboards: the ClickHouse engine can't be installed" >&2; exit 1; }
  cp requirements.txt "$cache/requirements.txt"
fi
echo "$cache"
