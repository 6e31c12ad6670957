"""Threads are bounded, whatever clients do; what was refused is never done."""

import asyncio
import threading
import time

import pytest

from tailor.serving.work import BusyError, StillRunningError, WorkLimit


@pytest.fixture
def may_end():
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def limit():
    made = WorkLimit(at_once=2, waiting=3, timeout_s=0.1)
    made.on_change = lambda n: setattr(made, "told", n)
    made.on_change(0)
    yield made
    made.close()


def test_what_a_call_returns_or_raises_is_handed_on(limit):
    assert asyncio.run(limit.run(len, "abc")) == 3
    with pytest.raises(ZeroDivisionError):
        asyncio.run(limit.run(lambda: 1 / 0))
    assert limit.told == 0


def test_who_comes_too_late_is_refused_before_anything_is_begun(limit, may_end):
    """2 + 3 of 50 are taken: 2 go on, 3 are never begun, 45 are refused at once."""
    begun = []

    def work(number):
        begun.append(number)
        may_end.wait(10)

    async def ask():
        started = time.perf_counter()
        asked = await asyncio.gather(*(limit.run(work, number) for number in range(50)), return_exceptions=True)
        return asked, time.perf_counter() - started

    told, seconds = asyncio.run(ask())
    assert [type(one) for one in told] == [StillRunningError] * 2 + [BusyError] * 48
    assert sum("as many requests as it takes" in str(one) for one in told) == 45
    assert sum("Not begun within 0.1 s" in str(one) for one in told) == 3
    assert seconds < 5
    assert limit.told == 2  # their clients have gone, their places are taken
    may_end.set()
    assert wait_until(lambda: limit.told == 0)
    assert begun == [0, 1]
    assert asyncio.run(limit.run(len, "ab")) == 2


def test_threads_are_bounded_although_every_client_gives_up(limit, may_end):
    before = {*threading.enumerate()}

    async def ask():
        return await asyncio.gather(*(limit.run(may_end.wait, 10) for _ in range(20)), return_exceptions=True)

    for _ in range(3):
        asyncio.run(ask())
    assert len({*threading.enumerate()} - before) == 2


def test_a_stopped_server_begins_nothing(limit):
    limit.close()
    with pytest.raises(BusyError, match="The server stops"):
        asyncio.run(limit.run(len, ""))
    assert limit.told == 0


def wait_until(condition):
    deadline = time.monotonic() + 10
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


def test_each_change_of_what_is_taken_is_told():
    limit, told = WorkLimit(1, 1, 1.0), []
    limit.on_change = told.append
    assert asyncio.run(limit.run(len, "abc")) == 3
    limit.close()
    assert told == [1, 0]
