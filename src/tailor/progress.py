"""Progress bars: lively on a terminal, one line now and then in a log."""

import sys
from collections.abc import Iterable
from typing import Any, TypeVar

from tqdm import tqdm

T = TypeVar("T")


def progress(steps: Iterable[T], label: str, unit: str) -> "tqdm[T]":
    """Wrap ``steps`` in a bar on stderr, shown after 3 s; it moves twice a second on a terminal, else every 15 s."""
    settings: dict[str, Any] = {"mininterval": 0.5} if sys.stderr.isatty() else {"mininterval": 15.0, "ncols": 100}
    return tqdm(steps, desc=label, unit=unit, delay=3.0, **settings)
