"""`make bench-scale`: what a whole run costs on fabricated catalogues of growing size, stage by stage.

A catalogue with texts, power laws of popularity and activity, and planted clusters is written; then the pipelines run
one after the other, each as `kedro run --env=large` in a process of its own. Of each the seconds, the peak memory of
the process with its children, and the longest time without a line of output are recorded as soon as it has ended: a run
that was stopped goes on with the stage that it stopped in, where the commit is the same, else begins again. Of the
lists of cold items the share of places that hold an item of the user's own cluster is measured; chance is 1 / clusters.

    python benchmarks/scale.py 10000x3000x500000            # users x items x rows; several sizes show the growth
    python benchmarks/scale.py 10000x3000x500000 --fresh    # begins again
"""

import argparse
import itertools
import json
import math
import os
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
from catalogues import RESULTS, ROOT, about, rounded, write

from tailor import columns as c
from tailor.data.fabricate_large import CatalogueSize, cluster_of, write_catalogue
from tailor.errors import ConfigurationError

STAGES = ("data_processing", "feature_engineering", "lm_finetuning", "hybrid_cf", "evaluation", "reranking",
          "registration", "promotion", "reporting", "inference")  # fmt: skip
#: Seconds between two looks at the memory.
_EVERY = 0.2
#: Places of a cold list that are looked at.
_TOP = 10
_GIB = 2**30
TARGETS = {
    "100000x30000x5000000_minutes": "<= 45, on 2 cores",
    "100000x30000x5000000_peak_gib": "<= 8",
    "*_growth": "<= 1: seconds per row of no stage grow",
    "*_cold_in_cluster": ">= 0.9",
}


@dataclass(frozen=True)
class StageCost:
    """What one stage took."""

    seconds: float
    peak_gib: float
    """Of the process with its children, resident."""
    longest_silence: float
    """Seconds without output after the stage's first line."""


def parse_size(text: str) -> CatalogueSize:
    """Read ``users x items x rows``.

    Raises:
        argparse.ArgumentTypeError: these are not three numbers, or there is no such catalogue.
    """
    try:
        users, items, rows = (int(part) for part in text.split("x"))
        return CatalogueSize(users, items, rows)
    except ConfigurationError as problem:
        raise argparse.ArgumentTypeError(str(problem)) from None
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not users x items x rows, as 10000x3000x500000") from None


def name_of(size: CatalogueSize) -> str:
    """Name a size: users x items x rows."""
    return f"{size.users}x{size.items}x{size.rows}"


def run_stage(stage: str, folder: Path) -> StageCost:
    """Run one pipeline in a process of its own and watch it; what it prints is added to ``scale.log``.

    Raises:
        RuntimeError: it failed; with the last lines that it printed.
    """
    command = [sys.executable, "-m", "kedro", "run", "--env=large", f"--pipelines={stage}"]
    environment = os.environ | {"TAILOR_LARGE": str(folder), "PYTHONUNBUFFERED": "1"}
    log = folder / "scale.log"
    started = time.perf_counter()
    with log.open("ab") as out:
        begins = out.tell()
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=out, stderr=subprocess.STDOUT)
        watch = Watch(process.pid, log)
        watch.start()
        code = process.wait()
        watch.stop()
    if code:
        with log.open("rb") as text:
            text.seek(begins)
            last = text.read().decode(errors="replace").splitlines()[-20:]
        raise RuntimeError(f"{stage} ended with code {code}; its output is in {log}:\n" + "\n".join(last))
    return StageCost(time.perf_counter() - started, watch.peak / _GIB, watch.longest_silence)


class Watch(threading.Thread):
    """Looks at the memory of a process and its children, and at the growth of its log."""

    def __init__(self, pid: int, log: Path) -> None:
        super().__init__(daemon=True)
        self._process, self._log, self._done = psutil.Process(pid), log, threading.Event()
        self.peak, self.longest_silence = 0, 0.0

    def run(self) -> None:
        """Look until the process has ended."""
        size, since, heard = self._log.stat().st_size, time.perf_counter(), False
        while not self._done.wait(_EVERY):
            self.peak = max(self.peak, self._memory())
            grown = self._log.stat().st_size
            if grown != size:
                size, since, heard = grown, time.perf_counter(), True
            elif heard:
                self.longest_silence = max(self.longest_silence, time.perf_counter() - since)

    def stop(self) -> None:
        """End."""
        self._done.set()
        self.join()

    def _memory(self) -> int:
        total = 0
        for process in (self._process, *self._children()):
            try:
                total += process.memory_info().rss
            except psutil.Error:  # it has ended meanwhile
                continue
        return total

    def _children(self) -> list[psutil.Process]:
        try:
            return list(self._process.children(recursive=True))
        except psutil.Error:
            return []


