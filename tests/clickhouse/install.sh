#!/usr/bin/env bash
# Installs the engine at the version of requirements.txt, once per machine. Prints the folder.
set -uo pipefail
cd "$(dirname "$0")" || exit 1
cache="${APLOMB_CACHE:-$HOME/.cache/aplomb}/clickhouse"
mkdir -p "$cache"

if ! cmp -s requirements.txt "$cache/requirements.txt"; then
  rm -rf "$cache/venv"
  python3 -m venv "$cache/venv" || { echo "clickhouse: python3-venv is missing" >&2; exit 1; }
  "$cache/venv/bin/pip" install --quiet --prefer-binary -r requirements.txt || { echo "clickhouse: chdb-core can't be installed" >&2; exit 1; }
  cp requirements.txt "$cache/requirements.txt"
fi
echo "$cache"
