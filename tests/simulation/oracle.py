"""What must come out, from three lists only: requests sent, replies given, strikes that fired.

The oracle knows nothing of the relay: neither queues nor modes. It says what each side may have
seen (a prefix of it while things are under way, all of it at rest), when held messages may leave,
and whether the counters add up. Invariants are numbered as in the design of the data path.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from rascal.faults.types import (
    Age,
    ConnectHold,
    Cut,
    Discard,
    Edit,
    End,
    Hold,
    Idle,
    Lose,
    Pace,
    Refuse,
    Repeat,
    Reply,
    Stall,
    StreamHold,
)
from tests.simulation import models
from tests.simulation.models import Model, Request
from tests.simulation.tape import Edited, Struck
from tests.simulation.world import Sent, Site

ENDS = (Age, Idle, Discard, Refuse, End, Lose)
INF = float("inf")
GREETING = -1


class Broken(AssertionError):
    """An invariant does not hold."""

    def __init__(self, number: int, what: str) -> None:
        super().__init__(f"invariant {number}: {what}")
        self.number = number


@dataclass
class Expected:
    """What one connection must show.

    Attributes:
        up: what the upstream gets, without the proxy's own requests. down: what the client gets,
            without pushes and interim replies.
        edges: offsets in `down` between two messages.
        own: the proxy's own requests, in order of their making.
        whole: at rest all of it has arrived.
    """

    up: bytes = b""
    down: bytes = b""
    edges: set[int] = field(default_factory=lambda: {0})
    own: list[bytes] = field(default_factory=list)
    whole: bool = True
    whole_up: bool = True
    outstanding: bool = False


def by_request(requests: list[Request], strikes: list[Struck]) -> dict[int, list[Struck]]:
    """Strikes by the index of their request: n counts those that are asked, from 1."""
    asked = [i for i, one in enumerate(requests) if one.asked]
    found: dict[int, list[Struck]] = {}
    for struck in strikes:
        if struck.n < 0:
            continue
        if struck.n > 0:
            if struck.n > len(asked):
                raise Broken(7, f"{struck.name} struck request {struck.n}, which was not sent")
            index = asked[struck.n - 1]
        elif struck.command == "CONNECT":
            index = GREETING
        else:
            index = next(
                i
                for i, one in enumerate(requests)
                if not one.asked and one.command == struck.command
            )
        found.setdefault(index, []).append(struck)
    return found


def expect(
    model: Model,
    sent: list[Sent],
    strikes: list[Struck],
    cuts: list[bytes],
    told: int | None = None,
) -> Expected:
    """Recompute both streams. `cuts`: what closed the half-sent replies, in their order; `told`:
    the server has closed behind so many bytes, perhaps before it had read or said all."""
    e = Expected()
    cuts = list(cuts)
    mine = by_request(model.requests, strikes)
    finals: dict[int | None, Sent] = {}
    for one in sent:
        if one.reply.what == "reply" and not one.reply.again:
            index = GREETING if model.greets and one is sent[0] else one.reply.request
            finals.setdefault(index, one)
    quiet = model.quiet()
    e.own = [data for s in strikes if s.fired is not None and s.made for data in s.made[1]]
    stop_down = False
    first = GREETING if model.greets else 0
    for index in range(first, len(model.requests)):
        acts = mine.get(index, [])
        if index >= 0 and not model.requests[index].replies:
            check_noreply(acts)
        answer = _one(acts, Reply, "request") or _one(acts, Reply, "connect")
        if answer is not None:
            assert answer.made is not None
            if not stop_down:
                e.down += answer.made[0]
                e.edges.add(len(e.down))
            if answer.made[2]:
                stop_down = True
                e.whole = e.whole_up = False
            continue
        if _one(acts, (Lose, End), "request") is not None:
            e.whole = e.whole_up = False
            break
        if index >= 0:
            request = model.requests[index]
            e.up += request.data + (request.data if _one(acts, Repeat) else b"")
            if quiet(request):
                continue
        if stop_down:
            continue
        final = finals.get(index)
        unsaid = told is not None and (final is None or final.start >= told)
        if unsaid and index >= 0 and model.may_be_silent(model.requests[index]):
            # Not answered; but that looks as if it had been done without a word.
            final = Sent(0, 0, models.Reply(b"", index))
        if final is None:
            e.outstanding = stop_down = True
            continue
        data = final.reply.data
        replace = _one(acts, Reply, "reply") or _one(acts, Reply, "greeting")
        if replace is not None:
            assert replace.made is not None
            e.down += replace.made[0]
            e.edges.add(len(e.down))
            if replace.made[2]:
                stop_down = True
                e.whole = e.whole_up = False
            continue
        if _one(acts, (Lose, End), "reply") is not None:
            stop_down = True
            e.whole = e.whole_up = False
            continue
        edit = _one(acts, Edit)
        if edit is not None and edit.changed is not None and edit.changed[1] is not None:
            if edit.changed[0] != data:
                raise Broken(2, f"{edit.name} edited {edit.changed[0][:80]!r}, not {data[:80]!r}")
            data = edit.changed[1]
        cut = _one(acts, Cut)
        if cut is not None:
            act = cut.act(Cut)
            at = act.after if act.unit == "bytes" else final.reply.parts[act.after]
            data = data[:at]
            if act.then in ("error", "end"):
                data += cuts.pop(0)
            else:
                stop_down = True
                e.whole = e.whole_up = False
        e.down += data
        e.edges.add(len(e.down))
        if _one(acts, (End,), "during") is not None:
            stop_down = True
            e.whole = e.whole_up = False
    return e


def check_noreply(acts: list[Struck]) -> None:
    """3: a request without a reply can only be held."""
    for struck in acts:
        if struck.fired is not None and not all(isinstance(act, Hold) for act in struck.acts):
            raise Broken(3, f"{struck.name} struck a request that is never answered")


def _one(acts: list[Struck], kinds: Any, moment: str | None = None) -> Struck | None:
    kinds = kinds if isinstance(kinds, tuple) else (kinds,)
    for struck in acts:
        act = struck.act(*kinds)
        if act is not None and (moment is None or getattr(act, "moment", None) == moment):
            return struck
    return None


def unedited(taken: bytes, edits: list[Edited]) -> bytes:
    """The bytes as they were before shapers changed them."""
    data = bytearray(taken)
    for one in reversed(edits):
        end = min(len(data), one.at + len(one.after))
        if end > one.at:
            if data[one.at : end] != one.after[: end - one.at]:
                raise Broken(2, f"other bytes than those that were edited at {one.at}")
            data[one.at : end] = one.before[: end - one.at]
    return bytes(data)


# -- the streams -----------------------------------------------------------------------------------


def check_up(model: Model, taken: bytes, e: Expected, final: bool) -> None:
    """1 and 3: what the upstream got, less the proxy's own requests."""
    seen, own = taken, list(e.own)
    if own:
        seen, found = strip_own(model, taken, own)
        if final and e.whole_up and found != len(own):
            raise Broken(3, f"{len(own)} own requests were due, {found} were written")
    if not e.up.startswith(seen):
        raise Broken(1, f"the upstream got {_differ(e.up, seen)}")
    if final and e.whole_up and seen != e.up:
        raise Broken(1, f"the upstream got {len(seen)} of {len(e.up)} bytes")


