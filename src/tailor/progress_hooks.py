"""What a run says while it runs: one line for each node that is done, with its time and that of the run so far."""

import itertools
import logging
import time
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

log = logging.getLogger(__name__)


def duration(seconds: float) -> str:
    """Write a time in at most eight characters.

    >>> duration(0.04), duration(41.6), duration(92), duration(3661)
    ('0 s', '42 s', '1:32', '1:01:01')
    """
    whole = round(seconds)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02}:{rest:02}"
    return f"{minutes}:{rest:02}" if minutes else f"{rest} s"


class ProgressHooks:
    """Time nodes, and say which is done; its full name tells the pipeline, and frozen from tuned (lora)."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._node_began: dict[str, float] = {}
        self._total = 0
        self._number = itertools.count(1)

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Pipeline) -> None:
        """Begin to count; a resume runs fewer nodes than the pipeline has, so that it counts without a total."""
        self._began, self._node_began, self._number = time.monotonic(), {}, itertools.count(1)
        self._total = 0 if run_params.get("only_missing_outputs") else len(pipeline.nodes)

    @hook_impl(trylast=True)
    def before_node_run(self, node: Node) -> None:
        """Note when a node begins."""
        self._node_began[node.name] = time.monotonic()

    @hook_impl(tryfirst=True)
    def after_node_run(self, node: Node) -> None:
        """Say that a node is done."""
        now = time.monotonic()
        number = next(self._number)  # threads may end at once
        count = f"{number}/{self._total}" if self._total else str(number)
        took = duration(now - self._node_began.pop(node.name, now))
        log.info("%s %s: %s of %s", count, node.name, took, duration(now - self._began))
