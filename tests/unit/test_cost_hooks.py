"""What each node took is written as it ends."""

import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from kedro.framework.hooks import _create_hook_manager
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Pipeline, node
from kedro.runner import SequentialRunner, ThreadRunner

from tailor.cost_hooks import CostHooks, MemoryPeaks
from tailor.datasets import NodeCostsDataset
from tailor.errors import BadInputError
from tailor.settings import HOOKS

_MIB = 2**20


def run(catalog, pipeline, runner=None):
    hooks, manager = CostHooks(), _create_hook_manager()
    manager.register(hooks)
    hooks.before_pipeline_run(catalog)
    try:
        (runner or SequentialRunner()).run(pipeline, catalog, manager)
    finally:
        hooks.after_pipeline_run()
    return hooks


@pytest.fixture
def catalog(tmp_path):
    costs = NodeCostsDataset(filepath=str(tmp_path / "node_costs.json"))
    return DataCatalog({"a": MemoryDataset(1), "node_costs": costs})


def takes_memory(value):
    """Fill 300 MiB, and free them."""
    filled = np.ones(300 * _MIB // 8)
    time.sleep(0.3)
    return value + len(filled)


def takes_time(value):
    time.sleep(0.4)
    return value


def test_seconds_and_the_peak_of_memory_are_those_of_each_node(catalog):
    run(catalog, Pipeline([node(takes_memory, "a", "b", name="fill"), node(takes_time, "a", "c", name="wait")]))
    costs = catalog.load("node_costs")
    assert set(costs) == {"fill", "wait"}
    assert costs["fill"]["peak_gib"] > costs["wait"]["peak_gib"] + 0.2
    assert 0.4 <= costs["wait"]["seconds"] < 5


def test_an_earlier_node_can_be_read_while_the_run_goes_on(catalog):
    seen = []
    pipeline = Pipeline(
        [node(takes_time, "a", "b", name="first"), node(lambda b, costs: seen.extend(costs), ["b", "node_costs"], None)]
    )
    run(catalog, pipeline)
    assert seen == ["first"]


def test_threads_lose_none_of_each_other_s_figures(catalog):
    nodes = [node(lambda value: value, "a", f"b{number}", name=f"n{number}") for number in range(12)]
    run(catalog, Pipeline(nodes), ThreadRunner())
    assert set(catalog.load("node_costs")) == {f"n{number}" for number in range(12)}


def test_the_thread_that_looks_ends_with_the_run_and_after_an_error(catalog):
    def fail(value):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        run(catalog, Pipeline([node(fail, "a", "b", name="fail")]))
    assert "memory peaks" not in [thread.name for thread in threading.enumerate()]
    peaks = MemoryPeaks()
    peaks.stop()  # nothing was begun
    assert peaks.end("never") == 0.0


def test_a_project_without_the_file_runs_all_the_same():
    run(DataCatalog({"a": MemoryDataset(1)}), Pipeline([node(takes_time, "a", "b", name="wait")]))


def test_a_damaged_file_stops_the_run_before_the_first_node(catalog):
    catalog["node_costs"].location.fs.pipe(catalog["node_costs"].location.path, b"{")
    with pytest.raises(BadInputError, match="is damaged"):
        run(catalog, Pipeline([node(takes_time, "a", "b", name="wait")]))


def test_the_hooks_are_those_of_the_project():
    assert any(isinstance(hooks, CostHooks) for hooks in HOOKS)


def test_memory_of_processes_that_a_node_starts_is_counted(catalog):
    command = f"import time; block = b'1' * {300 * _MIB}; time.sleep(1)"

    def starts_a_process(value):
        subprocess.run([sys.executable, "-c", command], check=True)
        return value

    run(catalog, Pipeline([node(takes_time, "a", "b", name="alone"), node(starts_a_process, "b", "c", name="two")]))
    costs = catalog.load("node_costs")
    assert costs["two"]["peak_gib"] > costs["alone"]["peak_gib"] + 0.25
