"""Blocking calls from coroutines: made in a thread, awaited in whatever loop runs.

    data = await away(lambda: client.get("db", "delay"))

In a task of asyncio the loop goes on meanwhile, in a coroutine of Twisted the reactor; where
there is neither the call is simply made. Nothing of Twisted is imported unless it is there already.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")

THREADS = 4


async def away(function: Callable[[], T], undo: Callable[[T], Any] | None = None) -> T:
    """What the function gives; it runs in a thread.

    Args:
        function: blocks for a short time.
        undo: is called with what the function gave if the caller was cancelled meanwhile.
    """
    task, reactor = _where()
    if task is None and reactor is None:
        return function()
    future = _threads().submit(function)
    if task is not None:
        return await _in_asyncio(future, undo)
    found: T = await _in_twisted(reactor, future, undo)
    return found


async def pause(seconds: float) -> None:
    """Sleep; the loop goes on."""
    task, reactor = _where()
    if task is not None:
        await asyncio.sleep(seconds)
    elif reactor is not None:
        from twisted.internet.task import deferLater

        await deferLater(reactor, seconds)
    else:
        time.sleep(seconds)  # noqa: ASYNC251  (no loop that we know)


def _where() -> tuple[Any, Any]:
    """The task of asyncio that we run in, or Twisted's reactor if there is one (under trial a test
    begins before it runs)."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        task = None
    if task is not None:
        return task, None
    return None, sys.modules.get("twisted.internet.reactor")


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS, thread_name_prefix="rascal-testing")


async def _in_asyncio(future: Future[T], undo: Callable[[T], Any] | None) -> T:
    try:
        return await asyncio.shield(asyncio.wrap_future(future))
    except asyncio.CancelledError:
        _undo(future, undo)
        raise


def _in_twisted(reactor: Any, future: Future[T], undo: Callable[[T], Any] | None) -> Any:
    from twisted.internet.defer import Deferred

    waiting: Any = Deferred(lambda _: _undo(future, undo))

    def fire() -> None:
        if waiting.called:
            return
        error = future.exception()
        if error is None:
            waiting.callback(future.result())
        else:
            waiting.errback(error)

    future.add_done_callback(lambda _: reactor.callFromThread(fire))
    return waiting


def _undo(future: Future[T], undo: Callable[[T], Any] | None) -> None:
    """Undo what was done, when it is done."""
    if undo is None:
        return
    whole = undo

    def done(finished: Future[T]) -> None:
        if finished.exception() is None:
            whole(finished.result())

    future.add_done_callback(done)
