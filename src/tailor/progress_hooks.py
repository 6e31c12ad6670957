"""What a run says while it runs: one line for each node that is done, with its time and that of the run so far.

On a terminal also which node is at work, where it says nothing itself for some seconds: a call into a library, or a
loop whose steps take long.
"""

import itertools
import logging
import sys
import threading
import time
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from tailor.progress import Bar

log = logging.getLogger(__name__)
#: Seconds between two looks at what is silent; after how many at first, and at most, a node is named again.
_LOOK_S, _SILENT_S, _MOST_SILENT_S = 1.0, 5.0, 60.0


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
        self._said_at = 0.0
        self._ended = threading.Event()

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Pipeline) -> None:
        """Begin to count; a resume runs fewer nodes than the pipeline has, so that it counts without a total."""
        self._began, self._node_began, self._number = time.monotonic(), {}, itertools.count(1)
        self._total = 0 if run_params.get("only_missing_outputs") else len(pipeline.nodes)
        if sys.stderr.isatty():
            self._ended = threading.Event()
            threading.Thread(target=self._watch, args=(self._ended,), name="silent nodes", daemon=True).start()

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Watch no longer."""
        self._ended.set()

    @hook_impl
    def on_pipeline_error(self) -> None:
        """Watch no longer."""
        self._ended.set()

    def _watch(self, ended: threading.Event) -> None:
        while not ended.wait(_LOOK_S):
            self.name_silent_nodes()

    def name_silent_nodes(self) -> None:
        """Say how long nodes have run that say nothing: after 5 s, then ever more rarely, at least once a minute."""
        now = time.monotonic()
        for name, began in list(self._node_began.items()):
            quiet, patience = now - max(began, self._said_at, Bar.drawn_at), max(_SILENT_S, (now - began) / 2)
            if quiet >= min(patience, _MOST_SILENT_S):
                self._said_at = now
                log.info("%s: %s so far", name, duration(now - began))

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
