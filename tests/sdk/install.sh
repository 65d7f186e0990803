#!/usr/bin/env bash
# Installs the SDKs at the versions of requirements.txt and node/package.json, once per machine. Prints the folder.
set -uo pipefail
cd "$(dirname "$0")" || exit 1
cache="${APLOMB_CACHE:-$HOME/.cache/aplomb}/sdk"
mkdir -p "$cache"

if ! cmp -s requirements.txt "$cache/requirements.txt"; then
  rm -rf "$cache/venv"
  python3 -m venv "$cache/venv" || { echo "sdk: python3-venv is missing" >&2; exit 1; }
  while read -r package; do
    "$cache/venv/bin/pip" install --quiet --prefer-binary "$package" || { echo "sdk: $package can't be installed" >&2; exit 1; }
  done <requirements.txt
  cp requirements.txt "$cache/requirements.txt"
fi
mkdir -p "$cache/node"
if ! cmp -s node/package.json "$cache/node/package.json"; then
  cp node/package.json "$cache/node/package.json"
  (cd "$cache/node" && npm install --silent --no-audit --no-fund --ignore-scripts) || { rm -f "$cache/node/package.json"; echo "sdk: npm packages can't be installed" >&2; exit 1; }
fi
echo "$cache"
