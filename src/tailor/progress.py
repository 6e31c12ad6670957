"""Progress bars: lively on a terminal, one line now and then in a log."""

import sys
from collections.abc import Iterable
from typing import TypeVar

from tqdm import tqdm

from tailor.types import Parameters

T = TypeVar("T")


def progress(steps: Iterable[T], label: str, unit: str, total: int | None = None) -> "tqdm[T]":
    """Wrap ``steps`` in a bar on stderr, shown after 3 s; it moves twice a second on a terminal, else every 15 s.

    ``total``: how many steps there are, where they do not know.
    """
    settings: Parameters = {"mininterval": 0.5} if sys.stderr.isatty() else {"mininterval": 15.0, "ncols": 100}
    return tqdm(steps, desc=label, unit=unit, total=total, delay=3.0, **settings)
