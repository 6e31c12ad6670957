"""What a run says while it runs."""

import threading
import time

import pytest
from kedro.framework.hooks import _create_hook_manager
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Pipeline, node
from kedro.runner import SequentialRunner, ThreadRunner

from tailor import progress_hooks
from tailor.progress import Bar
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


@pytest.fixture
def said_of(clock, caplog, monkeypatch):
    """Returns when a node of so many seconds is named, and how, where bars are drawn at some of them."""

    def said(seconds, drawn=()):
        clock[0] = 100.0
        monkeypatch.setattr(Bar, "drawn_at", 0.0)
        hooks, named = ProgressHooks(), {}
        hooks.before_node_run(node(lambda a: a, "a", "b", name="fit"))
        for second in range(1, seconds + 1):
            clock[0] = 100.0 + second
            if second in drawn:
                monkeypatch.setattr(Bar, "drawn_at", clock[0])
            caplog.clear()
            with caplog.at_level("INFO"):
                hooks.name_silent_nodes()
            for record in caplog.records:
                named[second] = record.message
        return named

    return said


def test_a_node_that_says_nothing_is_named_after_five_seconds_and_then_more_rarely(said_of):
    assert said_of(4) == {}
    assert said_of(25) == {5: "fit: 5 s so far", 10: "fit: 10 s so far", 20: "fit: 20 s so far"}
    assert list(said_of(300)) == [5, 10, 20, 40, 80, 140, 200, 260]


def test_a_node_whose_bars_move_is_not_named(said_of):
    assert said_of(60, drawn=range(3, 61)) == {}
    assert list(said_of(24, drawn=range(3, 13))) == [24]


@pytest.mark.parametrize("is_terminal", [True, False])
def test_silent_nodes_are_named_on_a_terminal_alone(monkeypatch, caplog, is_terminal):
    """In a log nothing is printed beside the lines of nodes."""
    monkeypatch.setattr(progress_hooks, "_LOOK_S", 0.01)
    monkeypatch.setattr(progress_hooks, "_SILENT_S", 0.05)
    monkeypatch.setattr(progress_hooks.sys.stderr, "isatty", lambda: is_terminal, raising=False)
    hooks, slow = ProgressHooks(), node(lambda a: a, "a", "b", name="fit")
    with caplog.at_level("INFO"):
        hooks.before_pipeline_run({}, Pipeline([slow]))
        hooks.before_node_run(slow)
        time.sleep(0.4)
        hooks.after_node_run(slow)
        hooks.after_pipeline_run()
    assert any("so far" in record.message for record in caplog.records) == is_terminal
    assert caplog.records[-1].message == "1/1 fit: 0 s of 0 s"
    time.sleep(0.1)
    assert "silent nodes" not in {thread.name for thread in threading.enumerate()}
