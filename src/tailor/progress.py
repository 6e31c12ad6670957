"""Progress bars: lively on a terminal, one line now and then in a log."""

import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from tqdm import tqdm

from tailor.types import Parameters

log = logging.getLogger(__name__)
T = TypeVar("T")
#: Operations of dense linear algebra in double precision that one thread does in a second, for what is said beforehand.
_OPERATIONS_PER_S = 1e10
#: Seconds below which nothing is said of a call.
_SHORT_S = 5.0
#: What hears the labels of bars in place of a terminal, in a process beside the one that has it.
_HEARS: list[Callable[[str], None]] = []


class Bar(tqdm):  # type: ignore[type-arg]
    """A bar that remembers when any was drawn last."""

    drawn_at = 0.0
    """By ``time.monotonic``, of all bars of the process."""

    def display(self, *args: Any, **settings: Any) -> bool:
        """Draw the bar."""
        Bar.drawn_at = time.monotonic()
        return bool(super().display(*args, **settings))


def progress(steps: Iterable[T], label: str, unit: str, total: int | None = None) -> "tqdm[T]":
    """Wrap ``steps`` in a bar on stderr, shown after 3 s; it moves twice a second on a terminal, else every 15 s.

    ``total``: how many steps there are, where they do not know. What calls back, in place of being looped over, gets no
    steps and calls ``update`` of the bar.
    """
    if _HEARS:
        _HEARS[-1](label)
        return Bar(steps, total=total, disable=True)
    settings: Parameters = {"mininterval": 0.5} if sys.stderr.isatty() else {"mininterval": 15.0, "ncols": 100}
    return Bar(steps, desc=label, unit=unit, total=total, delay=3.0, **settings)


@contextmanager
def labels_sent(hears: Callable[[str], None]) -> Iterator[None]:
    """Send the label of each new bar, and draw none."""
    _HEARS.append(hears)
    try:
        yield
    finally:
        _HEARS.pop()


def announce(label: str, operations: float) -> None:
    """Say on a terminal, before a call that cannot tell how far it is, about how long it takes; nothing if it is short.

    Args:
        label: what is done.
        operations: of dense linear algebra.

    Example:
        >>> announce("inverse of a matrix of 10,000 rows", 10_000**3)  # on a terminal: …, about 100 s
    """
    seconds = operations / _OPERATIONS_PER_S
    if seconds >= _SHORT_S and sys.stderr.isatty():
        log.info("%s: about %.0f s on one thread", label, seconds)
