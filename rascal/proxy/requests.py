"""Client to upstream: requests are answered, lost, sent twice or forwarded at their turn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rascal.errors import ProtocolError
from rascal.faults.fault import Strike
from rascal.faults.types import End, Lose, Repeat, Reply
from rascal.proxy.exchange import EXCHANGE_COST, PLAIN, Exchange
from rascal.proxy.relay import NOTHING, Item, Relay
from rascal.wire.types import Buffer, Codec, Head, Piece

if TYPE_CHECKING:
    from rascal.proxy.connection import Connection


class RequestRelay(Relay):
    """Client to upstream."""

    __slots__ = ("injections",)
    to_upstream = True

    def __init__(
        self, connection: Connection, source: Any, target: Any, codec: Codec | None
    ) -> None:
        super().__init__(connection, source, target, codec)
        self.injections: list[tuple[Head, bytes]] = []

    def again(self) -> None:
        """Ask the codec about the bytes that it kept back."""
        if self.mode == "skim":
            self.data_skim(b"")
        elif self.mode in ("watch", "hold"):
            self.take(b"", self.mode == "hold")

    def sift(self, view: Buffer) -> bool:
        connection = self.connection
        codec = self.codec
        assert codec is not None
        if (
            not connection.gate.passes(view)
            or self.injections
            or connection.rewrites[0]
            or not self.straight()
            or codec.undecided()
            or (self.current is not PLAIN and codec.under_way())
        ):
            return False
        watch = self.mode == "watch"
        try:
            codec.skim(view)
        except ProtocolError as error:
            self.put(view if watch else view[: max(0, len(view) - len(codec.undecided()))])
            connection.desync(self, error)
            return True
        kept = 0 if watch else len(codec.undecided())
        self.put(view[: len(view) - kept] if kept else view)
        self.current = PLAIN
        self.open = codec.under_way() != ""
        if connection.kicks:
            connection.kick(self)
        if self.target.rest or self.source.rest:
            self.flow()
        return True

    def dropping(self) -> bool:
        x = self.current
        return (
            x is not None
            and not x.forwarded
            and self.codec is not None
            and self.codec.under_way() != ""
        )

    def meet(
        self, piece: Piece, struck: bool
    ) -> tuple[Exchange | None, list[tuple[Strike, float]]]:
        if piece.start is None:
            return self.current, NOTHING
        connection = self.connection
        gate = connection.gate
        head = piece.start
        books = connection.books
        n = books.count = books.count + 1 if head.asked else books.count
        crowded = connection.cost and not self.queue and connection.crowded()
        if crowded or not gate.sees(connection, head, n if head.asked else 0):
            if crowded:
                gate.overlook(connection, head, n if head.asked else 0)
            self.current = PLAIN
            return PLAIN, NOTHING
        x = self.current = Exchange(connection, n if head.asked else 0, head, gate.clock.now())
        x.size = len(piece.data)
        x.cost = EXCHANGE_COST + 2 * x.size
        connection.charge(x.cost)
        if not struck:
            # Its first bytes are out (observe, or the mode changed): only what strikes later may.
            if self.mode == "watch":
                gate.ask(x)
            return x, NOTHING
        gate.ask(x)
        return x, connection.hold(x, "request") if x.strikes else NOTHING

    def leave(
        self,
        x: Exchange | None,
        data: Any,
        start: Head | None,
        part: bool,
        end: bool,
        mark: int,
        write: bool,
    ) -> Item | None:
        connection = self.connection
        if x is None:
            if write:
                self.put(data)
            self.open = not end
            if end and self.injections:
                self.inject()
            return None
        if x is PLAIN:
            if start is not None:
                connection.protocol.forwarded(connection.session, start)
                if start.replies:
                    connection.books.run(start.framing)
                if write and connection.rewrites[0]:
                    data = self.rewritten(start, data)
            if write:
                self.put(data)
            self.open = not end
            if end and self.injections:
                self.inject()
            return None
        if start is not None and not self.begins(x, start, end, write):
            return None
        if x.late is not None:
            if end:
                self.answer_late(x)
            return None
        if x.forwarded:
            if start is not None and write and connection.rewrites[0]:
                data = self.rewritten(start, data)
            if write:
                self.put(data)
            if x.body is not None:
                self.remember(x, data)
            self.open = not end
            if end:
                if x.body is not None:
                    self.repeat(x)
                if self.injections:
                    self.inject()
        return None

    def begins(self, x: Exchange, head: Head, end: bool, write: bool) -> bool:
        """A request's turn: answered, lost, or forwarded (True)."""
        connection = self.connection
        books = connection.books
        found = x.chosen("request", Reply, Lose, End) if x.strikes else None
        if found is not None:
            strike, act = found
            if isinstance(act, Reply):
                if not end and connection.protocol.answers_late(head):
                    strike.fire()
                    x.late = found
                    return False
                if self.answer(x, strike, act, end):
                    return False
            else:
                strike.fire()
                x.outcome = "lost" if isinstance(act, Lose) else "ended"
                connection.loose = x
                connection.end_by(strike, act.then)
                return False
        x.forwarded = True
        if x.strikes:
            repeat = x.chosen("request", Repeat)
            if repeat is not None and head.replies:
                x.body = bytearray()
        connection.protocol.forwarded(connection.session, head)
        if head.replies:
            books.expects(x)
            books.owes(x)
        else:
            x.finish()
        return True

    def answer(self, x: Exchange, strike: Strike, act: Reply, end: bool) -> bool:
        """Answer in place of the upstream; False: there is nothing to say, it passes."""
        connection = self.connection
        answer = act.make(x)
        if answer is None:
            strike.done("nothing")
            return False
        strike.fire()
        x.injected = answer.reply
        x.close_after = answer.close or not (end or connection.protocol.drops_safely(x.head))
        x.outcome = "answered"
        strike.done()
        connection.books.owes(x)
        connection.drop_strikes(x)
        if answer.upstream:
            connection.repair(answer.upstream)
        connection.flush_owed()
        return True

    def answer_late(self, x: Exchange) -> None:
        """The request's last byte is there and has been dropped: now it can be answered."""
        assert x.late is not None
        strike, act = x.late
        x.late = None
        if not self.answer(x, strike, act, True):
            # Its bytes are gone; without an answer there is no reply that could follow.
            connection = self.connection
            connection.loose = x
            connection.end("close", "nothing to answer")

    def remember(self, x: Exchange, data: Any) -> None:
        """Keep a request that is to be sent twice, up to its bound."""
        for strike in x.strikes:
            act = strike.acts[0]
            if isinstance(act, Repeat) and x.body is not None:
                if len(x.body) + len(data) > act.limit:
                    strike.done("too_large")
                    x.body = None
                else:
                    x.body += data
                return

    def repeat(self, x: Exchange) -> None:
        """The request has gone; send it again and swallow the second reply."""
        body, x.body = x.body, None
        for strike in list(x.strikes):
            if strike.state == "chosen" and isinstance(strike.acts[0], Repeat):
                strike.fire()
                again = self.connection.unwatched(x.framing)
                again.head = x.head
                again.swallow = True
                self.connection.protocol.forwarded(self.connection.session, x.head)
                self.connection.books.expects(again)
                self.put(bytes(body or b""))
                strike.done()

    def inject(self) -> None:
        """Write the proxy's own requests: only between two messages."""
        waiting, self.injections = self.injections, []
        connection = self.connection
        for head, data in waiting:
            own = Exchange(connection, -1, head, connection.clock.now())
            own.swallow = True
            connection.protocol.forwarded(connection.session, head)
            connection.books.expects(own)
            self.put(data)