def strip_own(model: Model, taken: bytes, own: list[bytes]) -> tuple[bytes, int]:
    """Take the proxy's own requests out, which stand between messages, in their order."""
    rest, kept, found = bytearray(taken), bytearray(), 0
    while rest:
        ours = found < len(own) and rest.startswith(own[found])
        if ours and bytes(own[found]) not in model.index:
            del rest[: len(own[found])]
            found += 1
            continue
        size = model.split(rest)
        if not size:
            if found < len(own) and own[found].startswith(bytes(rest)):
                rest.clear()
            kept += rest
            break
        kept += rest[:size]
        del rest[:size]
    return bytes(kept), found


def check_down(taken: bytes, sent: list[Sent], e: Expected, final: bool, whole: bool) -> None:
    """2, 3: what the client got, less pushes and interim replies, which keep their order."""
    got = taken
    aside = [
        one.reply.data
        for one in sent
        if one.reply.what in ("push", "interim") and not one.reply.again
    ]
    if aside:
        got, count = strip_aside(taken, aside, e)
        if final and whole and count != len(aside):
            raise Broken(2, f"{count} of {len(aside)} pushes arrived")
    if not e.down.startswith(got):
        raise Broken(2, f"the client got {_differ(e.down, got)}")
    if final and whole and got != e.down:
        raise Broken(2, f"the client got {len(got)} of {len(e.down)} bytes")


