"""`make attack`: a real server process under hostile bodies, 10,000 random requests, idle connections and overload.

It serves the champion of `make run` (or of the store that MLFLOW_TRACKING_URI names). Latencies are read beside those
of the same server left alone, in turns, so that other work of the machine falls on both.
"""

import contextlib
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
from catalogues import RESULTS, ROOT, about, rounded, write

from tailor.serving.champion import open_champion
from tailor.serving.recommender import Recommender

SEED = 0
FUZZED, IDLE, DRIPPING, TURNS = 10_000, 1000, 100, 6
OFFERED, OVERLOAD_S, WORKERS = 200, 20, 2
PATIENCE_S = 60.0
TARGETS = {
    "hostile_5xx, fuzz_5xx": "0 (503 with Retry-After excepted)",
    "ids_in_log": "0",
    "largest_refusal_kib": "<= 64",
    "hostile_health_max_s": "<= 1",
    "fuzz_rss_growth_mib": "<= 30",
    "idle_p99_ratio": "<= 2",
    "overload_answered_per_s": ">= 120",
    "overload_answered_p99_ms": "<= 500",
    "overload_other_statuses": "0",
    "overload_refused_p99_ms": "<= 250",
    "most_threads_growth": "<= 8",
}
Figures = dict[str, float]


@dataclass
class Server:
    """A running server."""

    url: str
    process: psutil.Process
    log: Path

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        host, _, port = self.url.removeprefix("http://").partition(":")
        return host, int(port)

    @property
    def answering(self) -> list[psutil.Process]:
        """The processes that answer: the children that have mapped a package, or the one that there is."""
        children = [one for one in self.process.children() if any("safetensors" in m.path for m in one.memory_maps())]
        return children or [self.process]

    @property
    def rss_mib(self) -> float:
        """Resident memory; what several processes share is counted once."""
        return float(sum(one.memory_full_info().pss for one in self.answering) / 2**20)

    @property
    def n_threads(self) -> dict[int, int]:
        """Threads of each process that answers, by its number."""
        return {one.pid: one.num_threads() for one in self.answering}


@contextlib.contextmanager
def serving(folder: Path, workers: int = 1) -> Iterator[Server]:
    """Serve the champion on a free port of loopback by so many processes; stop in the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "tailor.serving.server",
        "--port",
        str(port),
        "--items",
        str(folder / "items.json"),
        "--workers",
        str(workers),
    ]
    log = folder / "log"
    with log.open("a") as file:
        process = subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(480):
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"{url}/health", timeout=2).status_code == 200:
                    break
            time.sleep(0.25)
        server = Server(url, psutil.Process(process.pid), log)
        while workers > 1 and len(server.answering) < workers:
            time.sleep(0.25)
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)


# --- hostile bodies --------------------------------------------------------------------------------------------------


def hostile_bodies() -> list[tuple[str, bytes]]:
    """Return bodies that each broke an earlier version, or could: a path and the bytes."""
    cells = b'{"items":[' + b",".join([b'{"a":[]}'] * 100_000) + b"]}"
    values = [b"NaN", b"Infinity", b"-Infinity", b"1e400", b"9" * 400, b"9" * 5000, b'"\\ud800"', b'"\\udfff"', b"true"]
    made = [("PUT /items", cells[:900_000]), ("PUT /items", b'{"items":[' + b"[]," * 290_000 + b"[]]}")]
    for value in values:
        of_one = (b"user_id", b"k", b"min_score", b"query", b"half_life", b"scenario", b"tail_boost", b"explain")
        made += [("POST /recommend", b'{"%b": %b}' % (field, value)) for field in of_one]
        of_many = (b"history", b"weights", b"user_text", b"candidates")
        made += [("POST /recommend", b'{"%b": [%b]}' % (field, value)) for field in of_many]
        made.append(("POST /recommend", b'{"filters": {"year": {"min": %b}}, "profile": {"age": %b}}' % (value, value)))
        made.append(("POST /recommend", b'{"rerank": {"method": "mmr", "strength": %b}}' % value))
        made.append(("PUT /items", b'{"items": [{"item_id": %b, "title": %b}]}' % (value, value)))
    deep = [b'{"filters": ' + b'{"a":' * n + b"1" + b"}" * (n + 1) for n in (15, 20, 150, 300)]
    deep += [b"[" * 900_000, b'{"a":' * 150_000]
    made += [("POST /recommend", body) for body in deep]
    made += [("POST /recommend", b"{" + b",".join(b'"k%d":1' % n for n in range(80_000)) + b"}")]
    made += [
        ("POST /recommend", b'{"%b": 1}' % (b"x" * 900_000)),
        ("POST /recommend", b'{"filters": {"a": 1, "a": 2}}'),
    ]
    return made


def chunked(server: Server, encoding: str, mib: int) -> tuple[bytes, float]:
    """Send a body of many MiB in chunks; return the answer's first line and MiB that could be sent."""
    sent, chunk = 0.0, b"100000\r\n" + b"x" * 2**20 + b"\r\n"
    with socket.create_connection(server.address, timeout=PATIENCE_S) as one:
        one.sendall(f"PUT /items HTTP/1.1\r\nHost: localhost\r\n{encoding}\r\n\r\n".encode())
        with contextlib.suppress(OSError):
            for _ in range(mib):
                one.sendall(chunk)
                sent += 1
        with contextlib.suppress(OSError):
            return one.recv(1000).partition(b"\r\n")[0], sent
    return b"", sent


