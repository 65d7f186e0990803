#!/usr/bin/env bash
# Installs Chromium (Debian's package) and what drives it (package.json), once per machine. Prints the folder.
set -uo pipefail
cd "$(dirname "$0")" || exit 1
cache="${APLOMB_CACHE:-$HOME/.cache/aplomb}/browser"
mkdir -p "$cache"

if ! command -v chromium >/dev/null 2>&1; then
  { apt-get update && apt-get install -y --no-install-recommends chromium; } >"$cache/apt.log" 2>&1 ||
    { echo "browser: chromium is missing and can't be installed" >&2; exit 1; }
fi
if ! cmp -s package.json "$cache/package.json"; then
  cp package.json "$cache/package.json"
  (cd "$cache" && npm install --silent --no-audit --no-fund --ignore-scripts) >&2 || { rm -f "$cache/package.json"; echo "browser: npm packages can't be installed" >&2; exit 1; }
fi
echo "$cache"
