"""What a run says while it runs."""

import pytest
from kedro.framework.hooks import _create_hook_manager
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Pipeline, node
from kedro.runner import SequentialRunner, ThreadRunner

from tailor import progress_hooks
from tailor.progress_hooks import ProgressHooks, duration
from tailor.settings import HOOKS
from tailor.wiring import group


@pytest.fixture
def clock(monkeypatch):
    """A clock that nodes set."""
    now = [100.0]
    monkeypatch.setattr(progress_hooks.time, "monotonic", lambda: now[0])
    return now


def run(pipeline, runner, **run_params):
    hooks = ProgressHooks()
    manager = _create_hook_manager()
    manager.register(hooks)
    hooks.before_pipeline_run(run_params, pipeline)
    catalog = DataCatalog({"a": MemoryDataset(1)})
    runner.run(pipeline, catalog, manager)


def taking(clock, seconds):
    def work(value):
        clock[0] += seconds
        return value

    return work


def test_each_node_is_said_with_its_own_time_and_that_of_the_run(clock, caplog):
    nodes = [node(taking(clock, 2), "a", "b", name="tune"), node(taking(clock, 90), "b", "c", name="fit")]
    with caplog.at_level("INFO"):
        run(group("hybrid_cf", nodes), SequentialRunner())
    said = [record.message for record in caplog.records if record.name == "tailor.progress_hooks"]
    assert said == ["1/2 hybrid_cf.tune: 2 s of 2 s", "2/2 hybrid_cf.fit: 1:30 of 1:32"]


def test_a_resume_has_no_total_and_threads_are_counted_once(clock, caplog):
    nodes = [node(taking(clock, 0), "a", f"b{number}", name=f"n{number}") for number in range(8)]
    with caplog.at_level("INFO"):
        run(Pipeline(nodes), ThreadRunner(), only_missing_outputs=True)
    said = [record.message for record in caplog.records if record.name == "tailor.progress_hooks"]
    assert sorted(line.split()[0] for line in said) == [str(number) for number in range(1, 9)]
    assert {line.split()[1] for line in said} == {f"n{number}:" for number in range(8)}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0 s"), (0.6, "1 s"), (59.4, "59 s"), (59.6, "1:00"), (3599.7, "1:00:00"), (36_000, "10:00:00")],
)
def test_times_are_short(seconds, text):
    assert duration(seconds) == text


def test_every_line_fits_80_columns():
    from tailor.pipeline_registry import default_pipeline

    longest = max((one.name for one in default_pipeline().nodes), key=len)
    assert len("20:32 INFO     ") + len(f"66/66 {longest}: 59:59 of 9:59:59") <= 80


def test_the_hooks_are_those_of_the_project():
    assert any(isinstance(hooks, ProgressHooks) for hooks in HOOKS)
