"""`async with user.timer("smtp send")`: what any other client does becomes a call of a flow.

async with user.timer("smtp send") as timing:
    reply = await smtp.send(message)
    timing.wrong("queued twice")        # if it is; timing.reduced(), timing.received = 312
"""

from __future__ import annotations

import ssl
from types import TracebackType
from typing import TYPE_CHECKING, Any

from twisted.internet import error as failures
from twisted.internet.defer import CancelledError
from twisted.internet.defer import TimeoutError as DeferTimeoutError

from rascal.load.http.errors import RequestFailed
from rascal.load.types import OUTCOMES, SERVED, Call

if TYPE_CHECKING:
    from rascal.load.user import User

_TIMEOUT = (
    TimeoutError,
    DeferTimeoutError,
    CancelledError,
    failures.TimeoutError,
    failures.TCPTimedOutError,
)
_REFUSED = (ConnectionRefusedError, failures.ConnectError, failures.DNSLookupError)
_RESET = (
    ConnectionError,
    EOFError,
    failures.ConnectionClosed,
    failures.ConnectionAborted,
)


class Timer:
    """One call of another client. Use it once."""

    __slots__ = ("_name", "_user", "call")

    def __init__(self, user: User, name: str) -> None:
        self._user = user
        self._name = name
        self.call: Call | None = None

    async def __aenter__(self) -> Timer:
        self.call = self._user.open_call(self._name)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        call = self._begun()
        call.ended = self._user.world.now()
        if error is not None and call.outcome == SERVED:
            call.outcome, call.detail = outcome_of(error)
        if not call.held:
            self._user.recorder.done(call)

    def wrong(self, detail: str) -> None:
        """What came is wrong, though the other side said it was right."""
        self.failed("wrong_data", detail)

    def failed(self, outcome: str, detail: str = "") -> None:
        """Give the call an outcome of its own."""
        if outcome not in OUTCOMES:
            raise ValueError(f"'{outcome}' is no outcome; outcomes: {', '.join(OUTCOMES)}")
        call = self._begun()
        if call.recorded:
            self._user.recorder.amend(call, outcome, detail)
        else:
            call.outcome, call.detail = outcome, detail

    def reduced(self) -> None:
        """The other side served less than it usually does."""
        self._user.recorder.reduce(self._begun())

    def _begun(self) -> Call:
        if self.call is None:
            raise ValueError("write: async with user.timer(name) as timing")
        return self.call


def outcome_of(error: BaseException) -> tuple[str, str]:
    """The outcome and detail of a call that ended with an exception."""
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if isinstance(error, RequestFailed):
        return error.outcome, error.detail
    if isinstance(error, AssertionError):
        return "check_failed", str(error) or "assert"
    if isinstance(error, _TIMEOUT):
        return "timeout", said
    if isinstance(error, ssl.SSLError | failures.CertificateError):
        return "tls", said
    if isinstance(error, _REFUSED) or type(error).__name__ == "gaierror":
        return "refused", said
    if isinstance(error, _RESET):
        return "reset", said
    wrapped: Any = getattr(error, "reasons", None)  # of twisted.web: ResponseFailed and the like
    if isinstance(wrapped, list) and wrapped and isinstance(wrapped[0].value, BaseException):
        return outcome_of(wrapped[0].value)
    return "check_failed", said
