"""One training on several devices: processes of this machine that read a part of every batch each.

Every process does the same: it draws the same items, holds the same weights and takes the same decisions. Of a batch it
embeds its own part, gets the others' embeddings, and computes the loss of the whole batch, so that every objective sees
what one process would show it: negatives, kernels over all items. The gradient reaches the encoder through the own part
alone, and the sum over the processes is that of the batch. Sums are added in another order than in one process, and
dropout draws other masks; all else is equal.

Processes talk by gloo on CPUs, over the loopback device, and by NCCL on GPUs, of which each process has its own.
"""

import contextlib
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import ParamSpec, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import distributed
from torch.multiprocessing.spawn import ProcessContext, ProcessExitedException, ProcessRaisedException, start_processes

from tailor.errors import ConfigurationError
from tailor.processes import ProcessEndedError, end_with_parent, fresh_interpreters

P = ParamSpec("P")
R = TypeVar("R")
#: Seconds for a process that has closed its connection to end: on a busy machine an interpreter takes several.
_LEAVE_S = 15.0
#: The option that says how many there are, for errors.
_OPTION = "lm_finetuning.processes"


def size() -> int:
    """Return how many processes there are."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    """Return the number of this process; 0 is the one that started the others."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def own_part(n: int) -> slice:
    """Return which of n rows this process reads: parts of equal length, but for the last ones; one may be empty."""
    length = -(-n // size())
    return slice(min(rank() * length, n), min((rank() + 1) * length, n))


def gather(part: torch.Tensor, n: int) -> torch.Tensor:
    """Join the parts of n rows.

    Args:
        part: rows of :func:`own_part` (b, m).
        n: rows of all parts.

    Returns:
        All rows (n, m); those of this process carry their gradient.
    """
    if size() == 1:
        return part
    length = -(-n // size())
    filled = part.new_zeros(length, part.shape[1])
    filled[: len(part)] = part.detach()
    parts = [torch.empty_like(filled) for _ in range(size())]
    distributed.all_gather(parts, filled)
    part_of_all = own_part(n)
    rows = torch.cat(parts)[:n]
    return torch.cat([rows[: part_of_all.start], part, rows[part_of_all.stop :]])


def shares(batches: list[NDArray[np.int64]]) -> list[NDArray[np.int64]]:
    """Return the batches that this process embeds; all of them where there are too few to share."""
    return batches if len(batches) < size() else batches[rank() :: size()]


def join_shares(embeddings: NDArray[np.float32], n_batches: int) -> NDArray[np.float32]:
    """Add what the other processes embedded to the rows of this one; others' rows are 0 here.

    Args:
        embeddings: (n, m).
        n_batches: how many :func:`shares` was given.
    """
    if size() == 1 or n_batches < size():
        return embeddings
    rows = torch.from_numpy(embeddings)
    if torch.cuda.is_available():
        rows = rows.cuda()
    distributed.all_reduce(rows)
    return rows.cpu().numpy()


def add_gradients(parts: Iterable[torch.nn.Parameter], wholes: Iterable[torch.nn.Parameter]) -> None:
    """Replace gradients by those of the whole batch; a parameter that no gradient reached counts as 0.

    Args:
        parts: each process has the gradient of its part of the batch.
        wholes: each has that of the whole batch; the mean keeps the processes alike where their digits are not.
    """
    if size() == 1:
        return
    partial, whole = list(parts), list(wholes)
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in (*partial, *whole)]
    for gradient in gradients[len(partial) :]:
        gradient.div_(size())
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    distributed.all_reduce(flat)
    lengths = [gradient.numel() for gradient in gradients]
    for p, gradient in zip((*partial, *whole), torch.split(flat, lengths), strict=True):
        p.grad = gradient.view_as(p)


def in_ranks(n_processes: int, work: Callable[P, R], *args: P.args, **settings: P.kwargs) -> R:
    """Do the same in several processes of this machine, this one among them, and return what it returns here.

    Args:
        n_processes: 1: in this one alone, as if it was called.
        work: of a module; it and what it is given can be pickled.
        args: of it.
        settings: of it, by name.

    Raises:
        ConfigurationError: there are GPUs, and fewer than processes.
        ProcessEndedError: another process failed or was ended.
    """
    if n_processes == 1:
        return work(*args, **settings)
    if torch.cuda.is_available() and torch.cuda.device_count() < n_processes:
        raise ConfigurationError(
            f"{_OPTION} = {n_processes}, but this machine has {torch.cuda.device_count()} GPUs, and each process needs "
            "one: lower it."
        )
    threads = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as folder:
        rendezvous = f"file://{Path(folder).as_posix()}/rendezvous"
        others = _start_others(n_processes, rendezvous, max(1, threads // n_processes), work, args, settings)
        try:
            with _member(0, n_processes, rendezvous, max(1, threads // n_processes)):
                return work(*args, **settings)
        except RuntimeError as exc:  # what gloo and NCCL raise where another process is gone
            _raise_if_gone(others, n_processes, exc)
            raise
        finally:
            torch.set_num_threads(threads)
            for process in others.processes:
                process.kill()
                process.join()


def _start_others(
    n: int, rendezvous: str, threads: int, work: Callable[..., R], args: tuple[object, ...], settings: dict[str, object]
) -> ProcessContext:
    given = (n, rendezvous, threads, work, args, settings)
    with fresh_interpreters():
        context: ProcessContext = start_processes(  # type: ignore[no-untyped-call]
            _other, given, n - 1, join=False, daemon=True, start_method="spawn"
        )
    return context


def _other(
    index: int,
    n: int,
    rendezvous: str,
    threads: int,
    work: Callable[..., object],
    args: tuple[object, ...],
    settings: dict[str, object],
) -> None:
    """Do the work as one of the others, without a word: bars and messages are those of process 0."""
    threading.Thread(target=end_with_parent, daemon=True).start()
    with Path(os.devnull).open("w") as nowhere:
        sys.stdout = sys.stderr = nowhere
        with _member(index + 1, n, rendezvous, threads):
            work(*args, **settings)


@contextlib.contextmanager
def _member(number: int, n: int, rendezvous: str, threads: int) -> Iterator[None]:
    """Be one of the processes: with its share of the threads, and a GPU of its own where there are some."""
    torch.set_num_threads(threads)
    on_gpu = torch.cuda.is_available()
    if on_gpu:
        torch.cuda.set_device(number)
    elif sys.platform == "linux":
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    distributed.init_process_group("nccl" if on_gpu else "gloo", init_method=rendezvous, rank=number, world_size=n)
    try:
        yield
        distributed.barrier()  # none is ended while another still reads what it sent
    finally:
        distributed.destroy_process_group()


def _raise_if_gone(others: ProcessContext, n_processes: int, exc: RuntimeError) -> None:
    """Say so where one of the other processes has ended, and why if it told."""
    for process in others.processes:
        process.join(timeout=_LEAVE_S)
    if all(process.exitcode in (None, 0) for process in others.processes):
        return
    reason: Exception = exc
    try:
        others.join(timeout=0)
    except (ProcessExitedException, ProcessRaisedException) as failure:
        reason = failure
    last_line = str(reason).strip().split("\n")[-1]
    raise ProcessEndedError(
        f"A process of {_OPTION} = {n_processes} ended before its work was done ({last_line}): for want of memory most "
        f"likely; lower {_OPTION}, or set it to 1 to see the reason. What is done stays, and the next run goes on "
        "from it."
    ) from exc
