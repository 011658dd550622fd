"""Faults that lose things: a request, a reply, everything."""

from __future__ import annotations

from typing import Any, ClassVar

from rascal.faults.types import INF, Act, Discard, Draw, Kind, Level, Lose
from rascal.options import Option, Options, OptionTable
from rascal.wire.types import Moment

_THEN = Option(
    "then",
    ("hang", "close", "reset"),
    "what the client sees: nothing any more, FIN, or RST",
    default="hang",
)


class LoseRequest(Kind):
    """The upstream never hears of it."""

    name = "lose_request"
    datagrams = True
    summary = "The request is lost on its way: the upstream never sees it."
    faithful = (
        "As a network that is cut before the request arrives. Later requests of the connection "
        "are not forwarded either: in an ordered protocol a missing reply must not be followed "
        "by another. With then=hang the connection is closed when the fault goes. Over UDP this "
        "one datagram is lost, and no more."
    )
    options = OptionTable(_THEN)
    moments: ClassVar[tuple[Moment, ...]] = ("request",)

    def act(
        self, options: Options, subject: Any, moment: Moment, draw: Draw, state: Any
    ) -> Act | str:
        return Lose("request", options.then)


class LoseReply(Kind):
    """It is done, and the client never learns."""

    name = "lose_reply"
    datagrams = True
    summary = "The upstream has done the work, its reply is lost."
    faithful = (
        "As a network that is cut, or a server that dies, after the commit and before the reply. "
        "Replies before it are delivered, nothing after it: what the client had pipelined "
        "behind is done by the upstream, too. With then=hang the connection is closed when the "
        "fault goes. Over UDP this one datagram is lost, and no more."
    )
    options = OptionTable(_THEN)
    moments: ClassVar[tuple[Moment, ...]] = ("reply",)

    def act(
        self, options: Options, subject: Any, moment: Moment, draw: Draw, state: Any
    ) -> Act | str:
        return Lose("reply", options.then)


class Blackhole(Kind):
    """Everything is dropped in silence."""

    name = "blackhole"
    datagrams = True
    summary = "What arrives is dropped, nothing is answered."
    faithful = (
        "As a silent drop behind an established connection, with one difference: our kernel "
        "still acknowledges the bytes, so senders notice only by their own time-outs. The "
        "connection is always closed when the fault goes, for its bytes are lost. Over UDP it is "
        "exact, and nothing is closed."
    )
    options = OptionTable(
        Option("close_after", "duration", "close so long after the last bytes; unset: never"),
        Option(
            "idle",
            "flag",
            "the time runs from the start too: connections without a byte are closed as well",
            default=False,
        ),
        Option("fin", "flag", "pass the end of the stream (FIN) on", default=True),
    )
    levels: ClassVar[tuple[Level, ...]] = ("connection",)
    directional = True

    def act(
        self, options: Options, subject: Any, moment: Moment, draw: Draw, state: Any
    ) -> Act | str:
        after = INF if options.close_after is None else options.close_after
        return Discard(options.direction, after, idle=options.idle, fin=options.fin)
