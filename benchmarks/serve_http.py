"""The HTTP half of `make bench-serve`: the champion of `make run` behind the FastAPI app and behind MLflow's server."""

import asyncio
import contextlib
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import schemathesis
import torch
from catalogues import ROOT
from hypothesis import HealthCheck, Phase, given, settings

from tailor.serving.answers import RecommendBody, recommend
from tailor.serving.champion import Champion, open_champion
from tailor.serving.http import create_app
from tailor.serving.recommender import Recommender

RATE, SECONDS = 50, 60
FLAT, FUZZED = 100_000, 10_000
STORE = f"sqlite:///{ROOT / 'mlflow.db'}"


def bodies(recommender: Recommender, n: int, seed: int = 0) -> list[dict[str, Any]]:
    """Draw requests: known users, sessions, words, words with a session, anonymous users, in equal parts."""
    rng, made = np.random.default_rng(seed), []
    names = recommender.known_metadata.vocabulary.names
    for number in range(n):
        history = rng.choice(recommender.item_ids, 20, replace=False).tolist()
        words = " and ".join(rng.choice(names, 2, replace=False)).lower()
        kinds = (
            {"user_id": str(rng.choice(recommender.user_ids))},
            {"history": history},
            {"query": words},
            {"query": words, "history": history},
            {},
        )
        made.append(kinds[number % len(kinds)] | {"k": 20})
    return made


def percentiles(name: str, seconds: list[float]) -> dict[str, float]:
    """Return p50 and p99 in milliseconds."""
    return {f"{name}_p{q}_ms": float(np.percentile(seconds, q) * 1000) for q in (50, 99)}


def in_process(champion: Champion, requests: list[dict[str, Any]]) -> dict[str, float]:
    """Time the same requests without HTTP."""
    seconds = []
    for body in requests:
        started = time.perf_counter()
        recommend(champion.current(), RecommendBody(**body))
        seconds.append(time.perf_counter() - started)
    return percentiles("http_in_process", seconds)


@contextlib.contextmanager
def running(command: list[str], ready: str) -> Iterator[str]:
    """Start a server on a free port of loopback; yield its address, stop it in the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = os.environ | {"MLFLOW_TRACKING_URI": STORE, "PATH": path}
    quiet = subprocess.DEVNULL
    process = subprocess.Popen([*command, str(port)], cwd=ROOT, env=env, stdout=quiet, stderr=quiet)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"{url}{ready}", timeout=2).status_code == 200:
                    break
            time.sleep(0.25)
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)


async def steadily(url: str, requests: list[dict[str, Any]]) -> tuple[list[float], int]:
    """Send ``RATE`` requests a second whether or not the former ones are answered; return seconds and errors."""
    seconds, errors = list[float](), 0
    async with httpx.AsyncClient(timeout=30) as client:

        async def one(body: dict[str, Any], due: float) -> None:
            nonlocal errors
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            try:
                response = await client.post(f"{url}/recommend", json=body)
                errors += response.status_code != 200
            except httpx.HTTPError:
                errors += 1
            seconds.append(time.perf_counter() - due)

        start = time.perf_counter() + 1
        await asyncio.gather(*(one(body, start + number / RATE) for number, body in enumerate(requests)))
    return seconds, errors


def behind_fastapi(recommender: Recommender, items: Path) -> dict[str, float]:
    """Return latencies at ``RATE`` requests/s for ``SECONDS``, counted from when each was due, and errors."""
    command = [sys.executable, "-m", "tailor.serving.server", "--model", "tailor", "--items", str(items), "--port"]
    with running(command, "/health") as url:
        asyncio.run(steadily(url, bodies(recommender, 100, 1)))
        seconds, errors = asyncio.run(steadily(url, bodies(recommender, RATE * SECONDS)))
    return percentiles("http", seconds) | {"http_requests": float(len(seconds)), "http_errors": float(errors)}


def behind_mlflow(recommender: Recommender) -> dict[str, float]:
    """Return latencies of MLflow's scoring server, one request after the other."""
    command = ["mlflow", "models", "serve", "-m", "models:/tailor@champion", "--env-manager", "local", "-h"]
    seconds = []
    with running([*command, "127.0.0.1", "-p"], "/ping") as url, httpx.Client(timeout=30) as client:
        for number, body in enumerate(bodies(recommender, 220)):
            row = {"history": [], **{key: value for key, value in body.items() if key != "k"}}
            started = time.perf_counter()
            done = client.post(f"{url}/invocations", json={"dataframe_records": [row], "params": {"k": 20}})
            done.raise_for_status()
            if number >= 20:
                seconds.append(time.perf_counter() - started)
    return percentiles("mlflow_server", seconds)


def memory(champion: Champion) -> dict[str, float]:
    """Return by how many MiB the process grows from the 10,000th to the 100,000th request, every 20th with words."""
    drawn, resident = bodies(champion.model, 5000), []
    requests = [body for number, body in enumerate(drawn) if "query" not in body or number % 25 == 2]
    for number in range(FLAT):
        recommend(champion.current(), RecommendBody(**requests[number % len(requests)]))
        if number + 1 in (FLAT // 10, FLAT):
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            resident.append(pages * resource.getpagesize() / 2**20)
    return {"memory_mib_at_10k": resident[0], "memory_growth_mib_10k_to_100k": resident[1] - resident[0]}


def fuzz(champion: Champion) -> dict[str, float]:
    """Send requests made from the OpenAPI description, valid and not; count 5xx and answers that name a user."""
    schema = schemathesis.openapi.from_asgi("/openapi.json", create_app(champion, hosts=["*"]))
    operations = [operation.ok() for operation in schema.get_all_operations()]
    users = [f'"{user}"' for user in champion.model.user_ids]
    counts = {"fuzz_requests": 0.0, "fuzz_5xx": 0.0, "fuzz_leaks": 0.0}
    for operation in operations:

        @settings(
            max_examples=-(-FUZZED // (len(operations) - 1)),  # /health takes no input
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
            database=None,
        )
        def ask(case: Any) -> None:
            response = case.call()
            counts["fuzz_requests"] += 1
            counts["fuzz_5xx"] += response.status_code >= 500
            counts["fuzz_leaks"] += '"user' in response.text and any(user in response.text for user in users)

        given(case=operation.as_strategy())(ask)()
    return counts


def figures() -> dict[str, float]:
    """Measure everything of this half."""
    os.environ["MLFLOW_TRACKING_URI"] = STORE
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        champion = open_champion("tailor", "champion", Path(folder) / "items.json")
        recommender = champion.model
        recommend(champion.current(), RecommendBody(query="warm up"))
        result = in_process(champion, bodies(recommender, 1000))
        result |= behind_fastapi(recommender, Path(folder) / "added.json")
        result["http_p99_over_in_process_ms"] = result["http_p99_ms"] - result["http_in_process_p99_ms"]
        result |= behind_mlflow(recommender) | memory(champion) | fuzz(champion)
    return result


if __name__ == "__main__":
    print(json.dumps(figures(), indent=2))
