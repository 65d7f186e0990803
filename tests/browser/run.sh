#!/usr/bin/env bash
# Tests the browser client: by itself, its types, and in Chromium against the binary given as first argument.
# Last line: `suite-total PASSED FAILED`. Screenshots go to the folder that install.sh prints.
set -uo pipefail
cd "$(dirname "$0")"
export APLOMB_BINARY="$1"
cache=$(bash install.sh) || { echo "suite-total 0 1"; exit 1; }
export APLOMB_BROWSER_CACHE="$cache" APLOMB_CLIENT="$PWD/../../clients/js"

passed=0
failed=0
# node_tests LOG FILES...: adds what passed and failed.
node_tests() {
  local log="$cache/$1.log" ok bad
  shift
  node --test --test-reporter=tap "$@" 2>&1 | tee "$log" | grep -vE '^ *(#|---|\.\.\.|duration_ms|type:)'
  ok=$(grep -E '^# pass ' "$log" | cut -d' ' -f3)
  bad=$(grep -E '^# (fail|cancelled) ' "$log" | awk '{n += $3} END {print n + 0}')
  passed=$((passed + ${ok:-0}))
  failed=$((failed + ${bad:-0}))
  if [ -z "$ok" ]; then failed=$((failed + 1)); fi
}

node_tests unit ../../clients/js/test/*.test.mjs
# The types say what the README's example uses.
cp ../../clients/js/client.d.ts types.ts "$cache/"
if "$cache/node_modules/.bin/tsc" --noEmit --strict --target es2023 --module esnext --moduleResolution bundler --lib es2023,dom "$cache/types.ts"; then
  passed=$((passed + 1))
else
  failed=$((failed + 1))
fi
# ES modules are found from the place of the file: run from a copy beside the packages.
cp ./*.mjs "$cache/"
node_tests chromium "$cache"/*.test.mjs
echo "suite-total $passed $failed"
