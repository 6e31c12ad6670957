"""Several models fitted on the same interactions: those that need one thread in processes beside the others.

A transformer is fitted by many small steps on one thread, minutes long; another core can do the next one, or the
closed forms. They are the same to the bit as in this process; the closed forms have the BLAS threads that are left.
"""

import logging
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from logging.handlers import QueueHandler
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

from tailor.models import checkpoints
from tailor.models.base import FittedModel, Model, TrainSet
from tailor.processes import Beside, beside
from tailor.progress import labels_sent, progress
from tailor.threads import n_threads

Key = TypeVar("Key", bound=Hashable)
Fit = tuple[FittedModel, list[logging.LogRecord]]
#: Interactions below which a fit is over before a process has started.
FEW = 20_000


@dataclass(frozen=True)
class _Task:
    recipe: Model[Any]
    data: TrainSet
    checkpoints: Path | None


@contextmanager
def fits(
    recipes: Mapping[Key, Model[Any]], data_of: Callable[[Key], TrainSet], beside_other_work: bool = False
) -> Iterator[Callable[[Key], FittedModel]]:
    """Yield a function that fits a recipe, or waits for the process that fits it.

    Ask for :attr:`Model.fits_on_one_thread` last: until then the others are fitted beside.

    Args:
        recipes: by any key.
        data_of: what each is fitted on, by its key.
        beside_other_work: a process is started for one recipe alone too.
    """
    with ExitStack() as stack:
        alone = _for_processes(recipes, data_of) if beside_other_work or len(recipes) > 1 else []
        tasks = [_Task(recipes[key], data_of(key), checkpoints.folder()) for key in alone]
        started: dict[Key, tuple[_Task, Beside[Fit]]] = {}
        if tasks:
            from threadpoolctl import threadpool_limits  # noqa: PLC0415  (what is served fits nothing)

            # A product on two threads, of which one has no core to itself, waits for it every time.
            stack.enter_context(threadpool_limits(max(1, n_threads() - len(tasks)), user_api="blas"))
            started = dict(zip(alone, zip(tasks, stack.enter_context(beside(_fit, tasks)), strict=True), strict=True))

        def fit(key: Key) -> FittedModel:
            return _wait(*started.pop(key)) if key in started else recipes[key].fit(data_of(key))

        yield fit


def fit_all(recipes: Mapping[Key, Model[Any]], data_of: Callable[[Key], TrainSet]) -> dict[Key, FittedModel]:
    """Fit recipes, and return the fitted models in the same order.

    Args:
        recipes: by any key.
        data_of: what each is fitted on, by its key.
    """
    with fits(recipes, data_of) as fit:
        fitted = {key: fit(key) for key in sorted(recipes, key=lambda key: recipes[key].fits_on_one_thread)}
    return {key: fitted[key] for key in recipes}


def _for_processes(recipes: Mapping[Key, Model[Any]], data_of: Callable[[Key], TrainSet]) -> list[Key]:
    """Return the recipes that are worth a process of their own: at most one for each core, none beside a GPU."""
    if n_threads() < 2:
        return []
    slow = [key for key, recipe in recipes.items() if recipe.fits_on_one_thread]
    slow = [key for key in slow if data_of(key).interactions.nnz >= FEW]
    slow = [key for key in slow if recipes[key].remembered(data_of(key)) is None]
    return [] if not slow or _has_gpu() else slow[: n_threads()]


def _has_gpu() -> bool:
    import torch  # noqa: PLC0415  (training only: what is served needs no torch)

    return bool(torch.cuda.is_available())


def _wait(task: _Task, job: Beside[Fit]) -> FittedModel:
    """Return what a process has fitted; what it logs is logged here."""
    bar = progress(job.words(), task.recipe.name, "step")
    for label in bar:
        bar.set_description(label, refresh=False)
    fitted, records = job.result()
    for record in records:
        logging.getLogger(record.name).handle(record)
    task.recipe.remember(task.data, fitted)
    return fitted


def _fit(task: _Task, tell: Callable[[str], None]) -> Fit:
    """Fit a recipe in a process of its own."""
    records: SimpleQueue[logging.LogRecord] = SimpleQueue()
    logger = logging.getLogger("tailor")
    logger.setLevel(logging.INFO)
    logger.addHandler(QueueHandler(records))
    checkpoints.set_folder(str(task.checkpoints) if task.checkpoints else None)
    with labels_sent(tell):
        fitted = task.recipe.fit(task.data)
    return fitted, [records.get() for _ in range(records.qsize())]
