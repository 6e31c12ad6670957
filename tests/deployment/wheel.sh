#!/bin/sh
# The wheel and the conf archive, as `kedro package` makes them, in an environment and an empty folder of their own:
# a run with a configuration that nobody may write to, a server, an answer. Needs BIN, the bin folder of .venv.
. "$(dirname "$0")/common.sh"

build
tar --exclude='local/*.yml' -czf "$work/conf-tailor.tar.gz" -C "$work/source" conf
mv "$work/source/conf" "$work/conf"
rm -r "$work/conf/local"
chmod -R a-w "$work/conf"
before=$(find "$work/conf" -type f -exec cksum {} + | sort)

install

cd "$work/empty"
"$python" -c 'import sys, tailor; assert tailor.__file__.startswith(sys.prefix), tailor.__file__'
echo "Run, conf in a folder that may not be written"
"$python" -m tailor run --env=test --conf-source="$work/conf" >"$work/log" 2>&1 || { tail -50 "$work/log"; exit 1; }
tail -20 "$work/log"
test "$before" = "$(find "$work/conf" -type f -exec cksum {} + | sort)" || { echo "conf was written to"; exit 1; }
test "$(ls)" = data || { echo "Written outside data: $(ls)"; exit 1; }
test "$(ls data)" = test || { echo "Written outside data/test: $(ls data)"; exit 1; }
echo "Run, conf in an archive"
"$python" -m tailor run --env=test --conf-source="$work/conf-tailor.tar.gz" --pipelines=data_processing \
  >"$work/log" 2>&1 || { tail -50 "$work/log"; exit 1; }
echo "A mistake is one line"
if "$python" -m tailor run --env=nonsense --conf-source="$work/conf" >/dev/null 2>"$work/said"; then exit 1; fi
test "$(wc -l <"$work/said")" = 1 || { cat "$work/said"; exit 1; }

serve_and_ask --env=test --conf-source="$work/conf"
echo "All is well"
