"""`make bench-items`: what one more added item costs after 20,000, and what a start with 5,000 costs, after `make run`.

Items are put through the store of the server (SQLite in a temporary folder), one at a time at the beginning and the
end, 1,000 at a time in between. Every figure is seconds of a processor. A start is measured in a process of its own:
imports, the package, the encoder, and everything that was put. `python benchmarks/items.py FOLDER` measures another
package.
"""

import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from catalogues import RESULTS, ROOT, about, rounded, seconds_of, write

import tailor
from tailor.serving.items import ItemStore, columns_of
from tailor.serving.recommender import Recommender
from tailor.serving.schema import Request

SEED, SINGLE, BULK, MOST, AT_START = 0, 20, 1000, 20_000, 5000
TARGETS = {"last_put_over_first": "<= 2", "start_with_5000_over_none": "<= 1.5"}
#: Seconds of the processor, and what a call returns.
cpu_seconds_of = partial(seconds_of, clock=time.process_time)
STORE = os.environ.get("MLFLOW_TRACKING_URI", f"sqlite:///{ROOT}/mlflow.db")
START = """
import resource, sys
from pathlib import Path
import tailor.serving.http, tailor.serving.champion
from tailor.serving.items import ItemStore
from tailor.serving.recommender import Recommender
model = Recommender.load(Path(sys.argv[1]))
model.encoder.encode(["warm up"])
ItemStore.open(Path(sys.argv[2]), "bench").apply(model)
used = resource.getrusage(resource.RUSAGE_SELF)
print(used.ru_utime + used.ru_stime)
"""


def rows_of(model: Recommender, n: int) -> Iterator[dict[str, object]]:
    """Yield new items: texts of two items of the catalogue, drawn by the seed, each."""
    rng, titles = np.random.default_rng(SEED), model.known_metadata.titles
    columns = set(columns_of(model))
    for number in range(n):
        left, right = rng.integers(len(titles), size=2)
        row = {"item_id": f"added-{number}", "title": f"{titles[left]} {titles[right]}", "genres": "Drama Comedy"}
        yield {name: cell for name, cell in row.items() if name in columns}


def put_singly(store: ItemStore, model: Recommender, rows: list[dict[str, object]]) -> tuple[list[float], Recommender]:
    """Put items one by one; return what each took, and the model at the end."""
    took = []
    for row in rows:
        seconds, model = cpu_seconds_of(lambda row=row, model=model: store.put(model, [row]))
        took.append(seconds)
    return took, model


def start_seconds(package: Path, store: Path) -> float:
    """Return what a process takes that loads a package and everything that was put."""
    command = [sys.executable, "-c", START, str(package), str(store)]
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    return float(done.stdout.split()[-1])


def main(argument: str) -> None:
    """Measure and write."""
    logging.disable(logging.WARNING)
    package, model = load(argument)
    rows = list(rows_of(model, MOST + SINGLE))
    with tempfile.TemporaryDirectory() as folder:
        store = ItemStore.open(Path(folder) / "all.json", "bench")
        answering = store.put(store.apply(model), rows[:1])  # what is computed once
        first, answering = put_singly(store, answering, rows[1 : 1 + SINGLE])
        bulk = 0.0
        for start in range(1 + SINGLE, MOST, BULK):
            seconds, answering = cpu_seconds_of(lambda at=start: store.put(answering, rows[at : min(at + BULK, MOST)]))  # noqa: B023
            bulk += seconds
        import_limit(MOST + SINGLE)
        last, answering = put_singly(store, answering, rows[MOST:])
        again, answering = put_singly(store, answering, rows[:SINGLE])
        asked = [cpu_seconds_of(lambda: answering.recommend([Request(history=["added-1"])]))[0] for _ in range(SINGLE)]
        some, none = Path(folder) / "some.json", Path(folder) / "none.json"
        of_some, grown = ItemStore.open(some, "bench"), model
        for start in range(0, AT_START, BULK):
            grown = of_some.put(grown, rows[start : start + BULK])
        starts = {path: min(start_seconds(package, path) for _ in range(2)) for path in (none, some)}
    figures = {
        "items_of_the_fit": len(model.items),
        "added": MOST,
        "first_put_cpu_s": float(np.median(first)),
        "last_put_cpu_s": float(np.median(last)),
        "last_put_largest_cpu_s": max(last),
        "last_put_over_first": float(np.median(last) / np.median(first)),
        "put_again_cpu_s": float(np.median(again)),
        "put_1000_cpu_s": bulk / (MOST / BULK),
        "ask_cpu_s": float(np.median(asked)),
        "start_with_none_cpu_s": starts[none],
        "start_with_5000_cpu_s": starts[some],
        "start_with_5000_over_none": starts[some] / starts[none],
    }
    result = {"headline": rounded(figures), "targets": TARGETS}
    write(RESULTS / "items.json", result | about("make bench-items", [SEED]))
    print(result["headline"])


def import_limit(most: int) -> None:
    """Let the store take the last items too: its limit is what was measured up to."""
    from tailor.serving import items  # noqa: PLC0415

    items.MAX_ADDED = most


def load(argument: str) -> tuple[Path, Recommender]:
    """Return the folder of a package and the recommender in it: the champion's where none is named."""
    import mlflow  # noqa: PLC0415

    if argument:
        return Path(argument), Recommender.load(Path(argument))
    mlflow.set_tracking_uri(STORE)
    uri = "models:/tailor@champion"
    folder = Path(mlflow.artifacts.download_artifacts(f"{uri}/artifacts/recommender"))
    return folder, tailor.load(uri)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "")