def under_hostile_bodies(server: Server) -> Figures:
    """Send each hostile body once, while /health is asked all the time."""
    statuses, largest, bodies = Counter[int](), 0, hostile_bodies()
    before = most = server.rss_mib
    asking = asking_health(server)
    time.sleep(15)
    alone = float(asking.communicate()[0])
    asking = asking_health(server)
    with httpx.Client(base_url=server.url, timeout=PATIENCE_S) as client:
        for asked, body in bodies:
            method, path = asked.split()
            answer = client.request(method, path, content=body)
            statuses[status_of(answer)] += 1
            largest = max(largest, len(answer.content)) if answer.status_code >= 400 else largest
    for encoding in ("Transfer-Encoding: CHUNKED", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity"):
        first, _ = chunked(server, encoding, 300)
        assert not first.startswith(b"HTTP/1.1 2"), first  # noqa: S101
        most = max(most, server.rss_mib)
    slowest = float(asking.communicate()[0])
    return {
        "hostile_requests": float(statuses.total() + 2),
        "hostile_5xx": float(sum(n for status, n in statuses.items() if status >= 500)),
        "hostile_largest_refusal_kib": largest / 1024,
        "alone_health_max_s": alone,
        "hostile_health_max_s": slowest,
        "hostile_rss_growth_mib": most - before,
    }


def status_of(answer: httpx.Response) -> int:
    """Return the status; 429 stands for a 503 that says when to come again."""
    return 429 if answer.status_code == 503 and "retry-after" in answer.headers else answer.status_code


def client_of(server: Server, *words: str) -> "subprocess.Popen[str]":
    """Start a client in a process of its own."""
    script = Path(__file__).with_name("attack_clients.py")
    command = [sys.executable, str(script), words[0], str(server.address[1]), *words[1:]]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def asking_health(server: Server) -> "subprocess.Popen[str]":
    """Start to ask /health ten times a second; the end of its input makes it print the longest answer."""
    asking = client_of(server, "health")
    time.sleep(1)
    return asking


# --- random requests -------------------------------------------------------------------------------------------------


class Generator:
    """Draws requests, valid and not: wrong types, halves of UTF-16 pairs, NaN, whole numbers of any size."""

    fields = ("user_id", "history", "candidates", "exclude", "weights", "query", "profile", "context", "filters")
    fields += ("user_text", "k", "exclude_seen", "tail_boost", "popularity_debias", "cold_boost", "min_score", "rerank")
    fields += ("half_life", "scenario", "explain", "min_exposure", "usr")
    texts = ("", " ", "\x00", "é", "😀", "\u202e", "i1", "A robot, no romance", "x" * 600, "..", "%00", "null", "-1")

    def __init__(self, recommender: Recommender, seed: int) -> None:
        """Take ids that the model knows."""
        self.rng = random.Random(seed)  # noqa: S311
        self.users, self.items = recommender.user_ids.tolist(), recommender.item_ids.tolist()

    def scalar(self) -> str:
        """Return a value as JSON, or nearly."""
        rng = self.rng
        kinds: list[Callable[[], str]] = [
            lambda: rng.choice(["null", "true", "false", "NaN", "Infinity", "-Infinity", "1e400", "-0", "1e-400"]),
            lambda: str(rng.choice([0, 1, -1, 20, 2**31, 2**53, 2**63, 10**400, -(10**30)])),
            lambda: json.dumps(rng.choice([0.5, -2.25, 1e300, 2.5e-7])),
            lambda: json.dumps(rng.choice(self.texts)),
            lambda: rng.choice(['"\\ud800"', '"a\\udc00b"', '"\\u0000"', "'x'", "", "{", "]"]),
            lambda: json.dumps(rng.choice(self.users)),
            lambda: json.dumps(rng.choice(self.items)),
        ]
        return rng.choice(kinds)()

    def value(self, depth: int = 0) -> str:
        """Return a value of any kind."""
        kind = self.rng.random()
        if depth > 4 or kind < 0.6:
            return self.scalar()
        n = self.rng.choice([0, 1, 2, 3, 30])
        if kind < 0.8:
            return "[" + ",".join(self.value(depth + 1) for _ in range(n)) + "]"
        names = self.rng.choices(["min", "max", "categories", "year", "method", "strength", "new", "é", "a"], k=n)
        return "{" + ",".join(f"{json.dumps(name)}:{self.value(depth + 1)}" for name in names) + "}"

    def likely(self, field: str) -> str:
        """Return a value that a field takes, more often than not."""
        rng = self.rng
        if rng.random() < 0.4:
            return self.value()
        made: dict[str, Any] = {
            "history": rng.sample(self.items, 3),
            "query": rng.choice(["robot", "1999", "war, no comedy"]),
            "k": rng.choice([1, 20, 1000]),
            "explain": True,
            "filters": {"year": {"min": rng.choice([1990, 1e300, -5])}},
            "rerank": {"method": rng.choice(["mmr", "dpp", "caps"]), "strength": rng.random()},
        }
        return json.dumps(made.get(field, rng.choice(self.users)))

    def request(self) -> tuple[str, str, bytes]:
        """Return method, path and body."""
        rng, kind = self.rng, self.rng.random()
        if kind < 0.6:
            names = rng.sample(self.fields, rng.randrange(4))
            body = "{" + ",".join(f'"{name}":{self.likely(name)}' for name in names) + "}"
            return "POST", "/recommend", body.encode("utf-8", "surrogatepass")
        if kind < 0.75:
            cells = ",".join(f'"{name}":{self.scalar()}' for name in rng.sample(["title", "genre", "year", "a"], 2))
            few = json.dumps(f"new-{rng.randrange(20)}")  # so that the catalogue does not grow for ever
            new = few if rng.random() < 0.5 else rng.choice([self.scalar(), few])
            return "PUT", "/items", f'{{"items":[{{"item_id":{new},{cells}}}]}}'.encode("utf-8", "surrogatepass")
        text = httpx.QueryParams({"q": rng.choice([*self.texts, rng.choice(self.users)])})
        k = rng.choice(["1", "20", "1000", "1e400", "NaN", "9" * 400, "-1", "", "true"])
        name = rng.choice(["i1", "%20i1", "%ff", "%00", "a%2Fb", "", "x" * 3000, rng.choice(self.users)])
        paths = (f"/items?{text}&k={k}", f"/similar/{name}?k={k}", f"/elicit?k={k}", "/model", f"/{name}", "/items?%ff")
        return rng.choice(["GET"] * 8 + ["DELETE", "POST", "HEAD"]), rng.choice(paths), b""


def under_random_requests(server: Server, recommender: Recommender) -> Figures:
    """Send random requests; 5xx, sizes of refusals, and memory between the first fifth and the end."""
    generator = Generator(recommender, SEED)
    requests = [generator.request() for _ in range(FUZZED)]
    statuses, largest, resident, local = Counter[int](), [0], list[float](), threading.local()

    def ask(request: tuple[str, str, bytes]) -> tuple[int, int]:
        if not hasattr(local, "client"):
            local.client = httpx.Client(base_url=server.url, timeout=PATIENCE_S)
        method, path, body = request
        answer = local.client.request(method, path, content=body)
        return status_of(answer), len(answer.content)

    with ThreadPoolExecutor(2) as clients:
        for number, (status, size) in enumerate(clients.map(ask, requests)):
            statuses[status] += 1
            largest[0] = max(largest[0], size) if status >= 400 else largest[0]
            if (number + 1) % (FUZZED // 5) == 0:
                resident.append(server.rss_mib)
    return {
        "fuzz_requests": float(statuses.total()),
        "fuzz_answered": float(statuses[200]),
        "fuzz_refused": float(sum(n for status, n in statuses.items() if 400 <= status < 500)),
        "fuzz_5xx": float(sum(n for status, n in statuses.items() if status >= 500)),
        "fuzz_largest_refusal_kib": largest[0] / 1024,
        # Items that are put stay: by the third fifth nearly all that the generator knows are there.
        "fuzz_rss_growth_mib": resident[-1] - resident[2],
    } | {f"fuzz_rss_mib_{number + 1}_of_5": value for number, value in enumerate(resident)}


# --- connections and load --------------------------------------------------------------------------------------------


def questions(recommender: Recommender, n: int) -> list[dict[str, Any]]:
    """Draw requests: known users, histories, anonymous users."""
    rng = np.random.default_rng(SEED)
    kinds: list[Callable[[], dict[str, Any]]] = [
        lambda: {"user_id": str(rng.choice(recommender.user_ids))},
        lambda: {"history": rng.choice(recommender.item_ids, 20, replace=False).tolist()},
        lambda: {},
    ]
    return [kinds[number % 3]() for number in range(n)]


def latencies(server: Server, bodies: list[dict[str, Any]]) -> list[float]:
    """Ask one list after the other, with a short pause; return the seconds of each."""
    seconds = []
    with httpx.Client(base_url=server.url, timeout=PATIENCE_S) as client:
        for body in bodies:
            time.sleep(0.03)
            started = time.perf_counter()
            answer = client.post("/recommend", json=body)
            seconds.append(time.perf_counter() - started)
            assert answer.status_code == 200, answer.text  # noqa: S101
    return seconds


def beside_idle_connections(server: Server, recommender: Recommender) -> Figures:
    """Time requests alone and beside 1,000 idle and 100 dripping connections, in turns."""
    alone, beside, bodies = list[float](), list[float](), questions(recommender, 100)
    latencies(server, bodies)
    connections = list[int]()
    for _ in range(TURNS):
        alone += latencies(server, bodies)
        attacker = client_of(server, "hold", str(IDLE), str(DRIPPING))
        time.sleep(3)
        connections.append(len(server.process.net_connections("tcp")) - 1)
        beside += latencies(server, bodies)
        attacker.terminate()
        attacker.wait()
        time.sleep(1)
    figures = {"idle_connections": float(min(connections)), "idle_requests": float(len(beside))}
    for name, seconds in (("alone", alone), ("idle", beside)):
        figures |= {f"{name}_p{q}_ms": float(np.percentile(seconds, q)) * 1000 for q in (50, 99)}
    return figures | {"idle_p99_ratio": figures["idle_p99_ms"] / figures["alone_p99_ms"]}


def overloaded(server: Server, recommender: Recommender) -> Figures:
    """Offer more than can be done; then let 50 clients give up at once, and count threads."""
    latencies(server, questions(recommender, 100))
    before, threads = server.rss_mib, server.n_threads
    load, asking = os.getloadavg()[0], asking_health(server)
    lines = "\n".join(json.dumps(body) for body in questions(recommender, OFFERED * OVERLOAD_S))
    answers = json.loads(client_of(server, "offer", str(OFFERED)).communicate(lines)[0])
    with ThreadPoolExecutor(50) as clients:
        list(clients.map(lambda _: give_up(server), range(200)))
    most_threads = server.n_threads
    slowest = float(asking.communicate()[0])
    answered = [seconds for status, seconds, _ in answers if status == 200]
    refused = [seconds for status, seconds, _ in answers if status == 429]
    print("statuses under overload:", dict(Counter(status for status, _, _ in answers)), flush=True)
    return {
        "overload_processes": float(len(server.answering)),
        "overload_load_at_start": load,
        "overload_offered_per_s": float(OFFERED),
        "overload_sent_late_p99_ms": float(np.percentile([late for _, _, late in answers], 99)) * 1000,
        "overload_answered_per_s": len(answered) / OVERLOAD_S,
        "overload_answered_p99_ms": float(np.percentile(answered, 99)) * 1000,
        "overload_refused_share": len(refused) / len(answers),
        "overload_refused_p99_ms": float(np.percentile(refused or [0.0], 99)) * 1000,
        "overload_other_statuses": float(len(answers) - len(answered) - len(refused)),
        "overload_health_max_s": slowest,
        "overload_rss_growth_mib": server.rss_mib - before,
        "most_threads_growth": float(max(n - threads.get(pid, 0) for pid, n in most_threads.items())),
    }


def give_up(server: Server) -> None:
    """Ask for a long list and go away before it is there."""
    with contextlib.suppress(httpx.HTTPError):
        httpx.post(f"{server.url}/recommend", json={"k": 1000, "explain": True}, timeout=0.1)


def ids_in_log(server: Server, recommender: Recommender) -> int:
    """Return how many user ids, and ids that requests brought, stand in the log as words of their own."""
    # Ids that are plain numbers stand in times, ports and lines of code: look for them where the log speaks of values.
    quoted = set(re.findall(r"[\"'=/]([^\"'=/\s,]{1,60})[\"'\s,]", server.log.read_text()))
    return len(quoted & ({*recommender.user_ids.tolist()} | {f"new-{n}" for n in range(20)}))


def told(figures: Figures) -> Figures:
    """Print what came of a part, and return it."""
    print(json.dumps(figures, indent=2), flush=True)
    return figures


def main() -> None:
    """Attack, and write what came of it."""
    os.environ.setdefault("MLFLOW_TRACKING_URI", f"sqlite:///{ROOT / 'mlflow.db'}")
    figures: Figures = {"cpus": float(os.cpu_count() or 0), "load_at_start": os.getloadavg()[0]}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        recommender = open_champion("tailor", "champion", folder / "own.json").model
        with serving(folder) as server:
            figures["start_rss_mib"] = server.rss_mib
            for part in (
                lambda: under_hostile_bodies(server),
                lambda: under_random_requests(server, recommender),
                lambda: beside_idle_connections(server, recommender),
            ):
                figures |= told(part())
            figures["end_rss_mib"] = server.rss_mib
        with serving(folder, WORKERS) as server:
            figures |= told(overloaded(server, recommender))
            figures["ids_in_log"] = float(ids_in_log(server, recommender))
            figures["log_lines"] = float(len(server.log.read_text().splitlines()))
    figures["largest_refusal_kib"] = max(figures["hostile_largest_refusal_kib"], figures["fuzz_largest_refusal_kib"])
    result = {"headline": rounded(figures), "targets": TARGETS}
    write(RESULTS / "attack.json", result | about("make attack", [SEED]))


if __name__ == "__main__":
    main()
