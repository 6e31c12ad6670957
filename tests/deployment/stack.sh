#!/bin/sh
# What compose.yml starts, step by step and without docker: PostgreSQL, an MLflow server over it, a run that registers
# there, the champion served on every address with a token. Needs BIN, and PYTHONPATH with pgserver and psycopg.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
processes=
trap 'for process in $processes; do kill "$process" 2>/dev/null || true; done; wait; rm -rf "$work"' EXIT
unset MLFLOW_TRACKING_URI KEDRO_LOGGING_CONFIG
free_port() { "$BIN/python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

echo "PostgreSQL"
"$BIN/python" "$root/tests/deployment/postgres.py" "$work/postgres" >"$work/address" &
processes="$processes $!"
for _ in $(seq 120); do [ -s "$work/address" ] && break; sleep 0.5; done

echo "MLflow"
port=$(free_port)
mkdir "$work/artifacts" "$work/empty"
MLFLOW_BACKEND_STORE_URI=$(cat "$work/address") "$BIN/python" -m mlflow server --host 0.0.0.0 --port "$port" \
  --artifacts-destination "$work/artifacts" --allowed-hosts "localhost:$port,127.0.0.1:$port" --workers 1 \
  >"$work/mlflow.log" 2>&1 &
processes="$processes $!"
"$BIN/python" "$root/tests/deployment/ask.py" "http://127.0.0.1:$port" --health || { tail -20 "$work/mlflow.log"; exit 1; }

echo "Run"
cd "$work/empty"
export MLFLOW_TRACKING_URI="http://127.0.0.1:$port" KEDRO_ENV=test
export PYTHONPATH="$root/src:$PYTHONPATH"
"$BIN/python" -m tailor run --conf-source="$root/conf" >"$work/log" 2>&1 || { tail -50 "$work/log"; exit 1; }
tail -6 "$work/log"
test ! -e data/test/mlflow.db || { echo "A local store was made"; exit 1; }
test -n "$(find "$work/artifacts" -name model.safetensors)" || { echo "No model among the artifacts"; exit 1; }

echo "Serve"
port=$(free_port)
if "$BIN/python" -m tailor serve --conf-source="$root/conf" --host 0.0.0.0 --port "$port" >"$work/log" 2>&1; then exit 1; fi
grep -q "set TAILOR_TOKEN first" "$work/log"
export TAILOR_TOKEN=a-token
"$BIN/python" -m tailor serve --conf-source="$root/conf" --host 0.0.0.0 --port "$port" >"$work/log" 2>&1 &
processes="$processes $!"
"$BIN/python" "$root/tests/deployment/ask.py" "http://127.0.0.1:$port" || { tail -20 "$work/log"; exit 1; }
echo "All is well"
