#!/bin/sh
# A project of the starter in an empty folder: the wheel of this checkout in an environment of its own, `kedro new`, the
# tests of the project, a run, an answer. No package index is asked. Needs BIN, the bin folder of .venv.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$work"' EXIT
unset PYTHONPATH MLFLOW_TRACKING_URI KEDRO_ENV KEDRO_LOGGING_CONFIG

echo "Build"
mkdir "$work/source" "$work/empty"
(cd "$root" && tar --exclude=__pycache__ --exclude='*.egg-info' -cf - src pyproject.toml README.md LICENSE) |
  tar -C "$work/source" -xf -
(cd "$work/source" && "$BIN/python" -m build --wheel --no-isolation --outdir dist >/dev/null 2>&1)

echo "Install"
"$BIN/python" -m venv --without-pip "$work/venv"
python=$work/venv/bin/python
"$BIN/python" -m pip --python "$python" install -q --no-deps --no-index --disable-pip-version-check "$work"/source/dist/*.whl
# The requirements are those of .venv; its copy of Tailor stays out: paths in .pth files run no other .pth files.
"$BIN/python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])' \
  >"$("$python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')/requirements.pth"

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

echo "Serve"
port=$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$python" -m tailor serve --env=trial --port "$port" >"$work/log" 2>&1 &
server=$!
"$python" "$root/tests/deployment/ask.py" "http://127.0.0.1:$port" || { tail -20 "$work/log"; exit 1; }
echo "All is well"
