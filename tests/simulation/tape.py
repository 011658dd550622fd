"""Writes down which strikes fired and what they made, for the oracle.

The tape listens at the two places where faults and data path meet: `Strike` (it is chosen, fires,
is done) and the functions in acts and shapers that give bytes. It changes nothing. What the
oracle gets are plain `Struck` records: exchange number, act, bytes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rascal.faults.fault import Strike
from rascal.faults.types import Act, Edit, Pace, Reply, Shaper


@dataclass(eq=False)
class Struck:
    """One strike, from its choice to its end.

    Attributes:
        on: the connection. n, command, asked: the exchange (n = -1: the connection itself).
        number: the match number. spec: of the fault as it was then. step: of a script.
        made: what an answer gave: (reply, own requests, close); None: nothing came of it.
        changed: what an edit made of which reply.
        why: the reason that it was done for.
    """

    fault: Any
    on: Any
    n: int
    command: str
    number: int
    spec: Any
    whole: Any
    step: int
    acts: tuple[Act, ...]
    at: float
    fired: float | None = None
    ended: float | None = None
    why: str = ""
    made: tuple[bytes, list[bytes], bool] | None = None
    changed: tuple[bytes, bytes | None] | None = None
    stopped: str = ""
    closes: bool = False
    """When it ended, its fault's on_remove was close."""

    @property
    def name(self) -> str:
        return str(self.fault.name)

    def act(self, *kinds: type[Act]) -> Any:
        """Its act of one of these sorts, if it fired."""
        if self.fired is None:
            return None
        return next((one for one in self.acts if isinstance(one, kinds)), None)


@dataclass
class Edited:
    """Bytes that a shaper changed: where they stand in what the end wrote."""

    at: int
    before: bytes
    after: bytes


