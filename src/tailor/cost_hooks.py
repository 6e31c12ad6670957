"""Writes down what each node takes, seconds and memory; the report says it by stage."""

import math
import threading
import time
from contextlib import suppress

import psutil
from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline.node import Node

from tailor.datasets.costs import NodeCostsDataset

#: Entry of the catalog that costs are written to; a project without it has no costs.
DATASET = "node_costs"
#: Seconds between two looks at the memory, and between two searches for child processes, which read every process.
_EVERY_S, _SEARCH_S = 0.1, 1.0
_GIB = 2**30


class MemoryPeaks:
    """The most memory that this process and those it started had while each of several things went on.

    A thread looks every 0.1 s, and every second for new child processes. Code that processes share is counted for each.
    """

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._children: list[psutil.Process] = []
        self._searched = -math.inf
        self._peaks: dict[str, int] = {}
        self._lock, self._over = threading.Lock(), threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self, name: str) -> None:
        """Begin to look; the first one starts the thread."""
        with self._lock:
            self._peaks[name] = self._used()
            if self._thread is None:
                self._over.clear()
                self._thread = threading.Thread(target=self._look, name="memory peaks", daemon=True)
                self._thread.start()

    def end(self, name: str) -> float:
        """Return the peak in GiB; 0 for what did not begin."""
        now = self._used()
        with self._lock:
            known = self._peaks.pop(name, None)
        return 0.0 if known is None else max(known, now) / _GIB

    def stop(self) -> None:
        """End the thread."""
        with self._lock:
            thread, self._thread = self._thread, None
            self._peaks.clear()
        if thread is not None:
            self._over.set()
            thread.join()

    def _used(self) -> int:
        """Return the bytes in use now."""
        used, now = int(self._process.memory_info().rss), time.monotonic()
        if now - self._searched >= _SEARCH_S:
            self._children, self._searched = self._process.children(recursive=True), now
        for child in self._children:
            with suppress(psutil.Error):  # it has ended
                used += child.memory_info().rss
        return used

    def _look(self) -> None:
        while not self._over.wait(_EVERY_S):
            now = self._used()
            with self._lock:
                for name, peak in self._peaks.items():
                    self._peaks[name] = max(peak, now)


class CostHooks:
    """Time and memory of every node, written as it ends."""

    def __init__(self) -> None:
        self._file: NodeCostsDataset | None = None
        self._began: dict[str, float] = {}
        self._peaks = MemoryPeaks()

    @hook_impl
    def before_pipeline_run(self, catalog: DataCatalog) -> None:
        """Find the file that costs are written to.

        Raises:
            BadInputError: it is damaged.
        """
        file = catalog.get(DATASET)
        self._file = file if isinstance(file, NodeCostsDataset) else None
        self._began = {}
        if self._file is not None:
            self._file.known()

    @hook_impl(trylast=True)
    def before_node_run(self, node: Node) -> None:
        """Begin to time and to look at the memory."""
        self._peaks.begin(node.name)
        self._began[node.name] = time.monotonic()

    @hook_impl(tryfirst=True)
    def after_node_run(self, node: Node) -> None:
        """Write down what the node took."""
        now, began = time.monotonic(), self._began.pop(node.name, None)
        peak = self._peaks.end(node.name)
        if self._file is not None and began is not None:
            self._file.update({node.name: {"seconds": round(now - began, 3), "peak_gib": round(peak, 3)}})

    @hook_impl
    def after_pipeline_run(self) -> None:
        """End the thread that looks at the memory."""
        self._peaks.stop()

    @hook_impl
    def on_pipeline_error(self) -> None:
        """End it after an error too."""
        self._peaks.stop()
