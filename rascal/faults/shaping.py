"""Faults on bytes, with or without a codec: slow, sliced, limited, garbled.

They act behind the codec, on what leaves for the client or the upstream, each connection and
direction for itself.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, ClassVar

from rascal.errors import ConfigError
from rascal.faults.draw import draw as hashed
from rascal.faults.holds import stream
from rascal.faults.shapers import CorruptShaper, LimitShaper, SliceShaper, ThrottleShaper
from rascal.faults.types import Act, CloseHold, Draw, Kind, Level, Pace, Shaper
from rascal.options import Option, Options, OptionTable
from rascal.wire.types import Moment, WireProtocol


class _OnBytes(Kind):
    levels: ClassVar[tuple[Level, ...]] = ("connection",)
    directional = True


class Throttle(_OnBytes):
    """A slow line."""

    name = "throttle"
    datagrams = True
    summary = "Bytes leave at a rate, for each connection and direction."
    faithful = (
        "As a slow line of its own for each connection: in steps of 10ms, exact over time; what "
        "does not fit waits, and its sender is not read beyond 256KiB. A line that connections "
        "share is not imitated. A datagram leaves whole; beyond 64KiB they are dropped."
    )
    options = OptionTable(
        Option("rate", "throughput", "bytes per second; 0: none pass", required=True),
    )

    def check(self, options: Options, protocol: WireProtocol, at: tuple[Moment, ...]) -> None:
        if 0 < options.rate < 1:
            raise ConfigError("rate is at least 1B/s, or 0: nothing passes", option="rate")

    def act(
        self, options: Options, subject: Any, moment: Moment, draw: Draw, state: Any
    ) -> Act | str:
        return Pace(options.direction, lambda: ThrottleShaper(options.rate))


class Slice(_OnBytes):
    """Many small pieces."""

    name = "slice"
    summary = "Bytes leave in small pieces."
    faithful = (
        "Each piece is a write of its own, with TCP_NODELAY, so it usually travels as one "
        "segment; kernels may join pieces that follow each other without a pause."
    )
    options = OptionTable(
        Option("size", "size", "bytes of a piece", required=True, minimum=1),
        Option("vary", "size", "pieces are larger or smaller by up to this", default=0),
        Option("delay", "duration", "pause after each piece", default=0.0),
    )

    def check(self, options: Options, protocol: WireProtocol, at: tuple[Moment, ...]) -> None:
        if options.vary >= options.size:
            raise ConfigError("vary is less than size: a piece has at least a byte", option="vary")

    def act(
        self, options: Options, subject: Any, moment: Moment, draw: Draw, state: Any
    ) -> Act | str:
        low, span = options.size - options.vary, 2 * options.vary + 1
        keys = _keys(draw)

        def make() -> Shaper:
            key = next(keys)
            return SliceShaper(lambda k: low + int(hashed(key, k, 1) * span), options.delay)

        return Pace(options.direction, make)


class Trickle(_OnBytes):
    """Byte by byte."""

    name = "trickle"
    summary = "A few bytes at a time, with a pause after each."
    faithful = (
        "As a peer that writes byte by byte: every read of the other side is short, and time-outs "
        "that start anew with each byte never strike."
    )
    options = OptionTable(
        Option("delay", "duration", "pause after each", required=True, minimum=0.001),
        Option("size", "size", "bytes at a time", default=1, minimum=1),
    )

    def act(
        self, options: Options, subject: Any, moment: Moment, draw: Draw, state: Any
    ) -> Act | str:
        return Pace(options.direction, lambda: SliceShaper(lambda k: options.size, options.delay))


class Limit(_OnBytes):
    """So far and no further."""

    name = "limit"
    summary = "The connection ends after so many bytes, in the middle of whatever it is."
    faithful = "Exact to the byte, counted for each connection and direction from its start."
    options = OptionTable(
        Option("bytes", "size", "bytes that pass; 0: it ends with the first", required=True),
        Option("then", ("close", "reset"), "how it ends: FIN or RST", default="close"),
    )

    def act(
        self, options: Options, subject: Any, moment: Moment, draw: Draw, state: Any
    ) -> Act | str:
        return Pace(options.direction, lambda: LimitShaper(options.bytes, options.then))


class Corrupt(_OnBytes):
    """Wrong bytes."""

    name = "corrupt"
    datagrams = True
    summary = "Some bytes arrive as others."
    faithful = (
        "As memory or software that garbles what TCP's checksum has already passed: a struck byte "
        "always differs, the length stays. It may put the peer out of step, never the proxy."
    )
    options = OptionTable(
        Option("share", "percentage", "share of the bytes, each with this probability"),
        Option("gap", "size", "instead: every so many bytes", minimum=1),
    )

    def check(self, options: Options, protocol: WireProtocol, at: tuple[Moment, ...]) -> None:
        if (options.share is None) == (options.gap is None):
            raise ConfigError("corrupt takes share=… or gap=…, one of them", option="share")
        if options.share is not None and not 0 < options.share <= 1:
            raise ConfigError("share is above 0% and at most 100%", option="share")

    def act(
        self, options: Options, subject: Any, moment: Moment, draw: Draw, state: Any
    ) -> Act | str:
        keys = _keys(draw)
        return Pace(
            options.direction, lambda: CorruptShaper(next(keys), options.share, options.gap)
        )


class SlowClose(_OnBytes):
    """The end comes late."""

    name = "slow_close"
    summary = "The end of the stream (FIN) is passed on later."
    faithful = "As a peer that is slow to close: what was sent is delivered, FIN follows late."
    options = OptionTable(
        Option("delay", "distribution", "how much later", required=True),
    )

    def act(
        self, options: Options, subject: Any, moment: Moment, draw: Draw, state: Any
    ) -> Act | str:
        return CloseHold(options.direction, options.delay.sample(draw))


def _keys(draw: Draw) -> Iterator[int]:
    """Keys of streams of draws: another for each direction."""
    key = stream(draw)
    return (key ^ (number << 53) for number in itertools.count())