def strip_aside(taken: bytes, aside: list[bytes], e: Expected) -> tuple[bytes, int]:
    """Take pushes out where they stand: between messages, each once, in order."""
    kept, at, count = bytearray(), 0, 0
    edges = sorted(e.edges)
    edge = 0
    while at < len(taken):
        while edge < len(edges) and edges[edge] < len(kept):
            edge += 1
        if edge < len(edges) and edges[edge] == len(kept):
            moved = True
            while moved:
                moved = False
                for n in range(count, len(aside)):
                    if taken.startswith(aside[n], at):
                        at += len(aside[n])
                        if n != count:
                            raise Broken(2, f"push {n} came before push {count}")
                        count = n + 1
                        moved = True
                        break
            begins = count < len(aside) and at < len(taken) and aside[count].startswith(taken[at:])
            if begins and not e.down.startswith(bytes(kept) + taken[at:]):
                break  # the beginning of a push
            edge += 1
        stop = edges[edge] if edge < len(edges) else len(e.down)
        step = max(1, stop - len(kept))
        kept += taken[at : at + step]
        at += step
    return bytes(kept), count


def check_raw(said: bytes, told: bytes, up: bytes, down: bytes, final: bool) -> None:
    """4: nothing struck, so both streams are what was sent, byte for byte."""
    if not said.startswith(up):
        raise Broken(4, f"the upstream got {_differ(said, up)}")
    if not told.startswith(down):
        raise Broken(4, f"the client got {_differ(told, down)}")
    if final:
        if up != said:
            raise Broken(4, f"the upstream got {len(up)} of {len(said)} bytes")
        if down != told:
            raise Broken(4, f"the client got {len(down)} of {len(told)} bytes")


def _differ(want: bytes, got: bytes) -> str:
    at = next((i for i, (a, b) in enumerate(zip(want, got, strict=False)) if a != b), len(want))
    lo = max(0, at - 40)
    return (
        f"other bytes from {at} of {len(got)} (expected {len(want)}): "
        f"{got[lo:at]!r} then {got[at : at + 60]!r} instead of {want[at : at + 60]!r}"
    )


# -- time ------------------------------------------------------------------------------------------


def when(marks: list[tuple[int, float]], offset: int) -> float | None:
    """When the byte at `offset` was read or written."""
    lo, hi = 0, len(marks)
    while lo < hi:
        mid = (lo + hi) // 2
        if marks[mid][0] > offset:
            hi = mid
        else:
            lo = mid + 1
    return marks[lo][1] if lo < len(marks) else None


def ready(at: float, holds: list[tuple[Struck, float]]) -> float:
    """When a message that came `at` may leave: its holds add up, until they are let go."""
    live = list(holds)
    leave = at + sum(seconds for _, seconds in live)
    early = sorted(
        (s.ended, n) for n, (s, _) in enumerate(live) if s.ended is not None and s.why != "gone"
    )
    gone: set[int] = set()
    for ended, n in early:
        if ended >= leave:
            break
        gone.add(n)
        rest = sum(seconds for k, (_, seconds) in enumerate(live) if k not in gone)
        leave = max(ended, at + rest)
    return leave


EPSILON = 1e-9


