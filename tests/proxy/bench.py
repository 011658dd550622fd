"""A bench for playbooks: one connection of the toy protocol between two peers in memory.

    bench = Bench(fault)                what is armed
    bench.client(Q(1)); bench.server(ok(1))     who says what
    assert bench.got == ... ; assert bench.seen == ...

Everything runs at once unless a clock is waited for: `bench.wait(seconds)`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from rascal.faults.matching import ALWAYS, Matcher, compile_match
from rascal.faults.spec import FaultSpec, ScriptSpec
from rascal.language import parse
from rascal.options import Options
from rascal.proxy.budget import Budget
from rascal.proxy.connection import Connection
from rascal.proxy.gate import Gate
from tests.simulation.acts import ActKind
from tests.simulation.clock import VirtualHangups, VirtualReactor
from tests.simulation.ends import MemoryEnd, Wire
from tests.simulation.toy import Toy, frame

LOGIN = frame("L", 0, b"kL")
GREETING = frame("G", 0, b"hi")


def query(tag: bytes, size: int = 0) -> bytes:
    """A request; its key is the first two bytes of the tag."""
    return frame("Q", 0, tag.ljust(2) + b"." * size)


def ok(tag: bytes) -> bytes:
    return frame("O", 1, tag)


def rows(*tags: bytes) -> bytes:
    """A reply of rows."""
    found = frame("H", 1, b"")
    for seq, tag in enumerate(tags, 2):
        found += frame("r", seq, tag)
    return found + frame("E", len(tags) + 2, b"")


def error(tag: bytes, seq: int = 1) -> bytes:
    return frame("X", seq, tag)


def fault(make: Callable[..., Any], *at: Any, name: str = "f", **more: Any) -> FaultSpec:
    """`make(moment, draw)` gives the act."""
    kind_options = {
        key: more.pop(key) for key in ("holds", "repairs", "at_start", "level") if key in more
    }
    kind = ActKind(name, make, *at, **kind_options)
    clauses: dict[str, Any] = {"match": ALWAYS, **more}
    return FaultSpec(
        name=name,
        kind=kind,
        options=Options(),
        protocol=Toy(),
        at=at,
        level="message" if at else "connection",
        only_at_start=kind.only_at_start,
        phrase=None,  # type: ignore[arg-type]
        text=name,
        **clauses,
    )


def script(*steps: FaultSpec | None, name: str = "f") -> ScriptSpec:
    return ScriptSpec(name=name, match=ALWAYS, steps=steps, text=name)


def keyed(key: bytes) -> Matcher:
    """Matches requests with this key."""
    return Matcher(lambda x: x.value("key") == key)


def compiled(text: str) -> Matcher:
    """A match as users write it."""
    return compile_match(parse("match", text, fields=Toy.fields), Toy())


class Bench:
    """Both peers of one connection, and the proxy between them."""

    def __init__(self, *specs: Any, logged_in: bool = True, window: int = 1 << 20) -> None:
        self.reactor = VirtualReactor()
        self.hangups = VirtualHangups()
        self.gate = Gate("p", Toy(), Options(), self.reactor, Budget())
        self.left = Wire(window)
        self.right = Wire(window)
        end = MemoryEnd(self.reactor, self.hangups, self.left, "10.0.0.1:9")
        end.pause()
        self.connection = Connection(self.gate, end, lambda connection: self)
        self.connection.start()
        upstream = MemoryEnd(self.reactor, self.hangups, self.right, "10.0.0.2:80")
        upstream.pause()
        self.ends = (end, upstream)
        self.connection.joined(upstream)
        if logged_in:
            self.server(GREETING)
            self.client(LOGIN)
            self.server(ok(b"in"))
            assert (self.got, self.seen) == (GREETING + ok(b"in"), LOGIN)
        for spec in specs:
            self.gate.add(spec)

    def cancel(self) -> None:
        """It is also what dialling returns."""

    def turn(self, chunk: int = 1 << 20) -> None:
        """Let the proxy read and write all that it may."""
        self.wait(0.0)
        while any(end.turn_read(chunk) or end.turn_write() for end in self.ends):
            pass
        assert not self.reactor.failures, self.reactor.failures[0]

    def client(self, data: bytes, chunk: int = 1 << 20) -> None:
        """The client sends."""
        self.left.feed(data)
        self.turn(chunk)

    def server(self, data: bytes, chunk: int = 1 << 20) -> None:
        """The upstream sends."""
        self.right.feed(data)
        self.turn(chunk)

    def wait(self, seconds: float) -> None:
        self.reactor.advance(self.reactor.now() + seconds)

    @property
    def got(self) -> bytes:
        """What the client got since it was asked last."""
        return self.left.take(1 << 30)

    @property
    def seen(self) -> bytes:
        """What the upstream saw since it was asked last."""
        return self.right.take(1 << 30)
