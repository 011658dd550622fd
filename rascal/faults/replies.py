"""Faults that say something else: errors, other replies, older ones, requests sent twice."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any, ClassVar

from rascal.errors import ConfigError
from rascal.faults.calls import error_call, error_named, says, with_error_options
from rascal.faults.connections import can_refuse
from rascal.faults.types import Act, Draw, Edit, Kind, Level, Refuse, Repeat, Reply
from rascal.options import Option, Options, OptionTable
from rascal.wire.types import HEAD_BYTES, Answer, Moment, WireProtocol

if TYPE_CHECKING:
    from rascal.faults.fault import Strike

KEPT_REPLIES = 256
"""Replies that a stale fault keeps; the one that was asked for longest ago goes first."""


class Error(Kind):
    """An error of the protocol's catalogue."""

    name = "error"
    datagrams = True
    summary = "The request is answered with an error of the protocol (rascal protocols NAME)."
    faithful = (
        "The bytes of a real server, compared with it where the error can be provoked. At "
        "request the upstream sees nothing; at reply it has done the work. Where a real server "
        "would have rolled back or closed, the upstream is made to, and the connection closed. "
        "Requests that a real server never answers so (a read, where memory is full) pass and "
        "count as skipped (command), unless the match names their command."
    )
    options = OptionTable(
        Option("error", "text", "its name in the catalogue, or a code", required=True),
        Option("text", "text", "what it says; unset: what a real server says"),
    )
    moments: ClassVar[tuple[Moment, ...]] = ("request", "reply", "connect", "greeting")
    levels: ClassVar[tuple[Level, ...]] = ("message", "connection")
    repairs = True

    def table(self, protocol: WireProtocol) -> OptionTable | None:
        return with_error_options(self.options, protocol) if protocol.errors else None

    def usual(self, options: Options, protocol: WireProtocol) -> tuple[Moment, ...]:
        spec = error_named(options.error, protocol)
        allowed = spec.moments or self.moments
        return next(((moment,) for moment in self.moments if moment in allowed), self.moments[:1])

    def check(self, options: Options, protocol: WireProtocol, at: tuple[Moment, ...]) -> None:
        protocol.check_options(self.name, options)
        options.call = error_call(options.error, options, protocol)
        options.commands = frozenset(options.call.spec.commands)
        if "connect" in at:
            can_refuse(options.call, protocol)

    def act(
        self, options: Options, subject: Any, moment: Moment, draw: Draw, state: Any
    ) -> Act | str:
        if moment == "connect":
            return Refuse("close", options.call)
        command = subject.head.command
        unheard = bool(options.commands) and command not in options.commands
        if unheard and not options.match.names(command):
            return "command"
        return Reply(moment, says(options.call), repairs=True)


def _reply(moment: Moment, render: Callable[[Any], bytes | None]) -> Reply:
    """A reply as `render` gives it; None: it passes."""

    def make(subject: Any) -> Answer | None:
        data = render(subject)
        return None if data is None else Answer(data)

    return Reply(moment, make)


class Replace(Kind):
    """Another reply."""

    name = "replace"
    datagrams = True
    summary = "The reply is another one, which you give."
    faithful = (
        "A well-formed reply of the protocol in the shape that the request asks for. At reply "
        "the upstream has done the work; at request it sees nothing. Where the protocol cannot "
        "say it to this request, it passes and counts as skipped (nothing)."
    )
    moments: ClassVar[tuple[Moment, ...]] = ("reply", "request")

    def table(self, protocol: WireProtocol) -> OptionTable | None:
        if not protocol.messages or type(protocol).replacement is WireProtocol.replacement:
            return None
        return OptionTable(*protocol.replace_options.values())

    def check(self, options: Options, protocol: WireProtocol, at: tuple[Moment, ...]) -> None:
        protocol.check_options(self.name, options)

    def act(
        self, options: Options, subject: Any, moment: Moment, draw: Draw, state: Any
    ) -> Act | str:
        protocol: WireProtocol = subject.protocol
        if moment == "reply" and type(protocol).edited is not WireProtocol.edited:
            return Edit(
                lambda x, reply: protocol.edited(x.session, x.head, reply, options), HEAD_BYTES
            )
        return _reply(moment, lambda x: x.protocol.replacement(x.session, x.head, options))


class Empty(Kind):
    """Nothing found."""

    name = "empty"
    datagrams = True
    summary = "The reply is the protocol's “nothing found”: a miss, no rows, an empty body."
    faithful = (
        "What a real server says when there is nothing: a cache that was restarted, a table "
        "without the row. At reply the upstream has done the work; at request it sees nothing. "
        "Requests that have no such reply pass and count as skipped (nothing)."
    )
    moments: ClassVar[tuple[Moment, ...]] = ("reply", "request")

    def table(self, protocol: WireProtocol) -> OptionTable | None:
        if not protocol.messages or type(protocol).empty is WireProtocol.empty:
            return None
        return self.options

    def act(
        self, options: Options, subject: Any, moment: Moment, draw: Draw, state: Any
    ) -> Act | str:
        protocol: WireProtocol = subject.protocol
        edits = moment == "reply" and type(protocol).emptied is not WireProtocol.emptied
        if edits and protocol.empty(subject.session, subject.head) is None:
            return Edit(lambda x, reply: protocol.emptied(x.session, x.head, reply), HEAD_BYTES)
        return _reply(moment, lambda x: x.protocol.empty(x.session, x.head))