def check_times(
    name: str,
    messages: list[tuple[int, int, list[tuple[Struck, float]]]],
    reads: list[tuple[int, float]],
    writes: list[tuple[int, float]],
    now: float,
    exact: bool,
) -> None:
    """6: no message leaves before its time, nor (with holds as the only faults) after it."""
    low = high = 0.0
    for number, (start, end, holds) in enumerate(messages):
        stop = end
        if start == end:  # known to be silent when the next one comes
            stop = next((one[1] for one in messages[number:] if one[1] > end), end + 1)
        first, last = when(reads, start), when(reads, stop - 1)
        if first is None:
            return
        low = max(low, ready(first, holds))
        left = when(writes, start) if start < end else None
        if left is not None and left < low - EPSILON:
            raise Broken(6, f"{name} at {start} left at {left}, not before {low}; came at {first}")
        if last is None:
            return
        high = max(high, ready(last, holds))
        if start == end:
            continue
        if exact and (left is None or left > high + EPSILON) and high < now:
            raise Broken(6, f"{name} at {start} left at {left}, due at {high}; came at {last}")


def holds_of(strikes: list[Struck], *moments: str) -> list[tuple[Struck, float]]:
    return [
        (s, act.seconds)
        for s in strikes
        if s.fired is not None
        for act in s.acts
        if isinstance(act, Hold) and act.moment in moments
    ]


# -- counters --------------------------------------------------------------------------------------

_MASK = (1 << 64) - 1


def chance(key: int, n: int, lane: int = 0) -> float:
    """The draw, written again: splitmix64's finaliser over key, match number and lane."""
    z = (key ^ (n * 0x9E3779B97F4A7C15) ^ (lane << 56)) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return (z ^ (z >> 31)) / float(1 << 64)


def check_counters(fault: Any, changed: Any = ()) -> None:
    """7, at every step."""
    total = fault.fired + sum(fault.skipped.values()) + fault.reserved
    if fault.matched != total:
        raise Broken(
            7,
            f"{fault.name}: matched {fault.matched}, fired {fault.fired}, reserved "
            f"{fault.reserved}, skipped {dict(fault.skipped)}",
        )
    if fault.reserved < 0:
        raise Broken(7, f"{fault.name}: reserved {fault.reserved}")
    count = getattr(fault.spec, "count", None)
    if count is not None and fault.used > count and fault not in changed:
        raise Broken(7, f"{fault.name}: used {fault.used} of {count}")


def check_choice(struck: Struck) -> None:
    """7: what was chosen follows from the match number alone."""
    n, spec = struck.number, struck.whole
    if getattr(spec, "steps", ()):
        if struck.step != n or spec.steps[n] is not struck.spec:
            raise Broken(7, f"{struck.name}: step {struck.step} for match {n}")
        return
    if n < spec.skip or (n - spec.skip + 1) % spec.every:
        raise Broken(7, f"{struck.name}: match {n} struck, skip {spec.skip} every {spec.every}")
    drawn = chance(struck.fault.key, n)
    choices = getattr(spec, "choices", None)
    if choices:
        for choice in choices:
            drawn -= choice.probability
            if drawn < 0:
                if choice is not struck.spec:
                    raise Broken(7, f"{struck.name}: another choice than drawn for match {n}")
                return
        raise Broken(7, f"{struck.name}: match {n} struck, drawn none")
    if drawn >= spec.probability:
        raise Broken(7, f"{struck.name}: match {n} struck against a draw of {drawn}")


# -- the end of a connection -----------------------------------------------------------------------


def may_end(site: Site, strikes: list[Struck]) -> bool:
    """9: somebody had a reason to end it before its peers did."""
    if site.troubles or site.closes:
        return True
    for s in strikes:
        if s.fired is None:
            continue
        if s.act(*ENDS) is not None or s.stopped:
            return True
        cut = s.act(Cut)
        if cut is not None and cut.then not in ("error", "end"):
            return True
        if s.made is not None and s.made[2]:
            return True
        if s.act(Edit, Cut, Reply) is not None and site.model.name in PIVOTS:
            return True
        held = s.act(Hold, Stall, StreamHold, ConnectHold)
        if held is not None and s.closes:
            return True
    return False


PIVOTS = ("redis", "http", "mysql")
"""Protocols whose replies may change the meaning of later bytes: replaced, both legs close."""

__all__ = ["ENDS", "Broken", "Expected", "Pace", "expect"]
