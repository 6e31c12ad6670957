"""An executor that is killed in the middle of a sweep costs its tasks, not the fit."""

import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT

pytest.importorskip("pyspark", reason="make test-spark installs it")

_FIT = """
import os, signal, sys, threading
from contextlib import suppress
import numpy as np, psutil
from scipy import sparse
from tailor import columns as c
from tailor.models.ials import IALSConfig, TextIALS
from tailor.spark import blocks, factorization
from tailor.spark.config import SparkOptions
from tailor.spark.session import session

spark = session(SparkOptions(master="local-cluster[2,1,1024]", settings={"spark.executor.memory": "512m"}))
rows = [(f"u{u}", f"i{(u * 7 + j * j) % 60}", c.TRAIN) for u in range(200) for j in range(8)]
rows = sorted(set(rows))
import pandas as pd
items = pd.DataFrame({"item_id": sorted({row[1] for row in rows})})
table = spark.createDataFrame(rows, "user_id string, item_id string, split string")
made = blocks.make_blocks(table, items, 4, 0)
counts = table.groupBy("item_id").count().toPandas().set_index("item_id")["count"]
counts = items["item_id"].map(counts).to_numpy(dtype=np.int64)
sweep, killed = factorization._sweep, []

def kill():
    tracker, running = spark.sparkContext.statusTracker(), 0
    while not running:
        stages = [tracker.getStageInfo(stage) for stage in tracker.getActiveStageIds()]
        running = sum(stage.numActiveTasks for stage in stages if stage)
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # a worker of Python that has ended
            if not killed and "CoarseGrainedExecutorBackend" in " ".join(process.cmdline()):
                killed.append(process.pid)
                os.kill(process.pid, signal.SIGKILL)

def sweep_of(*args):
    sweep_of.calls += 1
    if sweep_of.calls == 3:
        threading.Thread(target=kill).start()
    return sweep(*args)

sweep_of.calls = 0
if sys.argv[1] == "kill":
    factorization._sweep = sweep_of
model = factorization.fit(made.persist(), counts, None, TextIALS(IALSConfig(factors=4, iterations=5), 0), 2)
assert sys.argv[1] != "kill" or killed
print("FACTORS", model.item_factors.tobytes().hex())
"""


def _fit(how: str) -> str:
    path = os.pathsep.join([str(ROOT / ".spark"), str(ROOT / "src")])
    done = subprocess.run(
        [sys.executable, "-c", _FIT, how],
        capture_output=True, text=True, check=False, timeout=600, env=os.environ | {"PYTHONPATH": path},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return next(line for line in done.stdout.splitlines() if line.startswith("FACTORS"))


def test_the_factors_are_those_of_a_fit_that_nothing_disturbed():
    assert _fit("kill") == _fit("undisturbed")
