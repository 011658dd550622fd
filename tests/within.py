"""A bound for everything that a test waits for."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import deferLater

T = TypeVar("T")


def within(
    seconds: float, awaitable: Deferred[T] | Coroutine[Any, Any, T], clock: Any = None
) -> Deferred[T]:
    """The same, but it fails with TimeoutError if it takes longer."""
    if clock is None:
        from twisted.internet import reactor as clock
    return ensureDeferred(awaitable).addTimeout(seconds, clock)


async def until(
    condition: Callable[[], T], what: str = "", seconds: float = 5.0, every: float = 0.005
) -> T:
    """Let the reactor run until the condition holds; its value."""
    from twisted.internet import reactor

    deadline = reactor.seconds() + seconds  # type: ignore[attr-defined]
    while not (found := condition()):
        assert reactor.seconds() < deadline, f"not within {seconds} s: {what or condition}"  # type: ignore[attr-defined]
        await deferLater(reactor, every)  # type: ignore[arg-type]
    return found
