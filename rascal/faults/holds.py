"""Faults that keep something back: for a while, or until they are removed."""

from __future__ import annotations

from typing import Any, ClassVar

from rascal.errors import ConfigError
from rascal.faults.cuts import part_option
from rascal.faults.draw import draw as hashed
from rascal.faults.shapers import StallShaper
from rascal.faults.types import (
    INF,
    Act,
    ConnectHold,
    Direction,
    Draw,
    Hold,
    Kind,
    Level,
    Pace,
    Stall,
    StreamHold,
)
from rascal.options import Distribution, Option, Options, OptionTable
from rascal.wire.types import Moment, WireProtocol

BUFFER = 262_144
"""Bytes a direction that a delay may hold unless told otherwise."""


def stream(draw: Draw) -> int:
    """The key of a stream of draws of one match: for what is drawn once a read or slice."""
    return int(draw(1) * (1 << 53))


class Delay(Kind):
    """Latency."""

    name = "delay"
    datagrams = True
    summary = "Messages arrive later, by a time or a distribution of times."
    faithful = (
        "Order is kept and delays of pipelined messages overlap, so throughput is not cut up to "
        "buffer / delay (256KiB and 100ms: 2.6MB/s a direction). The head of a message is held "
        "and its body queues behind it. Without messages, or per connection, each read is "
        "delayed. Over UDP a datagram waits for itself, and later ones may overtake it."
    )
    options = OptionTable(
        Option("delay", "distribution", "how long", required=True),
        Option(
            "buffer",
            "size",
            "bytes a direction that may wait; throughput is at most buffer / delay",
            default=BUFFER,
            minimum=BUFFER,
            maximum=1 << 26,
        ),
        Option(
            "fin", "flag", "per connection: delay the end of the stream (FIN) too", default=True
        ),
    )
    moments: ClassVar[tuple[Moment, ...]] = ("request", "reply", "connect")
    composes = True
    only_holds = True
    levels: ClassVar[tuple[Level, ...]] = ("message", "connection")
    directional = True

    def act(
        self, options: Options, subject: Any, moment: Moment, draw: Draw, state: Any
    ) -> Act | str:
        if moment in ("request", "reply"):
            return Hold(moment, options.delay.sample(draw))
        if "connect" in options.at:
            return ConnectHold(options.delay.sample(draw))
        return _each_read(options.delay, options.direction, stream(draw), options.fin)


def _each_read(delay: Distribution, direction: Direction, key: int, fin: bool) -> StreamHold:
    def sample(k: int) -> float:
        return delay.sample(lambda lane: hashed(key, k, lane))

    return StreamHold(direction, sample, fin)


class Hang(Kind):
    """Nothing, for as long as it is installed."""

    name = "hang"
    datagrams = True
    summary = "Nothing goes on until the fault is removed, disabled or expires."
    faithful = (
        "As a server that is stuck: the connection is open, its kernel still acknowledges. What "
        "was held is released in order (or its connection closed: on_remove close); using up "
        "`count` releases nothing. A client that hangs up is let go after 10s."
    )
    moments: ClassVar[tuple[Moment, ...]] = ("request", "reply", "connect")
    composes = True
    only_holds = True
    levels: ClassVar[tuple[Level, ...]] = ("message", "connection")
    directional = True

    def act(
        self, options: Options, subject: Any, moment: Moment, draw: Draw, state: Any
    ) -> Act | str:
        if moment in ("request", "reply"):
            return Hold(moment, INF)
        if "connect" in options.at:
            return ConnectHold(INF)
        return StreamHold(options.direction, _for_ever)


def _for_ever(k: int) -> float:
    return INF


class StallReply(Kind):
    """A reply that stops half-way."""

    name = "stall"
    summary = "A reply begins, then stands still in the middle, and may go on later."
    faithful = (
        "As a server or a network that stops in the middle: what came before is delivered, the "
        "rest comes when the time is over or the fault goes. Without messages it counts the "
        "bytes of the connection and direction."
    )
    options = OptionTable(
        Option("after", "size", "bytes that pass before", default=0),
        Option("hold", "duration", "how long it stands still; unset: until the fault goes"),
    )
    moments: ClassVar[tuple[Moment, ...]] = ("during",)
    levels: ClassVar[tuple[Level, ...]] = ("message", "connection")
    directional = True

    def table(self, protocol: WireProtocol) -> OptionTable | None:
        return part_option(self.options, protocol, "pass before, in place of bytes")

    def check(self, options: Options, protocol: WireProtocol, at: tuple[Moment, ...]) -> None:
        options.parts = getattr(options, protocol.part, None) if protocol.part else None
        if options.parts is not None and options.after:
            raise ConfigError(
                f"stall takes bytes (after) or {protocol.part}, not both", option="after"
            )

    def act(
        self, options: Options, subject: Any, moment: Moment, draw: Draw, state: Any
    ) -> Act | str:
        seconds = INF if options.hold is None else options.hold
        if moment == "during":
            if options.parts is not None:
                return Stall(options.parts, "parts", seconds)
            return Stall(options.after, "bytes", seconds)
        return Pace(options.direction, lambda: StallShaper(options.after, seconds))
