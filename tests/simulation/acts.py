"""Faults of every act that the data path knows, made directly: a kind is what act it gives.

The product's own kinds are installed by sentences (sentences.py). Here the space of acts is
walked on its own, so that each meets each at every moment, whatever the kinds are today.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import Any

from rascal.faults.matching import ALWAYS, Matcher
from rascal.faults.spec import FaultSpec, RouletteSpec, ScriptSpec
from rascal.faults.types import (
    INF,
    Act,
    Age,
    CloseHold,
    ConnectHold,
    Cut,
    Discard,
    Edit,
    End,
    Hold,
    Idle,
    Kind,
    Lose,
    Pace,
    Refuse,
    Repeat,
    Reply,
    Shaper,
    Stall,
    StreamHold,
)
from rascal.options import Options
from rascal.wire.types import Answer, ErrorCall, Moment, WireProtocol

Make = Callable[[Moment, Any], Act | str]


class ActKind(Kind):
    """A kind that is one function."""

    summary = faithful = "for the simulation"

    def __init__(
        self,
        name: str,
        make: Make,
        *moments: Moment,
        holds: bool = False,
        repairs: bool = False,
        at_start: bool = False,
        level: str = "message",
    ) -> None:
        self.name = name  # type: ignore[misc]
        self.make = make
        self.moments = moments  # type: ignore[misc]
        self.composes = self.only_holds = holds  # type: ignore[misc]
        self.repairs = repairs  # type: ignore[misc]
        self.only_at_start = at_start  # type: ignore[misc]
        self.levels = (level,)  # type: ignore[misc, assignment]

    def act(
        self, options: Options, subject: Any, moment: Moment, draw: Any, state: Any
    ) -> Act | str:
        return self.make(moment, draw)


# -- shapers ---------------------------------------------------------------------------------------


class Rate(Shaper):
    """So many bytes a second, in small steps."""

    def __init__(self, rate: float, step: int) -> None:
        self.rate, self.step, self.due = rate, step, 0.0

    def allow(self, now: float, available: int) -> tuple[int, float]:
        if now < self.due:
            return 0, self.due
        return min(available, self.step), now

    def sent(self, count: int, now: float) -> None:
        self.due = max(self.due, now) + count / self.rate


class Limit(Shaper):
    """So many bytes, then the end."""

    def __init__(self, count: int, then: Any) -> None:
        self.left, self.then = count, then

    def allow(self, now: float, available: int) -> tuple[int, float]:
        return min(available, self.left), now if self.left else INF

    def sent(self, count: int, now: float) -> None:
        self.left -= count
        if not self.left:
            self.ends = self.then


class Flip(Shaper):
    """Turns a bit of every so manieth byte."""

    def __init__(self, step: int) -> None:
        self.step = step

    def edit(self, data: Any, offset: int) -> Any:
        changed = bytearray(data)
        for at in range(-offset % self.step, len(changed), self.step):
            changed[at] ^= 1
        return bytes(changed)


# -- random specifications -------------------------------------------------------------------------

THENS = ("close", "reset", "hang")


def _errors(r: random.Random, protocol: WireProtocol, moment: Moment) -> ErrorCall:
    specs = [
        one
        for one in protocol.errors.values()
        if moment in (one.moments or ("request", "reply")) and not one.commands
    ]
    return ErrorCall(r.choice(specs))


def _answers(
    r: random.Random, protocol: WireProtocol, plain: Callable[[Any], bytes]
) -> Callable[[Moment], Callable[[Any], Answer | None]]:
    """Makers of answers by moment: an error, or a plain reply."""
    calls: dict[Moment, ErrorCall | None] = {}
    for moment in ("request", "reply"):
        calls[moment] = _errors(r, protocol, moment) if protocol.errors else None

    def make(moment: Moment, subject: Any) -> Answer | None:
        call = calls[moment]
        if call is None:
            return Answer(plain(subject))
        return protocol.answer(subject.session, subject.head, call)

    return lambda moment: partial(make, moment)


SORTS = (
    *("hold", "hold", "draw", "both", "hang", "answer", "answer", "answer", "lose", "end"),
    *("lose_request", "cut", "cut", "cut", "stall", "repeat", "edit", "edit"),
)
FOCUS = ("answer", "cut", "edit", "repeat", "stall", "lose", "both")
"""Kinds that a run may have alone."""


def message_kind(
    r: random.Random,
    protocol: WireProtocol,
    plain: Callable[[Any], bytes],
    parts: bool,
    focus: str | None,
) -> tuple[ActKind, tuple[Moment, ...]]:
    """A kind about messages, and where it strikes."""
    seconds = r.choice((0.01, 0.5, 3.0))
    then: Any = r.choice(THENS)
    moment: Moment = r.choice(("request", "reply"))
    unit: Any = "parts" if parts and r.random() < 0.7 else "bytes"
    after = r.choice((0, 1, 2, 5)) if unit == "parts" else r.choice((0, 1, 10, 500))
    k = focus or r.choice(SORTS)
    if k == "hold":
        return ActKind(k, lambda m, d: Hold(m, seconds), holds=True), (moment,)
    if k == "draw":
        return ActKind(k, lambda m, d: Hold(m, d(1) * 2), holds=True), (moment,)
    if k == "both":
        return ActKind(k, lambda m, d: Hold(m, d(1) * 2), holds=True), ("request", "reply")
    if k == "hang":
        return ActKind(k, lambda m, d: Hold(m, INF), holds=True), (moment,)
    if k == "answer":
        make = _answers(r, protocol, plain)
        return ActKind(k, lambda m, d: Reply(m, make(m)), repairs=True), (moment,)
    if k == "lose":
        return ActKind(k, lambda m, d: Lose(m, then)), ("reply",)
    if k == "lose_request":
        return ActKind(k, lambda m, d: Lose(m, then)), ("request",)
    if k == "end":
        how: Any = r.choice(("close", "reset"))
        return ActKind(k, lambda m, d: End(m, how)), (moment,)
    if k == "cut":
        if r.random() < 0.5:
            then = "error" if unit == "parts" and protocol.errors and r.random() < 0.5 else "end"
            if unit == "bytes":
                then = r.choice(THENS)
        call = _errors(r, protocol, "reply") if then == "error" else None
        return ActKind(k, lambda m, d: Cut(after, unit, then, call)), ("during",)
    if k == "stall":
        length = r.choice((0.5, 3.0, INF))
        return ActKind(k, lambda m, d: Stall(after, unit, length)), ("during",)
    if k == "repeat":
        limit = r.choice((100, 65536))
        return ActKind(k, lambda m, d: Repeat(limit)), ("request",)
    change = r.choice((lambda x, data: plain(x), lambda x, data: None))
    limit = r.choice((50, 65536))
    return ActKind(k, lambda m, d: Edit(change, limit)), ("reply",)


def connection_kind(r: random.Random) -> ActKind:
    """A kind about connections and bytes."""
    way: Any = r.choice(("to_upstream", "to_client", "both"))
    seconds = r.choice((0.05, 0.5, 3.0))
    then: Any = r.choice(("close", "reset", "silent"))
    k = r.choice(
        [
            "lag",
            "lag",
            "lag",
            "rate",
            "rate",
            "limit",
            "flip",
            "close_hold",
            "discard",
            "age",
            "idle",
            "refuse",
            "wait",
        ]
    )
    if k == "lag":
        lag = r.choice((0.01, 0.5, INF))
        return ActKind(
            k, lambda m, d: StreamHold(way, lambda n: lag), holds=True, level="connection"
        )
    if k == "rate":
        rate, step = r.choice((500.0, 5000.0)), r.choice((1, 64))
        return ActKind(k, lambda m, d: Pace(way, lambda: Rate(rate, step)), level="connection")
    if k == "limit":
        count, end = r.choice((1, 100, 2000)), r.choice(("close", "reset"))
        return ActKind(k, lambda m, d: Pace(way, lambda: Limit(count, end)), level="connection")
    if k == "flip":
        every = r.choice((7, 100))
        return ActKind(k, lambda m, d: Pace(way, lambda: Flip(every)), level="connection")
    if k == "close_hold":
        return ActKind(k, lambda m, d: CloseHold(way, seconds), level="connection")
    if k == "discard":
        after = r.choice((0.5, INF))
        return ActKind(k, lambda m, d: Discard(way, after), level="connection")
    if k == "age":
        edge = r.random() < 0.5
        return ActKind(k, lambda m, d: Age(seconds, then, edge), level="connection")
    if k == "idle":
        return ActKind(k, lambda m, d: Idle(seconds, then), level="connection")
    if k == "refuse":
        how: Any = r.choice(THENS)
        return ActKind(k, lambda m, d: Refuse(how), at_start=True, level="connection")
    wait = r.choice((0.5, INF))
    return ActKind(k, lambda m, d: ConnectHold(wait), holds=True, at_start=True, level="connection")


def matcher(r: random.Random, protocol: WireProtocol) -> Matcher:
    """Two of the four keys; at times the reply's status; at times everything."""
    names = {field.name for field in protocol.fields}
    k = r.random()
    by_path = "path" in names
    if k < 0.25 or not names & {"key", "path"}:
        return ALWAYS
    if k < 0.35:
        low = r.randrange(1, 6)
        return Matcher(lambda x: x.value("n") is not None and x.value("n") >= low)
    texts = tuple(f"k{n}" for n in r.sample(range(4), 2))
    words = frozenset(text.upper().encode() for text in texts)
    prefix = "/" if by_path else ""
    texts = tuple(prefix + text for text in texts)
    keys: tuple[Any, Any] = (texts, tuple(text.encode() for text in texts))

    def begins(value: Any) -> bool:
        return value.startswith(keys[isinstance(value, bytes)]) if value else False

    def matches(x: Any) -> bool:
        value = x.value("path") if by_path else x.value("key")
        return any(map(begins, value)) if isinstance(value, tuple) else begins(value)

    if k < 0.45 and "reply" in names:
        return Matcher(lambda x: matches(x) and x.value("reply") not in (None, "OK"), reply=True)
    return Matcher(matches, words=words if r.random() < 0.5 else None)


