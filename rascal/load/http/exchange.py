"""One request on its way: sent, perhaps sent again, redirected, answered, failed or given up.

It ends once: its Deferred fires, the user's coroutine that waited for it runs on (checks, body),
and only then is the call handed to the session to be counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from rascal.load.http.answer import Answer
from rascal.load.http.connections import NO_TIMES, Connection
from rascal.load.http.errors import RequestFailed, failure_of
from rascal.load.http.response import Reply, Response
from rascal.load.http.urls import SENSITIVE, Template
from rascal.load.types import SERVED, Call

if TYPE_CHECKING:
    from rascal.load.http.dial import Dial
    from rascal.load.http.session import Session
    from rascal.load.http.wire import Head

log = Logger()

REDIRECTS = 20
_REDIRECTED = frozenset((301, 302, 303, 307, 308))
_OF_BODY = frozenset((b"content-type", b"content-encoding", b"content-language"))


class Exchange:
    """A request of a session until its end.

    Attributes:
        follow: 0 for no redirects, 1 as treq's allow_redirects, 2 as browser_like_redirects.
        named: header lines of this request alone, by lower-case name.
    """

    __slots__ = (
        "_redirected",
        "call",
        "connection",
        "data",
        "deadline",
        "deferred",
        "dial",
        "follow",
        "head_only",
        "named",
        "over",
        "previous",
        "resent",
        "seconds",
        "session",
        "table",
        "template",
    )

    form: type[Reply] = Response

    def __init__(
        self, session: Session, call: Call, template: Template, data: bytes, seconds: float
    ) -> None:
        self.session = session
        self.call = call
        self.template = template
        self.data = data
        self.seconds = seconds
        self.head_only = template.head_only
        self.named: dict[bytes, bytes] | None = None
        self.follow = 1
        self.over = self.resent = False
        self.previous: Reply | None = None
        self._redirected = 0
        self.connection: Connection | None = None
        self.dial: Dial | None = None
        """The connection that is being opened for it, if none was idle."""
        self.deferred = Answer(self.cancel)
        call.sent = len(data)
        self.deadline = call.started + seconds
        self.table = table = session.client.wheel.table(seconds)
        table[self] = None

    # -- its reply ---------------------------------------------------------------------------------
    def replied(self, connection: Connection, now: float) -> None:
        """`connection.reader` holds a complete reply."""
        reader = connection.reader
        head = reader.head
        body = reader.body
        times = connection.times if connection.used == 1 else NO_TIMES
        self.connection = None
        connection.release()
        call = self.call
        call.replies += 1
        session = self.session
        if head.sets:
            try:
                session.take_cookies(self.template, head)
            except Exception:
                log.failure("cookies of {url}", url=self.template.url)
        code = head.code
        response = self.form(session, self, head, body, times)
        if code >= 300:
            if code in _REDIRECTED:
                if self.follow and head.location and self._redirect(head, response):
                    return
            elif code >= 400:
                call.outcome = outcome_of(head)
                call.detail = f"status {code}"
        self.over = True
        del self.table[self]
        call.ended = now
        self.deferred.callback(response)
        session.finish(call)
        if call.outcome is not SERVED:
            session.sample(self, response)

    def _redirect(self, head: Head, response: Any) -> bool:
        """Follow; False if this reply is the answer."""
        template = self.template
        method = template.method
        code = head.code
        if code == 303:
            method = "HEAD" if method == "HEAD" else "GET"
        elif method not in ("GET", "HEAD"):
            if self.follow < 2 or code not in (301, 302):
                return False
            method = "GET"
        self._redirected += 1
        if self._redirected > REDIRECTS:
            self.fail(RequestFailed("malformed", f"more than {REDIRECTS} redirects"))
            return True
        session = self.session
        try:
            follows = session.urls.redirected(template, method, head.location)
        except ValueError as error:
            self.fail(RequestFailed("malformed", f"redirect: {error}"))
            return True
        named = self.named
        if named:
            dropped = SENSITIVE if follows.origin is not template.origin else frozenset()
            if method != template.method:
                dropped = dropped | _OF_BODY
            named = {name: line for name, line in named.items() if name not in dropped}
        self.named = named
        self.previous = response
        self.template = follows
        self.head_only = follows.head_only
        self.resent = False
        self.data = session.build(follows, named, None)
        self.call.sent += len(self.data)
        self.call.first_byte = 0.0
        session.pool(follows.origin).start(self)
        return True

    # -- its failure -------------------------------------------------------------------------------
    def broke(self, connection: Connection | None, error: Exception) -> None:
        """No reply will come from there."""
        if self.over:
            return
        self.connection = None
        failed = failure_of(error)
        if (
            connection is not None
            and connection.used > 1
            and not self.resent
            and failed.outcome == "reset"
            and not connection.reader.begun
            and self.template.idempotent
        ):
            client = self.session.client
            if client.resend and not client.closed:
                self.resent = True
                client.resent += 1
                self.call.sent += len(self.data)
                connection.pool.start_fresh(self)
                return
        self.fail(failed)

    def fail(self, error: RequestFailed) -> None:
        """End without a usable reply."""
        if self.over:
            return
        self._end(error.outcome, error.detail)
        self.deferred.errback(Failure(error))
        self.session.finish(self.call)
        self.session.sample(self, None)

    def expire(self) -> None:
        """The time-out of the whole request."""
        what = "no reply"
        if self.connection is None:
            what = "no connection"
        elif self.connection.reader.begun:
            what = "no complete reply"
        self.fail(RequestFailed("timeout", f"{what} within {self.seconds:g}s"))

    def cancel(self, deferred: Deferred[Any]) -> None:
        """Who waited for it gave up."""
        if self.over:
            return
        self._end("timeout", "given up")
        deferred.errback(Failure(CancelledError()))
        self.session.finish(self.call)
        self.session.sample(self, None)

    def abandon(self) -> None:
        """The client closes."""
        self.deferred.cancel()

    def _end(self, outcome: str, detail: str) -> None:
        self.over = True
        self.table.pop(self, None)
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.close()
        elif self.dial is not None:
            self.dial.pool.left(self)
        call = self.call
        call.ended = self.session.client.now()
        call.outcome = outcome
        call.detail = detail


def outcome_of(head: Head) -> str:
    """The outcome of a reply before the user's code has looked at it."""
    code = head.code
    if code < 400:
        return SERVED
    if head.retry_after and code in (429, 503):
        return "shed"
    return "http_4xx" if code < 500 else "http_5xx"


__all__ = ["REDIRECTS", "Exchange", "outcome_of"]
