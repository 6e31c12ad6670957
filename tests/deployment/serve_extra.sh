#!/bin/sh
# The wheel with the extra `serve`, in an environment of its own: no torch, no Kedro, and every kind of request answered.
# Needs BIN, the bin folder of .venv, which runs the pipelines, and a package index, which pip asks for the versions of
# requirements.lock. RUN may name the folder of a project where `kedro run --env=test` is done; without it one is made.
. "$(dirname "$0")/common.sh"
unset TAILOR_ENCODER

build

echo "Install"
"$BIN/python" -m venv "$work/venv"
python=$work/venv/bin/python
wheel=$(ls "$work"/source/dist/*.whl)
"$python" -m pip install -q --disable-pip-version-check --constraint "$root/requirements.lock" "${wheel}[serve]"
echo "Size: $(du -sh "$work/venv" | cut -f1)"

run=${RUN:-$work/source}
if [ -z "${RUN:-}" ]; then
  echo "Run with everything that .venv has"
  (cd "$run" && PYTHONPATH=$run/src "$BIN/python" -m tailor run --env=test >"$work/log" 2>&1) ||
    { tail -50 "$work/log"; exit 1; }
fi

cd "$work/empty"
"$python" - <<'END'
import importlib.util, sys, tailor
assert tailor.__file__.startswith(sys.prefix), tailor.__file__
for name in ("torch", "transformers", "peft", "kedro", "kedro_mlflow", "optuna", "plotly", "irspack", "implicit"):
    assert importlib.util.find_spec(name) is None, f"{name} is installed"
END
package=$(ls -d "$run"/data/test/mlruns/models/*/artifacts/artifacts/recommender | tail -1)
echo "In process: $package"
"$python" "$root/tests/deployment/ask_package.py" "$package"
echo "Without a token table words are refused"
cp -r "$package" "$work/bare"
rm -r "$work/bare/student"
"$python" "$root/tests/deployment/ask_package.py" "$work/bare" --no-words

echo "What needs Kedro is one line"
if "$work/venv/bin/tailor" run --env=test >/dev/null 2>"$work/said"; then exit 1; fi
grep -q "pip install 'tailor-recsys\[train\]'" "$work/said"
test "$(wc -l <"$work/said")" = 1 || { cat "$work/said"; exit 1; }

echo "Serve"
port=$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
MLFLOW_TRACKING_URI=sqlite:///$run/data/test/mlflow.db "$work/venv/bin/tailor" serve --model tailor-test --port "$port" \
  >"$work/log" 2>&1 &
server=$!
"$python" "$root/tests/deployment/ask.py" "http://127.0.0.1:$port" --all || { tail -20 "$work/log"; exit 1; }
grep -q "words are read by the token table" "$work/log"
test "$(ls data)" = serving
echo "All is well"