class Duplicate(Kind):
    """The same request twice."""

    name = "duplicate"
    summary = "The upstream gets the request twice; the client gets the first reply."
    faithful = (
        "As a retry below the application, or a network element that repeats. The second "
        "request follows the first on the same connection and its reply is swallowed. Requests "
        "over 64KiB pass and count as skipped (too_large). A datagram goes twice, and both "
        "replies come; at reply the client gets the datagram twice."
    )
    moments: ClassVar[tuple[Moment, ...]] = ("request", "reply")
    datagrams = True

    def check(self, options: Options, protocol: WireProtocol, at: tuple[Moment, ...]) -> None:
        if "reply" in at and "udp" not in protocol.carriers:
            raise ConfigError(
                f"a reply twice would put a client of {protocol.name} out of step: duplicate "
                "strikes at request",
                option="at",
            )

    def act(
        self, options: Options, subject: Any, moment: Moment, draw: Draw, state: Any
    ) -> Act | str:
        if not subject.protocol.repeats(subject.head):
            return "nothing"
        return Repeat(HEAD_BYTES, moment)


class Kept:
    """Earlier replies, by what makes requests the same: (time, reply), oldest first.

    Args:
        age: None: the first reply is kept for good; else what is older than the newest reply of
            that age is dropped.
    """

    def __init__(self, age: float | None) -> None:
        self.age = age
        self.count = 0
        self.replies: OrderedDict[Hashable, list[tuple[float, bytes]]] = OrderedDict()

    def put(self, identity: Hashable, now: float, reply: bytes) -> None:
        """A reply has come. One that says the same as the one before adds nothing."""
        entries = self.replies.setdefault(identity, [])
        self.replies.move_to_end(identity)
        if entries and (self.age is None or entries[-1][1] == reply):
            return
        if self.age is not None:
            self._drop_before(entries, now - self.age)
        entries.append((now, reply))
        self.count += 1
        while self.count > KEPT_REPLIES:
            self._drop_one()

    def get(self, identity: Hashable, now: float) -> bytes | None:
        """The reply as it was `age` ago; the first, if there is no age."""
        entries = self.replies.get(identity, ())
        if self.age is None:
            return entries[0][1] if entries else None
        found = None
        for when, reply in entries:
            if when > now - self.age:
                break
            found = reply
        return found

    def _drop_before(self, entries: list[tuple[float, bytes]], when: float) -> None:
        while len(entries) > 1 and entries[1][0] <= when:
            del entries[0]
            self.count -= 1

    def _drop_one(self) -> None:
        identity, entries = next(iter(self.replies.items()))
        del entries[0]
        self.count -= 1
        if not entries:
            del self.replies[identity]


class Stale(Kind):
    """An old reply."""

    name = "stale"
    datagrams = True
    summary = "The reply is an earlier one to the same request."
    faithful = (
        "As a replica that lags, or a cache that was not told: with an age, the reply as it was "
        "that long ago; without, the first one seen since the fault was armed. Replies over "
        "64KiB and errors are not kept, 256 replies are; with none old enough the request passes "
        "and counts as skipped (nothing). Sequence ids and the like are made to fit."
    )
    options = OptionTable(
        Option("age", "duration", "how old; unset: the first reply seen, for good"),
    )
    moments: ClassVar[tuple[Moment, ...]] = ("reply", "request")
    tracks = True
    capture = HEAD_BYTES

    def state(self, options: Options) -> Kept:
        return Kept(options.age)

    def act(
        self, options: Options, subject: Any, moment: Moment, draw: Draw, state: Any
    ) -> Act | str:
        identity = subject.head.identity()
        kept = None if identity is None else state.get(identity, subject.began)
        if kept is None:
            return "nothing"
        return _reply(moment, lambda x: x.protocol.rerender(x.session, x.head, kept))

    def finished(
        self, options: Options, subject: Any, strike: Strike | None, reply: bytes | None, state: Any
    ) -> None:
        identity = subject.head.identity()
        if not reply or identity is None or _failed(subject.reply_head):
            return
        now = subject.connection.clock.now() if subject.ended is None else subject.ended
        state.put(identity, now, reply)


def _failed(head: Any) -> bool:
    """Whether a reply is an error: that is no data to be stale."""
    if head is None:
        return False
    status = head.value("status")
    if isinstance(status, int):
        return status >= 400
    return head.command in ("ERR", "ERROR") or head.value("error") is not None