class Tape:
    """The record of one run."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self.strikes: list[Struck] = []
        self.by_strike: dict[Strike, Struck] = {}
        self.order: list[tuple[str, Struck]] = []
        """("fired" | "done", which), as it happened."""
        self.terminated: dict[int, list[bytes]] = {}
        """What closed half-sent replies, by id of the session."""
        self.answers: dict[int, bytes] = {}
        """The last error that was said, by id of the session."""
        self.edits: dict[Any, list[Edited]] = {}
        """By end."""
        self.on_fire: Callable[[Struck], None] | None = None

    def of(self, connection: Any) -> list[Struck]:
        """All strikes on a connection, in the order in which they were chosen."""
        return [one for one in self.strikes if one.on is connection]

    def fired(self, connection: Any) -> list[Struck]:
        return [one for one in self.of(connection) if one.fired is not None]

    # -- listening ---------------------------------------------------------------------------------
    def begun(self, strike: Strike) -> None:
        subject = strike.subject
        head = getattr(subject, "head", None)
        struck = Struck(
            fault=strike.fault,
            on=subject.connection,
            n=-1 if subject is subject.connection else subject.n,
            command=head.command if head is not None else "",
            number=strike.n,
            spec=strike.spec,
            whole=strike.fault.spec,
            step=strike.step,
            acts=strike.acts,
            at=self.now(),
        )
        _acts.__set__(strike, self.listen(struck, strike.acts))
        self.strikes.append(struck)
        self.by_strike[strike] = struck

    def anew(self, strike: Strike, acts: tuple[Act, ...]) -> tuple[Act, ...]:
        """A live strike gets other acts: its fault was changed."""
        struck = self.by_strike.get(strike)
        if struck is None:
            return acts
        struck.acts += acts
        return self.listen(struck, acts)

    def listen(self, struck: Struck, acts: tuple[Act, ...]) -> tuple[Act, ...]:
        return tuple(self._listen(act, struck) for act in acts)

    def _listen(self, act: Act, struck: Struck) -> Act:
        if isinstance(act, Reply):
            make = act.make

            def made(subject: Any) -> Any:
                answer = make(subject)
                if answer is not None:
                    own = [bytes(data) for _, data in answer.upstream]
                    struck.made = (bytes(answer.reply), own, answer.close)
                return answer

            return dataclasses.replace(act, make=made)
        if isinstance(act, Edit):
            change = act.change

            def changed(subject: Any, data: bytes) -> bytes | None:
                after = change(subject, data)
                struck.changed = (bytes(data), None if after is None else bytes(after))
                return after

            return dataclasses.replace(act, change=changed)
        if isinstance(act, Pace):
            shaper = act.make
            return dataclasses.replace(act, make=lambda: Heard(shaper(), struck))
        return act

    def went(self, strike: Strike) -> None:
        struck = self.by_strike[strike]
        struck.fired = self.now()
        self.order.append(("fired", struck))
        if self.on_fire is not None:
            self.on_fire(struck)

    def ended(self, strike: Strike, reason: str) -> None:
        struck = self.by_strike[strike]
        struck.closes = struck.fault.spec.on_remove == "close"
        struck.ended, struck.why = self.now(), reason
        self.order.append(("done", struck))


class Heard(Shaper):
    """A shaper, listened to."""

    def __init__(self, shaper: Shaper, struck: Struck) -> None:
        self.shaper = shaper
        self.struck = struck
        self.changes: list[tuple[int, bytes, bytes]] = []

    @property
    def ends(self) -> Any:  # type: ignore[override]
        ends = self.shaper.ends
        if ends:
            self.struck.stopped = ends
        return ends

    def allow(self, now: float, available: int) -> tuple[int, float]:
        return self.shaper.allow(now, available)

    def sent(self, count: int, now: float) -> None:
        self.shaper.sent(count, now)

    def edit(self, data: Any, offset: int) -> Any:
        before = bytes(data)
        after = self.shaper.edit(data, offset)
        assert len(after) == len(before), "an edit changed the length"
        if bytes(after) != before and _current is not None:
            _current.pending_edit(before, bytes(after))
        return after


_current: Recorder | None = None


class Recorder(Tape):
    """The tape that listens now: a context. One at a time."""

    def __init__(self, now: Callable[[], float]) -> None:
        super().__init__(now)
        self._edit: list[tuple[bytes, bytes]] = []

    def pending_edit(self, before: bytes, after: bytes) -> None:
        """A shaper changed bytes: the next write of an end is that of these."""
        self._edit.append((before, after))

    def wrote(self, end: Any, data: Any, at: int) -> None:
        """An end wrote `data` behind `at` bytes."""
        if self._edit:
            first, last = self._edit[0][0], self._edit[-1][1]
            assert bytes(data) == last, "edited bytes were not what was written"
            self.edits.setdefault(end, []).append(Edited(at, first, last))
            self._edit.clear()

    def __enter__(self) -> Recorder:
        global _current
        assert _current is None
        _current = self
        return self

    def __exit__(self, *args: object) -> None:
        global _current
        _current = None


def wrote(end: Any, data: Any, at: int) -> None:
    """Called by MemoryEnd before each write."""
    if _current is not None and _current._edit:
        _current.wrote(end, data, at)


def dropped() -> None:
    """Called by MemoryEnd for a write that goes nowhere."""
    if _current is not None:
        _current._edit.clear()


_acts: Any = Strike.__dict__["acts"]


def _set_acts(self: Strike, acts: tuple[Act, ...]) -> None:
    _acts.__set__(self, acts if _current is None else _current.anew(self, acts))


Strike.acts = property(_acts.__get__, _set_acts)  # type: ignore[misc, assignment]
_init, _fire, _done = Strike.__init__, Strike.fire, Strike.done


def _heard_init(self: Strike, *args: Any, **named: Any) -> None:
    _init(self, *args, **named)
    if _current is not None:
        _current.begun(self)


def _heard_fire(self: Strike) -> None:
    before = self.state
    if _current is not None and before == "chosen":
        _current.went(self)
    _fire(self)


def _heard_done(self: Strike, reason: str = "gone") -> None:
    live = self.live
    if _current is not None and live:
        _current.ended(self, reason)
    _done(self, reason)


Strike.__init__ = _heard_init  # type: ignore[method-assign]
Strike.fire = _heard_fire  # type: ignore[method-assign]
Strike.done = _heard_done  # type: ignore[method-assign]
