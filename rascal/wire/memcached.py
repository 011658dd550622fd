"""memcached: the text protocol and the meta commands.

Specification: doc/protocol.txt of memcached; what it leaves open (malformed lines, noreply, the
order of flags) is as memcached 1.6.18 does it. A request is a line, for storage commands with the
data behind it; a reply is a line, a list of items or of lines, or a line with a value. What is
special is told beside this file: memcached_quiet (quiet requests, which are answered only if
there is something to say), memcached_lines (which lines are answered, and what follows them),
memcached_requests and memcached_replies (the codecs), memcached_errors and memcached_answers
(what the proxy says itself).

`noreply` is obeyed by the server even for errors: such requests are in no books, and faults that
answer do not strike them. Should a server complain all the same, it is a push. Quiet requests can
be struck: an error is said to them as to others, and `empty` leaves the reply of `mg` out.

Of the binary protocol the first byte is known and no more: its connections are relayed as bytes.
UDP is not spoken.
"""

from __future__ import annotations

from rascal.options import Option, Options, OptionTable
from rascal.wire.memcached_answers import (
    empty_reply,
    error_answer,
    replaced,
    rerendered,
    terminated,
)
from rascal.wire.memcached_errors import ERRORS, error_named
from rascal.wire.memcached_heads import RequestHead
from rascal.wire.memcached_replies import ReplyCodec
from rascal.wire.memcached_requests import RequestCodec
from rascal.wire.memcached_session import MemcachedSession
from rascal.wire.types import (
    COMMON_FIELDS,
    Answer,
    Codec,
    ErrorCall,
    ErrorSpec,
    Field,
    Head,
    Ledger,
    WireProtocol,
)

_USUAL = """
ADD APPEND CAS DECR DELETE GAT GATS GET GETS INCR MA MD MG MN MS PREPEND REPLACE SET STATS TOUCH
VERSION
"""


class Memcached(WireProtocol):
    """The protocol as the rest of Rascal sees it."""

    name = "memcached"
    title = "memcached"
    part = "items"
    usual = frozenset(_USUAL.split())
    fields = (
        *COMMON_FIELDS,
        Field("command", "word", "the command, such as GET, SET or MG", folded=True),
        Field("key", "text", "the key, any of several"),
        Field("keys", "number", "how many keys the command names"),
        Field("size", "size", "length of the value that is to be stored"),
        Field("noreply", "flag", "it ends in noreply, or is a quiet meta command"),
        Field(
            "reply",
            "word",
            "VALUE, END, STORED, NUMBER, HD, EN, SERVER_ERROR …; SILENT: left out",
            "reply",
            True,
        ),
        Field("hit", "flag", "something was found (VALUE, VA, HD) or nothing (END, EN)", "reply"),
    )
    errors = ERRORS
    options = OptionTable(
        Option(
            "auth",
            "flag",
            "the server wants a password (-Y): the first set of a connection is its log-in AUTH",
            False,
        ),
    )
    replace_options = OptionTable(
        Option("text", "text", "the value of each key that is asked for", required=True),
        Option("flags", "count", "the client flags that come with it", 0, maximum=2**32 - 1),
    )

    def session(self, options: Options) -> MemcachedSession:
        return MemcachedSession(auth=bool(getattr(options, "auth", False)))

    def codecs(self, session: MemcachedSession, ledger: Ledger) -> tuple[Codec, Codec]:
        return RequestCodec(self, session, ledger), ReplyCodec(session, ledger)

    def forwarded(self, session: MemcachedSession, head: Head) -> None:
        if isinstance(head, RequestHead):
            session.forwarded(head)

    def error(self, name: str) -> ErrorSpec | None:
        return error_named(name)

    def answer(self, session: MemcachedSession, head: Head, call: ErrorCall) -> Answer:
        return error_answer(session, head, call)

    def terminate(
        self, session: MemcachedSession, head: Head, mark: int, call: ErrorCall | None
    ) -> bytes | None:
        return terminated(head, call)

    def empty(self, session: MemcachedSession, head: Head) -> bytes | None:
        request = _timely(session, head)
        return None if request is None else empty_reply(request)

    def replacement(self, session: MemcachedSession, head: Head, options: Options) -> bytes | None:
        request = _timely(session, head)
        if request is None:
            return None
        return replaced(request, str(options.text), int(options.flags or 0))

    def rerender(self, session: MemcachedSession, head: Head, kept: bytes) -> bytes | None:
        request = _timely(session, head)
        return None if request is None else rerendered(request, kept)


def _timely(session: MemcachedSession, head: Head) -> RequestHead | None:
    """Not in place of a request behind quiet ones, unless it is quiet itself: the server would
    never be asked anything that ends their silence, and the reply could never go out."""
    if isinstance(head, RequestHead) and (head.sent or head.quiet or not session.quiet):
        return head
    return None


PROTOCOL: WireProtocol = Memcached()
