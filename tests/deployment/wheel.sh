#!/bin/sh
# The wheel and the conf archive, as `kedro package` makes them, in an environment and an empty folder of their own:
# a run with a configuration that nobody may write to, a server, an answer. Needs BIN, the bin folder of .venv.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; chmod -R u+w "$work"; rm -rf "$work"' EXIT
unset PYTHONPATH MLFLOW_TRACKING_URI KEDRO_ENV KEDRO_LOGGING_CONFIG

echo "Build"
mkdir "$work/source" "$work/empty"
(cd "$root" && tar --exclude=__pycache__ --exclude='*.egg-info' -cf - src conf pyproject.toml README.md LICENSE) |
  tar -C "$work/source" -xf -
(cd "$work/source" && "$BIN/python" -m build --wheel --no-isolation --outdir dist >/dev/null 2>&1)
tar --exclude='local/*.yml' -czf "$work/conf-tailor.tar.gz" -C "$work/source" conf
mv "$work/source/conf" "$work/conf"
rm -r "$work/conf/local"
chmod -R a-w "$work/conf"
before=$(find "$work/conf" -type f -exec cksum {} + | sort)

echo "Install"
"$BIN/python" -m venv --without-pip "$work/venv"
python=$work/venv/bin/python
"$BIN/python" -m pip --python "$python" install -q --no-deps --no-index --disable-pip-version-check "$work"/source/dist/*.whl
# The requirements are those of .venv; its copy of Tailor stays out: paths in .pth files run no other .pth files.
"$BIN/python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])' \
  >"$("$python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')/requirements.pth"

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

echo "Serve"
port=$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$python" -m tailor serve --env=test --conf-source="$work/conf" --port "$port" >"$work/log" 2>&1 &
server=$!
"$python" "$root/tests/deployment/ask.py" "http://127.0.0.1:$port" || { tail -20 "$work/log"; exit 1; }
echo "All is well"
