"""Upstream to client: replies are lost, replaced, cut, edited or relayed at their turn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rascal.errors import ProtocolError
from rascal.faults.fault import Strike
from rascal.faults.types import Edit, End, Lose, Reply
from rascal.proxy.during import collect, during
from rascal.proxy.exchange import PLAIN, Exchange
from rascal.proxy.relay import NOTHING, Item, Relay
from rascal.wire.types import Buffer, Codec, Head, Piece

if TYPE_CHECKING:
    from rascal.proxy.connection import Connection


class ReplyRelay(Relay):
    """Upstream to client."""

    __slots__ = ("interim",)

    def __init__(
        self, connection: Connection, source: Any, target: Any, codec: Codec | None
    ) -> None:
        super().__init__(connection, source, target, codec)
        self.interim = False

    def sift(self, view: Buffer) -> bool:
        connection = self.connection
        codec = self.codec
        assert codec is not None
        if (
            connection.gate.words is None
            or connection.rewrites[1]
            or not self.straight()
            or not connection.books.plain()
            or (self.current is not PLAIN and codec.under_way() == "message")
        ):
            return False
        self.put(self.left())
        self.put(view)
        try:
            codec.skim(view)
        except ProtocolError as error:
            self.ahead = len(codec.undecided())
            connection.desync(self, error)
            return True
        way = codec.under_way()
        self.current = PLAIN if way == "message" else None
        self.interim = way == "aside"
        self.open = way != ""
        self.ahead = len(codec.undecided()) if self.mode == "hold" else 0
        if connection.kicks:
            connection.kick(self)
        if self.target.rest or connection.due or connection.tuned is not connection.gate.needs:
            connection.settle(self)
        return True

    def dropping(self) -> bool:
        if self.codec is None:
            return False
        if self.codec.under_way() == "":  # of the next reply there may be part of a head
            x = self.connection.books.answering()
            return x is not None and x.swallow
        x = self.current
        return x is not None and (x.cut or x.swallow)

    def meet(
        self, piece: Piece, struck: bool
    ) -> tuple[Exchange | None, list[tuple[Strike, float]]]:
        connection = self.connection
        start = piece.start
        holds = NOTHING
        books = connection.books
        if start is None:
            x = self.current
        else:
            x = None if start.push else books.answering()
            self.current = x
            self.interim = start.interim or x is None
            if x is not None and x is not PLAIN and not self.interim:
                x.reply_head = start
                if struck and not x.swallow:
                    connection.gate.ask_reply(x)
                    if x.strikes:
                        holds = connection.hold(x, "reply")
        if piece.end and not self.interim:
            books.parsed()
        if self.interim and x is not None and not x.swallow:
            x = None  # the reply may have begun by the time that the rest of this one leaves
        return x, holds

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
        if x is None or (start is not None and start.interim) or (x.reply_head is None):
            self.aside(x, data, start, end, write)
            return None
        connection = self.connection
        if x is PLAIN:
            self.open = not end
            if write:
                if start is not None and connection.rewrites[1]:
                    data = self.rewritten(start, data)
                self.put(data)
            if end:
                self.ends(x)
            return None
        if x.swallow:
            if end:
                x.finish()
            return None
        self.open = not end
        if start is not None:
            if x.strikes and not self.starts(x, start):
                return None
            if write and connection.rewrites[1] and not x.cut:
                data = self.rewritten(start, data)
        if x.strikes and not x.cut:
            rest = during(self, x, data, start, part, end, mark)
            if rest is not None:
                return rest
            if connection.ended_by or connection.stuck is not None:
                return None
        if not x.cut:
            if x.collected is not None:
                collect(self, x, data, end)
            elif write:
                self.put(data)
            x.reply_size += len(data)
            x.capture(data)
            x.parts += part
        elif x.outcome == "replaced":
            x.capture(data)
        if end:
            self.ends(x)
        return None

    def aside(
        self, x: Exchange | None, data: Any, start: Head | None, end: bool, write: bool
    ) -> None:
        """A push, an interim reply, or a message that began before anybody watched."""
        connection = self.connection
        self.open = not end
        if x is not None and x.swallow:
            return
        if write:
            if start is not None and connection.rewrites[1]:
                data = self.rewritten(start, data)
            self.put(data)
        if end:
            connection.flush_owed()

    def starts(self, x: Exchange, head: Head) -> bool:
        """A reply's turn: lost, replaced, or it begins (True)."""
        connection = self.connection
        found = x.chosen("reply", Reply, Lose, End)
        if found is not None:
            strike, act = found
            if isinstance(act, Reply):
                answer = act.make(x)
                if answer is None:
                    strike.done("nothing")
                else:
                    strike.fire()
                    x.cut = True
                    x.outcome = "replaced"
                    self.put(answer.reply)
                    strike.done()
                    if answer.upstream:
                        connection.repair(answer.upstream)
                    if answer.close or head.pivot:
                        connection.end("close", "fault")
                        return False
                    return True
            else:
                strike.fire()
                x.outcome = "reply lost" if isinstance(act, Lose) else "ended"
                if head.pivot and act.then == "hang":
                    connection.end_by(strike, "close")
                else:
                    connection.end_by(strike, act.then)
                return False
        if any(isinstance(s.acts[0], Edit) and s.state == "chosen" for s in x.strikes):
            x.collected = bytearray()
        return True

    def ends(self, x: Exchange) -> None:
        """The end of a reply has left."""
        connection = self.connection
        if x is PLAIN:
            connection.books.delivered_run()
        else:
            owed = connection.books.owed
            if owed and owed[0] is x:
                owed.popleft()
            x.finish()
        if connection.books.owed:
            connection.flush_owed()
        if connection.kicks:
            connection.kick(self)
