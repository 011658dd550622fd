"""Faults that end things: connections at a moment, replies in the middle."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from rascal.errors import ConfigError
from rascal.faults.calls import error_call, error_option, with_error_options
from rascal.faults.shapers import LimitShaper
from rascal.faults.types import Act, Cut, Discard, Draw, End, Kind, Level, Pace
from rascal.options import Option, Options, OptionTable
from rascal.wire.types import Moment, WireProtocol


def part_option(own: OptionTable, protocol: WireProtocol, help_: str) -> OptionTable:
    """A kind's options, after the first the protocol's part (rows, items, chunks)."""
    if not protocol.part:
        return own
    first, *rest = own.values()
    part = Option(protocol.part, "count", f"{protocol.part} that {help_}")
    return OptionTable(first, part, *rest)


class _Ending(Kind):
    """The connection ends at a moment."""

    then: ClassVar[Literal["close", "reset"]]
    options = OptionTable(
        Option(
            "after",
            "size",
            "bytes of the reply that pass first; without messages, bytes of the connection",
        ),
    )
    moments: ClassVar[tuple[Moment, ...]] = ("request", "reply", "during", "connect")
    levels: ClassVar[tuple[Level, ...]] = ("message", "connection")
    directional = True

    def usual(self, options: Options, protocol: WireProtocol) -> tuple[Moment, ...]:
        return ("request",) if options.after is None else ("during",)

    def check(self, options: Options, protocol: WireProtocol, at: tuple[Moment, ...]) -> None:
        if options.after is not None and at != ("during",):
            raise ConfigError(
                f"{self.name} after so many bytes strikes during the reply, not at {at[0]}",
                option="after",
            )

    def act(
        self, options: Options, subject: Any, moment: Moment, draw: Draw, state: Any
    ) -> Act | str:
        if moment == "during":
            return Cut(options.after or 0, "bytes", self.then)
        if moment == "connect" and options.after is not None:
            return Pace(options.direction, lambda: LimitShaper(options.after, self.then))
        return End(moment, self.then)


class Reset(_Ending):
    """RST."""

    name = "reset"
    summary = "The connection is reset (RST) at a moment."
    faithful = (
        "As a crashed process or a firewall that cuts. The client gets RST, the upstream FIN. "
        "RST cannot be ordered behind bytes that the client's kernel has not handed over yet: "
        "they may be lost, as in life. With hold the bytes of one direction vanish from the "
        "first on, and both sides get RST."
    )
    then = "reset"
    options = OptionTable(
        *_Ending.options.values(),
        Option(
            "hold",
            "duration",
            "per connection: drop what comes, and reset both sides so long after the first byte",
        ),
    )

    def usual(self, options: Options, protocol: WireProtocol) -> tuple[Moment, ...]:
        return ("during",) if options.hold is not None else super().usual(options, protocol)

    def shape(self, options: Options) -> Literal["listener", "connection", "message"] | None:
        return None if options.hold is None else "connection"

    def check(self, options: Options, protocol: WireProtocol, at: tuple[Moment, ...]) -> None:
        super().check(options, protocol, at)
        if options.hold is not None and options.after is not None:
            raise ConfigError("reset takes after=… or hold=…, not both", option="hold")

    def act(
        self, options: Options, subject: Any, moment: Moment, draw: Draw, state: Any
    ) -> Act | str:
        if options.hold is not None:
            return Discard(options.direction, options.hold, "reset", first=True, fin=False)
        return super().act(options, subject, moment, draw, state)


class Close(_Ending):
    """FIN."""

    name = "close"
    summary = "The connection is closed (FIN) at a moment."
    faithful = "As a server that closes in an orderly way, both legs by FIN, behind what was sent."
    then = "close"


class Truncate(Kind):
    """Half a reply."""

    name = "truncate"
    summary = "A reply is cut after so many bytes or parts, and the connection ends, or not."
    faithful = (
        "Cut where the next part begins, so that no byte of it is out. end and error close the "
        "reply as the protocol does (its terminator, or an error in the middle) and the "
        "connection goes on; what is left of the upstream's reply is dropped."
    )
    options = OptionTable(
        Option("bytes", "size", "bytes that pass"),
        Option(
            "then",
            ("close", "reset", "hang", "end", "error"),
            "what follows: the connection's end, silence, the reply's legal end, or an error",
        ),
        error_option("the error in the middle of the reply; needs no then"),
    )
    moments: ClassVar[tuple[Moment, ...]] = ("during",)

    def table(self, protocol: WireProtocol) -> OptionTable | None:
        if not protocol.messages:
            return None
        table = part_option(self.options, protocol, "pass")
        return with_error_options(table, protocol) if _can_end(protocol) else table

    def check(self, options: Options, protocol: WireProtocol, at: tuple[Moment, ...]) -> None:
        options.parts = getattr(options, protocol.part, None) if protocol.part else None
        units = f"bytes=… or {protocol.part}=…" if protocol.part else "bytes=…"
        if (options.parts is None) == (options.bytes is None):
            both = "not both" if options.parts is not None else "none is given"
            raise ConfigError(f"truncate takes {units}, {both}", option="bytes")
        options.call = None
        then = options.then or ("error" if options.error is not None else "close")
        if options.error is not None:
            if then != "error":
                raise ConfigError(f"'error' has no meaning with then={then}", option="error")
            options.call = error_call(options.error, options, protocol)
        elif then == "error":
            raise ConfigError("then=error lacks its error: write error=NAME", option="then")
        if then in ("end", "error") and not _can_end(protocol):
            raise ConfigError(
                f"{protocol.name} cannot end a reply that is half sent; then: close, reset or hang",
                option="then" if options.then else "error",
                allowed=("close", "reset", "hang"),
            )
        if then in ("end", "error") and options.parts is None:
            raise ConfigError(
                f"{then} closes a reply between two of its parts: write "
                f"{protocol.part or 'another then'}=… in place of bytes",
                option="bytes",
            )
        options.then = then

    def act(
        self, options: Options, subject: Any, moment: Moment, draw: Draw, state: Any
    ) -> Act | str:
        if options.parts is not None:
            return Cut(options.parts, "parts", options.then, options.call)
        return Cut(options.bytes, "bytes", options.then, options.call)


def _can_end(protocol: WireProtocol) -> bool:
    """Whether the protocol can end a reply that is half sent."""
    return type(protocol).terminate is not WireProtocol.terminate