def cold_in_cluster(folder: Path, size: CatalogueSize) -> float:
    """Return the share of the first places of the registered model's cold lists that are of the user's cluster."""
    lists = pd.read_parquet(folder / "07_model_output/recommendations/test")
    ours = lists[(lists[c.MODEL] == "hybrid_lora") & (lists[c.CANDIDATES] == c.COLD) & (lists[c.RANK] <= _TOP)]
    user, item = (cluster_of(ours[name], size.clusters) for name in (c.USER, c.ITEM))
    return float((user == item).mean())


def measure(size: CatalogueSize, folder: Path, commit: str, fresh: bool) -> dict[str, Any]:
    """Fabricate the catalogue, run what this commit has not run yet, and return the costs by stage."""
    state = folder / "scale.json"
    done = json.loads(state.read_text()) if state.exists() else {}
    of_another = bool(done) and done.get("commit") != commit[:12]
    if of_another:
        print(f"{name_of(size)}: what {folder} holds is of another commit, so it begins again", flush=True)
    if fresh or of_another:
        shutil.rmtree(folder, ignore_errors=True)
        done = {}
    if "rows" not in done:
        started = time.perf_counter()
        rows = write_catalogue(folder / "01_raw", size)
        done = {"commit": commit[:12], "rows": rows, "fabricate_seconds": time.perf_counter() - started}
        state.write_text(json.dumps(done))
    for stage in STAGES:
        if stage not in done:
            done[stage] = asdict(run_stage(stage, folder))
            state.write_text(json.dumps(done))
            print(name_of(size), stage, rounded(done[stage]), flush=True)
    return done | {"cold_in_cluster": cold_in_cluster(folder, size)}


def headline(measured: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Return the figures of each size, and the growth of every stage between neighbouring sizes."""
    figures: dict[str, float] = {}
    for name, done in measured.items():
        costs = [done[stage] for stage in STAGES]
        figures |= {
            f"{name}_rows": done["rows"],
            f"{name}_minutes": sum(cost["seconds"] for cost in costs) / 60,
            f"{name}_peak_gib": max(cost["peak_gib"] for cost in costs),
            f"{name}_longest_silence": max(cost["longest_silence"] for cost in costs),
            f"{name}_cold_in_cluster": done["cold_in_cluster"],
        }
    names = list(measured)
    for small, large in itertools.pairwise(names):
        for stage in STAGES:
            ratio = measured[large][stage]["seconds"] / measured[small][stage]["seconds"]
            rows = measured[large]["rows"] / measured[small]["rows"]
            figures[f"{small}_to_{large}_{stage}_growth"] = math.log(ratio) / math.log(rows)
    return figures


def main() -> None:
    """Measure the sizes that are asked for and write what is known of all."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("sizes", nargs="+", type=parse_size, help="users x items x rows")
    parser.add_argument("--folder", type=Path, default=ROOT / "data/large", help="each size has a folder in it")
    parser.add_argument("--fresh", action="store_true", help="delete what is there and begin again")
    asked = parser.parse_args()
    sizes = sorted(asked.sizes, key=lambda size: size.rows)
    made = about(f'make bench-scale SIZES="{" ".join(map(name_of, sizes))}"', [0])
    folders = {name_of(size): asked.folder / name_of(size) for size in sizes}
    measured = {name_of(size): measure(size, folders[name_of(size)], made["commit"], asked.fresh) for size in sizes}
    result = {"headline": rounded(headline(measured)), "stages": measured, "targets": TARGETS}
    write(RESULTS / "scale.json", result | made)
    print(json.dumps(result["headline"], indent=2))


if __name__ == "__main__":
    main()