def single(
    r: random.Random,
    name: str,
    protocol: WireProtocol,
    plain: Any,
    focus: str | None = None,
    **more: Any,
) -> FaultSpec:
    """One fault, at random."""
    streams = not protocol.messages or (r.random() < 0.15 and not focus)
    match = ALWAYS
    at: tuple[Moment, ...] = ()
    if streams:
        kind = connection_kind(r)
    else:
        kind, at = message_kind(r, protocol, plain, protocol.part is not None, focus)
        match = matcher(r, protocol)
        if match.reply and "request" in at:
            match = ALWAYS
    clauses: dict[str, Any] = {
        "probability": r.choice((1.0, 1.0, 0.3)),
        "skip": r.choice((0, 0, 2)),
        "every": r.choice((1, 1, 3)),
        "count": r.choice((None, None, 1, 3)),
        "lasts": r.choice((None, None, None, 1.0)),
        "enabled": r.random() < 0.95,
        "on_remove": r.choice(("release", "release", "close")),
    }
    clauses.update(more)
    return FaultSpec(
        name=name,
        kind=kind,
        options=Options(),
        protocol=protocol,
        match=match,
        at=at,
        level="connection" if streams else "message",
        only_at_start=kind.only_at_start,
        phrase=None,  # type: ignore[arg-type]
        text=f"{kind.name} at {at} {clauses}",
        **clauses,
    )


