"""What a step of the demo found: what the client saw, how long it took, and what proves it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import attrs

from rascal.demo.node import Armed, Counters


@attrs.frozen
class Seen:
    """How a client's call ended."""

    seconds: float
    value: Any = None
    error: Exception | None = None

    def __str__(self) -> str:
        """The value, or the exception's class and text, and the time it took."""
        text = repr(self.value) if self.error is None else describe(self.error)
        return f"{text}  after {_short(self.seconds)}"


def attempt(call: Callable[[], Any]) -> Seen:
    """Make a client's call and see how it ends."""
    began = time.perf_counter()
    try:
        value = call()
    except Exception as error:
        return Seen(time.perf_counter() - began, error=error)
    return Seen(time.perf_counter() - began, value)


def describe(error: BaseException) -> str:
    """`pymysql.err.OperationalError: (1213, '…')`."""
    kind = type(error)
    return f"{kind.__module__}.{kind.__qualname__}: {error}"


@attrs.define
class Report:
    """One step, as it went.

    Attributes:
        title, what: what fails, and what that means.
        entries: kind (fault, client, saw, check, counters), label and text, in the order of events.
        checks: whether each check held.
        seconds: how long it took.
    """

    title: str
    what: str
    entries: list[tuple[str, str, str]] = attrs.field(factory=list)
    checks: list[bool] = attrs.field(factory=list)
    seconds: float = 0.0

    def armed(self, fault: Armed) -> None:
        """This fault was armed, in these words."""
        self.entries.append(("fault", fault.proxy, fault.text))

    def did(self, text: str) -> None:
        """What the client asked for."""
        self.entries.append(("client", "client", text))

    def saw(self, seen: Seen | str) -> None:
        """What the client saw."""
        self.entries.append(("saw", "it saw", str(seen)))

    def check(self, text: str, good: bool) -> None:
        """Something that must be so."""
        self.checks.append(bool(good))
        self.entries.append(("check", "yes", text) if good else ("wrong", "NO", text))

    def count(self, armed: Armed, **expected: int) -> Counters:
        """Show a fault's counters; those that are named must have these values."""
        counters = armed.counters
        self.entries.append(("counters", "counters", f"{armed.name}: {counters}"))
        for name, value in expected.items():
            if getattr(counters, name) != value:
                self.check(f"{armed.name}: {name} is {value}", False)
        if not counters.add_up:
            self.check(f"{armed.name}: matched = fired + skipped + reserved", False)
        return counters

    @property
    def good(self) -> bool:
        """Everything was as it should be."""
        return bool(self.checks) and all(self.checks)


def _short(seconds: float) -> str:
    return f"{seconds * 1000:.1f}ms" if seconds < 0.1 else f"{seconds:.2f}s"
