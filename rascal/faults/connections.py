"""Faults of whole connections: how many there may be, and how long they live."""

from __future__ import annotations

from typing import Any, ClassVar

from rascal.errors import ConfigError
from rascal.faults.calls import connect_error, error_call, error_option, with_error_options
from rascal.faults.types import Act, Age, Draw, Idle, Kind, Level, Refuse
from rascal.options import Option, Options, OptionTable
from rascal.wire.types import ErrorCall, Moment, WireProtocol


class MaxConnections(Kind):
    """A limit on open connections."""

    name = "max_connections"
    summary = "At most so many connections; further ones are turned away."
    faithful = (
        "Exact where the protocol has an error for it that a server says to a new connection "
        "(MySQL 1040, Redis max number of clients). Without one the connection is accepted and "
        "then reset, where a server with a full accept queue would leave it unanswered."
    )
    options = OptionTable(
        Option("limit", "count", "connections that may be open", required=True, maximum=1_000_000),
        error_option("what those above it are told; the protocol's own, if it has one"),
        Option(
            "then",
            ("reset", "close", "hang"),
            "how they are turned away; reset, or after an error close",
        ),
    )
    levels: ClassVar[tuple[Level, ...]] = ("connection",)
    only_at_start = True

    def table(self, protocol: WireProtocol) -> OptionTable | None:
        return with_error_options(self.options, protocol)

    def check(self, options: Options, protocol: WireProtocol, at: tuple[Moment, ...]) -> None:
        options.call = None
        if options.error is not None:
            options.call = error_call(options.error, options, protocol)
            can_refuse(options.call, protocol)
        elif options.then is None and (spec := connect_error(protocol)) is not None:
            options.call = error_call(spec.name, options, protocol)

    def act(
        self, options: Options, subject: Any, moment: Moment, draw: Draw, state: Any
    ) -> Act | str:
        open_ = 0
        if options.limit:
            for other in subject.gate.connections.values():
                if other is subject or other.ended_by or other.turned_away:
                    continue
                if options.match.matches(other):
                    open_ += 1
                    if open_ >= options.limit:
                        break
            else:
                return "under"
        return Refuse(options.then or ("close" if options.call else "reset"), options.call)


def can_refuse(call: ErrorCall, protocol: WireProtocol) -> None:
    """Whether an error can be said to a connection that has asked nothing. Raises ConfigError."""
    if protocol.greets or "connect" in call.spec.moments:
        return
    known = [spec.name for spec in protocol.errors.values() if "connect" in spec.moments]
    some = f"; errors at connect: {', '.join(known)}" if known else ""
    raise ConfigError(
        f"{protocol.name} says '{call.spec.name}' to a request, not to a new connection{some}",
        option="error",
        value=call.spec.name,
        allowed=known,
    )


class MaxAge(Kind):
    """Connections end when they are old."""

    name = "max_age"
    summary = "Connections end when they reach an age."
    faithful = (
        "As pools, load balancers and servers with a maximum age do it. silent: both sides are "
        "told nothing and the next bytes are answered with RST, as a load balancer that has "
        "forgotten the connection does."
    )
    options = OptionTable(
        Option("age", "distribution", "how old, drawn for each connection", required=True),
        Option(
            "then",
            ("close", "reset", "silent"),
            "how they end: FIN, RST, or dropped without a word",
            default="close",
        ),
        Option(
            "boundary",
            "flag",
            "wait for the end of the exchange under way; no: also in the middle of a message",
            default=True,
        ),
    )
    levels: ClassVar[tuple[Level, ...]] = ("connection",)

    def act(
        self, options: Options, subject: Any, moment: Moment, draw: Draw, state: Any
    ) -> Act | str:
        boundary = options.boundary and subject.protocol.messages
        return Age(options.age.sample(draw), options.then, boundary)


class IdleKill(Kind):
    """Idle connections end."""

    name = "idle_kill"
    summary = "Connections end when no byte has moved for a while."
    faithful = (
        "silent is what load balancers and NAT do: the connection is forgotten, neither side is "
        "told, and the next bytes are answered with RST. close is a server's idle time-out."
    )
    options = OptionTable(
        Option("idle", "duration", "time without a byte", required=True, minimum=0.001),
        Option(
            "then",
            ("close", "reset", "silent"),
            "how they end: FIN, RST, or dropped without a word",
            default="close",
        ),
    )
    levels: ClassVar[tuple[Level, ...]] = ("connection",)

    def act(
        self, options: Options, subject: Any, moment: Moment, draw: Draw, state: Any
    ) -> Act | str:
        return Idle(options.idle, options.then)
