"""Faults for the length of a block, and what is known of them inside and afterwards.

with db.fault("hang match statement=SELECT") as hang:            a Fault: it blocks
    ...
async with db.fault("hang match statement=SELECT") as hang:      an AsyncFault: it is awaited
    ...

enter ──► installed ──► leave: removed, whatever happened; what it held is let go
                               if nothing went wrong and it never struck: FaultMissed
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, Self

from rascal.control.client import Client, Collection, FaultData, Refused, Unproven
from rascal.control.client import Standing as Known
from rascal.errors import ConfigError, RascalError
from rascal.testing import _report as report
from rascal.testing._away import away, pause
from rascal.testing._errors import FaultMissed, NotYet

if TYPE_CHECKING:
    from rascal.testing._node import Node
    from rascal.testing._proxy import Proxy

Duration = str | timedelta
"""`2s`, `250ms`, `1m30s`, or a timedelta; a bare number is refused."""

Condition = Callable[[Any], Any]

PATIENCE = "5s"
"""How long is waited unless it is said."""

SHORTEST, LONGEST = 0.001, 0.02
"""Seconds between two looks while waiting."""


def seconds_of(value: Duration, what: str = "timeout") -> float:
    """A duration in seconds. Raises ConfigError for a bare number."""
    if isinstance(value, timedelta):
        return value.total_seconds()
    if not isinstance(value, str):
        raise ConfigError(
            f"{what}={value!r} has no unit: write {what}='{value}s' or a timedelta",
            option=what,
            value=value,
            code="unit-missing",
        )
    from rascal.language import parse, plain

    return float(plain(parse("duration", value)))


class Standing(Known):
    """A fault, script, roulette or recipe of a block.

    Attributes:
        proxy, name: where it is.
        data: the latest that is known of it, as the control API tells it.
        over: whether the block is left.
        began, until: seconds since the epoch.
    """

    def __init__(self, owner: Proxy, collection: Collection, data: FaultData) -> None:
        super().__init__(owner.name, collection, data)
        self.began = time.time()
        self.until = float("inf")
        self._owner = owner

    def verify(self, fired: int | None = None) -> None:
        """Raise FaultMissed unless it fired (so often); of a script, unless all steps were used.

        The message names the steps that were not used, and those that came to nothing.
        """
        __tracebackhide__ = True
        try:
            super().verify(fired)
        except Unproven as error:
            raise FaultMissed(f"{error}{self._seen()}") from None

    def newest(self) -> FaultData:
        """The latest data that can be had; raises nothing."""
        with suppress(RascalError):
            self._look()
        return self.data

    def _call(self, function: Callable[[Client], Any]) -> Any:
        return self._owner.node.call(function)

    def _look(self) -> FaultData:
        if not self.over:
            self.data = self._call(lambda c: c.get(self.proxy, self.name, self.collection))
        return self.data

    def _arm(self, on: bool) -> FaultData:
        change = {"enabled": on}
        self.data = self._call(
            lambda c: c.change(self.proxy, self.name, change, collection=self.collection)
        )
        return self.data

    def _seen(self) -> str:
        """The last exchanges, below a message."""
        lines = report.seen(self._owner, self.began)
        return "".join(f"\n  {line}" for line in [f"the last exchanges of {self._owner}:", *lines])

    @property
    def _missed(self) -> bool:
        """Whether it has proved nothing."""
        data = self.data
        if data["fired"]:
            return False
        steps = [one for one in data.get("steps", []) if not one["text"].startswith("pass")]
        return "steps" not in data or bool(steps) or not data["matched"]


class Fault(Standing):
    """What `with db.fault(…) as fault` gives; its numbers are the latest whenever they are read."""

    def _now(self) -> FaultData:
        return self._look()

    def look(self) -> FaultData:
        """All that the control API tells of it now."""
        return self._look()

    def wait(
        self, condition: Condition | None = None, *, timeout: Duration = PATIENCE, **numbers: int
    ) -> Self:
        """Block until the condition holds and each of the numbers is reached.

        Args:
            condition: is called with this object.
            timeout: for how long; then NotYet is raised.
            numbers: matched=, fired=, waiting=, reached=: at least so many.
        """
        __tracebackhide__ = True
        waiting = _Waiting(self, condition, numbers, timeout)
        while not waiting.over(self._look()):
            time.sleep(waiting.pause)
        return self

    def wait_until_stuck(self, n: int = 1, timeout: Duration = PATIENCE) -> Self:
        """Block until n clients are stuck in it: until it holds n exchanges or connections."""
        __tracebackhide__ = True
        return self.wait(timeout=timeout, waiting=n)

    def release(self) -> None:
        """Let go what it holds, in order; it strikes no more until `arm`."""
        self._arm(False)

    def arm(self) -> None:
        """Let it strike again; a count begins anew."""
        self._arm(True)


class AsyncFault(Standing):
    """What `async with db.fault(…) as fault` gives. Its numbers are those of the last look; `look`
    and the waits look."""

    async def look(self) -> FaultData:
        """All that the control API tells of it now."""
        return await away(self._look)

    async def wait(
        self,
        condition: Condition | None = None,
        *,
        timeout: Duration = PATIENCE,  # noqa: ASYNC109  (it raises NotYet, which says more)
        **numbers: int,
    ) -> Self:
        """Wait as Fault.wait does; the loop goes on."""
        __tracebackhide__ = True
        waiting = _Waiting(self, condition, numbers, timeout)
        while not waiting.over(await away(self._look)):
            await pause(waiting.pause)
        return self

    async def wait_until_stuck(
        self,
        n: int = 1,
        timeout: Duration = PATIENCE,  # noqa: ASYNC109
    ) -> Self:
        """Wait until n clients are stuck in it: until it holds n exchanges or connections."""
        return await self.wait(timeout=timeout, waiting=n)

    async def release(self) -> None:
        """Let go what it holds, in order; it strikes no more until `arm`."""
        await away(lambda: self._arm(False))

    async def arm(self) -> None:
        """Let it strike again; a count begins anew."""
        await away(lambda: self._arm(True))


class _Waiting:
    """One wait: what for, until when, and how long to the next look."""

    NUMBERS = ("matched", "fired", "waiting", "reached")

    def __init__(
        self,
        fault: Standing,
        condition: Condition | None,
        numbers: dict[str, int],
        timeout: Duration,
    ) -> None:
        unknown = next((name for name in numbers if name not in self.NUMBERS), None)
        if unknown is not None:
            raise TypeError(f"wait() counts {', '.join(self.NUMBERS)}, not '{unknown}'")
        if condition is None and not numbers:
            numbers = {"fired": 1}
        self.fault = fault
        self.condition = condition
        self.numbers = numbers
        self.deadline = time.monotonic() + seconds_of(timeout)
        self.timeout = timeout
        self.pause = SHORTEST / 2

    def over(self, data: FaultData) -> bool:
        """Whether it holds. Raises NotYet when it is too late."""
        __tracebackhide__ = True
        known: Any = data
        reached = all(known.get(name, 0) >= least for name, least in self.numbers.items())
        if reached and (self.condition is None or self.condition(self.fault)):
            return True
        if time.monotonic() >= self.deadline:
            raise NotYet(self._message(data))
        self.pause = min(self.pause * 2, LONGEST)
        return False

    def _message(self, data: FaultData) -> str:
        wanted = [f"{name}={least}" for name, least in self.numbers.items()]
        if self.condition is not None:
            wanted.append(getattr(self.condition, "__name__", "the condition"))
        what = f"{self.fault.proxy}/{self.fault.name} {data['text']}"
        return (
            f"not within {self.timeout}: {', '.join(wanted)}; {what}: {report.counted(data)}"
            f"{self.fault._seen()}"
        )


class Block:
    """Something that stands while a block runs; enter it with `with` or with `async with`.

    Args:
        owner: the proxy.
        collection: where it is installed.
        data: what is asked for.
        may_miss: leaving the block does not fail if it never struck.
        seed: of all draws of the node while the block runs.
    """

    def __init__(
        self,
        owner: Proxy,
        collection: Collection,
        data: dict[str, Any],
        *,
        may_miss: bool = False,
        seed: int | None = None,
    ) -> None:
        self._owner = owner
        self._collection = collection
        self._data = data
        self._may_miss = may_miss
        self._seed = seed
        self._earlier: int | None = None
        self._standing: Any = None

    def __enter__(self) -> Fault:
        __tracebackhide__ = True
        self._standing = found = self._enter(Fault)
        assert isinstance(found, Fault)
        return found

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> Literal[False]:
        __tracebackhide__ = True
        self._leave(self._standing, failed=kind is not None)
        return False

    async def __aenter__(self) -> AsyncFault:
        __tracebackhide__ = True
        found = await away(
            lambda: self._enter(AsyncFault), lambda made: self._leave(made, failed=True)
        )
        self._standing = found
        assert isinstance(found, AsyncFault)
        return found

    async def __aexit__(self, kind: type[BaseException] | None, *error: object) -> Literal[False]:
        __tracebackhide__ = True
        await away(lambda: self._leave(self._standing, failed=kind is not None))
        return False

    # ---- what blocks

    def _enter(self, make: type[Fault] | type[AsyncFault]) -> Standing:
        node = self._owner.node
        __tracebackhide__ = True
        self._set_seed(node)
        try:
            data = self._install(node)
        except BaseException:
            self._restore_seed(node)
            raise
        found = make(self._owner, self._collection, data)
        node.standing.append(found)
        node.journal.append(found)
        return found

    def _install(self, node: Node) -> FaultData:
        __tracebackhide__ = True
        lease = node.lease()
        given = self._data if lease is None else {**self._data, "lease": lease}
        try:
            return node.call(lambda c: c.add(self._owner.name, given, collection=self._collection))
        except Refused as error:
            refused = error
        told = Refused(refused.status, refused.problem)
        for one in refused.errors:
            if note := _picture(given, one):
                told.add_note(note)
        raise told  # without the calls that led there, which say nothing to who wrote the sentence

    def _leave(self, standing: Standing, *, failed: bool) -> None:
        __tracebackhide__ = True
        node = self._owner.node
        if standing in node.standing:
            node.standing.remove(standing)
        try:
            self._remove(node, standing)
        except RascalError:
            if not failed:
                raise
        finally:
            standing.over = True
            standing.until = time.time()
            self._restore_seed(node)
        if not failed and not self._may_miss and standing._missed:
            data = standing.data
            raise FaultMissed(
                f"{standing.proxy}/{standing.name} {data['text']} never struck: "
                f"{report.counted(data)}; may_miss=True allows that{standing._seen()}"
            )

    def _remove(self, node: Node, standing: Standing) -> None:
        where, name = standing.proxy, standing.name
        try:
            standing.data = node.call(lambda c: c.remove(where, name, collection=self._collection))
        except Refused as error:
            if error.status != 404:  # somebody has removed it before us
                raise

    # ---- the seed

    def _set_seed(self, node: Node) -> None:
        if self._seed is None:
            return
        if node.standing:
            names = ", ".join(f"{one.proxy}/{one.name}" for one in node.standing)
            raise ConfigError(
                f"seed= begins all draws and scripts of the node anew, and {names} stands: "
                "give it to the outermost block",
                option="seed",
            )
        self._earlier = node.seed
        node.call(lambda client: client.set_seed(self._seed))

    def _restore_seed(self, node: Node) -> None:
        earlier, self._earlier = self._earlier, None
        if earlier is not None:
            with suppress(RascalError):
                node.call(lambda client: client.set_seed(earlier))


def _picture(given: dict[str, Any], problem: dict[str, Any]) -> str:
    """The text that a problem is about, and where in it the problem is."""
    text: Any = given
    for part in str(problem.get("pointer") or "/text").split("/")[1:]:
        text = text.get(part) if isinstance(text, dict) else None
    column = problem.get("column")
    if not isinstance(text, str) or not isinstance(column, int) or "\n" in text:
        return ""
    word = re.match(r"[\w.-]+", text[column - 1 :])
    return f"  {text}\n  {' ' * (column - 1)}{'^' * (len(word[0]) if word else 1)}"
