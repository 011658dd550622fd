"""The world around one proxy: clients and servers, their habits, and the kernel between.

    Site      one connection: a client, a server, the two wires, and what each has said
    Climate   what this run is like: windows, chunks, how often things go wrong

The world knows the proxy by its bytes only. Every action is drawn from the run's generator, so a
seed is a run.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.simulation.clock import VirtualHangups, VirtualReactor
from tests.simulation.ends import MemoryEnd, Wire
from tests.simulation.models import Model, Reply


@dataclass
class Climate:
    """The habits of a run.

    Attributes:
        window: bytes that a wire takes before its peer reads.
        chunks: how much one read brings.
        requests: at most so many a connection.
        polite: clients wait for replies before they go on.
        rough: how often a peer half-closes, closes, resets.
        garbage: how often a peer sends what is not the protocol.
    """

    windows: tuple[int, ...]
    chunks: tuple[int, ...]
    requests: int
    polite: bool
    rough: float
    garbage: float
    pushes: float
    dials: float

    @classmethod
    def draw(cls, r: random.Random) -> Climate:
        windows = r.choice(((60, 300), (5000,), (1 << 20,), (60, 5000, 1 << 20)))
        chunks = r.choice(((1, 7), (1, 7, 40, 2000), (40, 2000), (2000,), (2000,)))
        return cls(
            windows=windows,
            chunks=chunks,
            requests=r.choice((5, 15, 40)),
            polite=r.random() < 0.3,
            rough=r.choice((0.0, 0.0, 0.002, 0.01)),
            garbage=r.choice((0.0, 0.0, 0.0, 0.002)),
            pushes=r.choice((0.0, 0.05, 0.2)),
            dials=r.choice((0.0, 0.0, 0.2)),
        )


@dataclass(slots=True)
class Sent:
    """A message of the server in its stream: where it begins and ends."""

    start: int
    end: int
    reply: Reply


class Dialling:
    """An attempt to reach the upstream, as the proxy sees it."""

    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Site:
    """One connection and both its peers.

    Attributes:
        troubles: what its peers did that ends it: client-fin, client-left, client-rst,
            server-fin, server-left, server-rst, client-garbage, server-garbage, dial.
        sent: the messages of the server.
        started: bytes that the client has sent.
    """

    def __init__(self, world: World, number: int, model: Model) -> None:
        r = world.rng
        self.world = world
        self.number = number
        self.model = model
        self.rng = r
        self.client = Wire(r.choice(world.climate.windows))
        self.server: Wire | None = None
        self.client_end = MemoryEnd(world.reactor, world.hangups, self.client, f"10.0.0.{number}:9")
        self.server_end: MemoryEnd | None = None
        self.client_end.pause()
        self.connection: Any = None
        self.dialling: Dialling | None = None
        self.dial_count = 0
        self.unsent = bytearray()
        self.said = bytearray()
        self.outbox = bytearray()
        self.sent: list[Sent] = []
        self.told = bytearray()
        self.troubles: set[str] = set()
        self.closes = False
        self.last_got = 0
        self.strict = True

    def note(self, what: str) -> None:
        if self.world.log is not None:
            self.world.log(f"#{self.number} {what}")

    # -- dialling ----------------------------------------------------------------------------------
    def dial(self, connection: Any) -> Dialling:
        self.dial_count += 1
        self.dialling = Dialling()
        return self.dialling

    def answer_dial(self) -> None:
        """The upstream is there, or cannot be reached."""
        dialling, self.dialling = self.dialling, None
        if dialling is None or dialling.cancelled:
            return
        if self.rng.random() < self.world.climate.dials:
            self.troubles.add("dial")
            how = self.rng.choice(("refused", "timeout", "unreachable", "unresolved"))
            self.note(f"dial fails: {how}")
            self.connection.dial_failed(how, "in the simulation")
            return
        world = self.world
        self.server = Wire(self.rng.choice(world.climate.windows))
        end = MemoryEnd(world.reactor, world.hangups, self.server, f"10.1.0.{self.number}:80")
        end.pause()
        self.server_end = end
        self.note("joined")
        self.connection.joined(end)
        self.say(self.model.greeting())

    # -- the client --------------------------------------------------------------------------------
    @property
    def client_open(self) -> bool:
        return not (self.client.fin_in or self.client.gone)

    def make_request(self) -> bool:
        """The client thinks of something more to ask."""
        climate, model = self.world.climate, self.model
        if not self.client_open or len(model.requests) >= climate.requests:
            return False
        if (climate.polite or not model.pipelines) and model.requests:
            if len(self.client.taken) == self.last_got and self.rng.random() > 0.05:
                return False
            if not model.pipelines and self.strict and not model.idle():
                return False
        if self.unsent:
            return False
        if not model.ready():
            return False
        request = model.next()
        self.last_got = len(self.client.taken)
        self.unsent += request.data
        self.note(f"asks {len(model.requests) - 1}: {request.data[:60]!r} ({len(request.data)})")
        return True

    def send(self, count: int) -> bool:
        """The client sends some of what it has to say."""
        if not self.unsent or not self.client_open:
            return False
        data = bytes(self.unsent[:count])
        del self.unsent[:count]
        self.said += data
        self.client.feed(data)
        return True

    def listen(self, count: int) -> bool:
        """The client reads."""
        if not self.client.wire or self.client.gone:
            return False
        data = self.client.take(count)
        if self.strict:
            self.model.hear(data)
        return True

    # -- the server --------------------------------------------------------------------------------
    @property
    def server_open(self) -> bool:
        return self.server is not None and not (self.server.fin_in or self.server.gone)

    def say(self, replies: list[Reply]) -> None:
        """The server answers."""
        for reply in replies:
            start = len(self.told) + len(self.outbox)
            self.sent.append(Sent(start, start + len(reply.data), reply))
            self.outbox += reply.data
            self.closes = self.closes or reply.closes

    def speak(self, count: int) -> bool:
        """What it has said goes on its way."""
        if not self.outbox or not self.server_open:
            return False
        assert self.server is not None
        data = bytes(self.outbox[:count])
        del self.outbox[:count]
        self.told += data
        self.server.feed(data)
        return True

    def serve(self, count: int) -> bool:
        """The server reads and answers."""
        server = self.server
        if server is None or server.gone:
            return False
        if server.wire:
            data = server.take(count)
            if self.server_open:
                for reply in self.model.serve(data):
                    self.say([reply])
                    self.note(f"answers {reply.request}: {reply.data[:60]!r} ({len(reply.data)})")
            return True
        if self.outbox:
            return False
        if self.server_open and (self.closes or self.model.broken):
            self.note("server closes")
            self.troubles.add("server-fin")
            server.fin()
            return True
        if server.over and self.server_open:
            last = self.model.closing()
            if last:
                self.say([Reply(last, what="raw")])
                return True
            self.note("server has seen the end")
            server.fin()
            return True
        return False

    def push(self) -> bool:
        if not self.server_open or self.closes:
            return False
        reply = self.model.push()
        if reply is not None:
            self.say([reply])
        return reply is not None

    # -- trouble -----------------------------------------------------------------------------------
    def disturb(self) -> None:
        """A peer does something rough."""
        r = self.rng
        what = r.choice(
            ("client-fin", "client-fin", "client-left", "client-rst", "server-fin", "server-rst")
        )
        wire = self.client if what[0] == "c" else self.server
        if wire is None or wire.fin_in or wire.gone:
            return
        self.note(what)
        self.troubles.add(what)
        if what.endswith("fin"):
            wire.fin()
        elif what.endswith("left"):
            wire.leave()
        else:
            wire.rst()

    def garble(self) -> None:
        """A peer sends what is no protocol."""
        r = self.rng
        data = r.choice((r.randbytes(30), b"\r\n\0\r\n", b"*99999999999\r\n", b"$-7\r\nx\r\n"))
        if r.random() < 0.5:
            if not self.client_open:
                return
            self.troubles.add("client-garbage")
            self.unsent += data
        else:
            if not self.server_open:
                return
            self.troubles.add("server-garbage")
            self.say([Reply(data, what="garbage")])
        self.strict = False
        self.note(f"garbage: {data[:40]!r}")

    # -- the kernel --------------------------------------------------------------------------------
    def kernel(self, to_client: bool, chunk: int, write: bool) -> bool:
        """Let the proxy read or write one of its ends."""
        end = self.client_end if to_client else self.server_end
        if end is None:
            return False
        return end.turn_write() if write else end.turn_read(chunk)

    def step(self) -> None:
        """One thing happens, if any can."""
        r, climate = self.rng, self.world.climate
        for _ in range(4):
            if self.act(r.random(), r.choice(climate.chunks)):
                break
        if climate.rough and r.random() < climate.rough:
            self.disturb()
        if climate.garbage and r.random() < climate.garbage:
            self.garble()

    def act(self, k: float, size: int) -> bool:
        """Try one thing; whether it could be done."""
        if self.dialling is not None and k > 0.95:
            self.answer_dial()
            return True
        if k < 0.12:
            return self.make_request()
        if k < 0.28:
            return self.send(size)
        if k < 0.44:
            return self.kernel(True, size, False)
        if k < 0.58:
            return self.kernel(False, size, False)
        if k < 0.66:
            return self.kernel(k < 0.62, size, True)
        if k < 0.76:
            return self.listen(size)
        if k < 0.86:
            return self.serve(size)
        if k < 0.96:
            return self.speak(size)
        return self.rng.random() < self.world.climate.pushes and self.push()

    def finish(self) -> bool:
        """Everybody does what there is to do; whether something moved."""
        moved = False
        if self.dialling is not None:
            moved = not self.dialling.cancelled
            self.answer_dial()
        for act in (
            lambda: self.send(1 << 20),
            lambda: self.kernel(True, 2000, False),
            lambda: self.serve(1 << 20),
            lambda: self.speak(1 << 20),
            lambda: self.kernel(False, 2000, False),
            lambda: self.listen(1 << 20),
            lambda: self.kernel(True, 0, True),
            lambda: self.kernel(False, 0, True),
        ):
            moved = act() or moved
        return moved

    def client_ends(self) -> None:
        """The client has what it wants and goes."""
        if self.client_open:
            self.note("client goes")
            self.client.fin()

    @property
    def quiet(self) -> bool:
        """Nothing of this connection is under way outside the proxy."""
        return not (self.unsent or self.outbox or self.client.inbox or self.client.wire) and (
            self.server is None or not (self.server.inbox or self.server.wire)
        )


class World:
    """All of it: the reactor, the sites, the generator."""

    def __init__(self, rng: random.Random, log: Callable[[str], None] | None) -> None:
        self.rng = rng
        self.log = log
        self.reactor = VirtualReactor()
        self.hangups = VirtualHangups()
        self.climate = Climate.draw(rng)
        self.sites: list[Site] = []
