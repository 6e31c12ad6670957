# What the checks of the wheel share: they source this file. Sets root, work (removed at the end), server (stopped).
# Needs BIN, the bin folder of .venv.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; chmod -R u+w "$work"; rm -rf "$work"' EXIT
unset PYTHONPATH MLFLOW_TRACKING_URI KEDRO_ENV KEDRO_LOGGING_CONFIG

# Build the wheel of this checkout from a copy of its files, in $work/source; make $work/empty.
build() {
  echo "Build"
  mkdir "$work/source" "$work/empty"
  (cd "$root" && tar --exclude=__pycache__ --exclude='*.egg-info' -cf - src conf pyproject.toml README.md LICENSE) |
    tar -C "$work/source" -xf -
  (cd "$work/source" && "$BIN/python" -m build --wheel --no-isolation --outdir dist >/dev/null 2>&1)
}

# Install the wheel in an environment of its own, which has what .venv has beside it; set python. No index is asked.
install() {
  echo "Install"
  "$BIN/python" -m venv --without-pip "$work/venv"
  python=$work/venv/bin/python
  "$BIN/python" -m pip --python "$python" install -q --no-deps --no-index --disable-pip-version-check \
    "$work"/source/dist/*.whl
  # The requirements are those of .venv; its copy of Tailor stays out: paths in .pth files run no other .pth files.
  "$BIN/python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])' \
    >"$("$python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')/requirements.pth"
}

# Serve with `tailor serve` and the given arguments; ask until it answers.
serve_and_ask() {
  echo "Serve"
  port=$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  "$python" -m tailor serve "$@" --port "$port" >"$work/log" 2>&1 &
  server=$!
  "$python" "$root/tests/deployment/ask.py" "http://127.0.0.1:$port" || { tail -20 "$work/log"; exit 1; }
}