def specification(
    r: random.Random, name: str, protocol: WireProtocol, plain: Any, focus: str | None = None
) -> Any:
    """A fault, a script or a roulette, at random."""
    k = r.random()
    if not protocol.messages or k < 0.75 or focus:
        return single(r, name, protocol, plain, focus)
    parts: list[FaultSpec] = []
    while len(parts) < r.randrange(1, 5):
        part = single(r, f"{name}.{len(parts)}", protocol, plain, skip=0, every=1, count=None)
        if part.level == "message" and not part.match.reply:
            parts.append(part)
    match = parts[0].match
    text = " | ".join(part.text for part in parts)
    if k < 0.88:
        steps = [*parts, *(None for _ in range(r.randrange(3)))]
        r.shuffle(steps)
        return ScriptSpec(name=name, match=match, steps=tuple(steps), text="script " + text)
    share = round(r.choice((0.3, 0.9)) / len(parts), 3)
    choices = tuple(_shared(part, share) for part in parts)
    return RouletteSpec(
        name=name,
        choices=choices,
        match=match,
        count=r.choice((None, 2)),
        every=r.choice((1, 2)),
        text="roulette " + text,
    )


def _shared(part: FaultSpec, share: float) -> FaultSpec:
    import attrs

    return attrs.evolve(part, probability=share)
