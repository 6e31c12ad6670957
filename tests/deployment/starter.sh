#!/bin/sh
# A project of the starter in an empty folder: the wheel of this checkout in an environment of its own, `kedro new`, the
# tests of the project, a run, an answer. No package index is asked. Needs BIN, the bin folder of .venv.
. "$(dirname "$0")/common.sh"

build
install

echo "New"
cd "$work/empty"
"$python" -m kedro new --starter="$root/starters/tailor-starter" --telemetry=no \
  --config="$root/tests/deployment/starter.yml" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
test "$(ls)" = corner-shop || { echo "Written: $(ls)"; exit 1; }
cd corner-shop
"$python" -c 'import sys, tailor; assert tailor.__file__.startswith(sys.prefix), tailor.__file__'
echo "Its tests"
"$python" -m pytest -q -p no:cacheprovider
echo "Run"
"$python" -m kedro run --env=trial >"$work/log" 2>&1 || { tail -50 "$work/log"; exit 1; }
tail -12 "$work/log"
grep -q "Registered corner-shop-trial version 1 as champion" "$work/log"

serve_and_ask --env=trial
echo "All is well"
